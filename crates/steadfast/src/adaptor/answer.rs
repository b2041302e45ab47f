//! What a response tells about its session: cookies, caching, and why there is none.

use crate::error::ErrorKind;

/// The status with which another try may help: 503 Service Unavailable.
const UNAVAILABLE: u16 = 503;

/// The headers that say the same in each response that has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    CacheControl,
    RetryAfter,
    Vary,
}

impl Field {
    /// Returns what the header says.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::CacheControl => "no-store",
            // How long a client is to wait before it tries again, in seconds.
            Self::RetryAfter => "1",
            Self::Vary => "cookie",
        }
    }
}

/// The head of a response, as a framework has it.
pub(super) trait ResponseHead {
    /// Sets the status, which is one of this library's.
    fn set_status(&mut self, status: u16);

    /// Adds a `Set-Cookie`, which is text of a header.
    fn send_cookie(&mut self, cookie: String);

    /// Adds the line of a header, unless one that is there says as much.
    fn add_unless(&mut self, field: Field, says: impl FnMut(&[u8]) -> bool);
}

/// Gives a response the status of an error, and says when another try may help.
pub(super) fn refuse(head: &mut impl ResponseHead, kind: ErrorKind) {
    let status = kind.http_status();
    head.set_status(status);
    if status == UNAVAILABLE {
        head.add_unless(Field::RetryAfter, |_| true);
    }
}

/// Returns what a visitor is told of an error; what failed is for the log.
#[cfg(any(feature = "actix", feature = "axum"))]
pub(super) fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Stale | ErrorKind::Superseded | ErrorKind::Missing => {
            "Your session changed meanwhile. Please reload the page."
        }
        _ if kind.http_status() == UNAVAILABLE => {
            "Sessions are not available at the moment. Please try again."
        }
        _ => "Something went wrong on our side.",
    }
}

/// Finishes the head of a response whose session was committed, with the `Set-Cookie` headers it is to have.
pub(super) fn committed(head: &mut impl ResponseHead, cookies: impl Iterator<Item = String>) {
    cookies.for_each(|cookie| head.send_cookie(cookie));
    keep_private(head);
}

/// Makes the head of the empty response that replaces the handler's, whose session could not be committed.
pub(super) fn not_committed(head: &mut impl ResponseHead, kind: ErrorKind) {
    refuse(head, kind);
    keep_private(head);
}

/// Keeps a response that belongs to one visitor out of caches.
fn keep_private(head: &mut impl ResponseHead) {
    head.add_unless(Field::Vary, |value| {
        let mut names = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name.eq_ignore_ascii_case(b"cookie") || name == b"*")
    });
    head.add_unless(Field::CacheControl, |_| true);
}
