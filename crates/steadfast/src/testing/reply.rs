//! What an application answered a [`TestBrowser`](super::TestBrowser).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap, Response, StatusCode};

/// What an application answered a [`TestBrowser`](super::TestBrowser), read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    response: Response<Bytes>,
}

impl Reply {
    pub(super) fn new(response: Response<Bytes>) -> Self {
        Self { response }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns a header; `None` if there is none, or if it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.response.body()
    }

    /// Returns the body as text; bytes that are none become the replacement character.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }

    /// Returns what the application put beside the response, a [`CommitError`](crate::CommitError) say.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.response.extensions()
    }

    /// Returns all `Set-Cookie` headers, in their order.
    pub fn set_cookies(&self) -> impl Iterator<Item = &str> {
        self.headers().get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok())
    }

    /// Returns the value that the response gives a cookie; an empty one if it removes it, `None` if it
    /// leaves it alone.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let values = self.set_cookies().filter_map(|line| {
            let (pair, _) = line.split_once(';').unwrap_or((line, ""));
            pair.split_once('=').filter(|(of, _)| of.trim() == name).map(|(_, value)| value.trim())
        });
        values.last()
    }
}
