//! A browser for tests.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, USER_AGENT};
use http::{Request, Response};
use http_body::{Body, Frame};
use tower_service::Service;

use super::jar::Jar;
use super::reply::Reply;
use crate::adaptor::PeerAddr;

type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A browser for tests: it sends requests to a tower service, keeps cookies as browsers do, and tells
/// pages from what scripts fetch.
///
/// It speaks to one site, by HTTPS. A clone is another window: it starts with the same cookies and then
/// goes its own way. What a response does to the cookies can be held back and applied later, so that a
/// test decides in which order answers arrive.
///
/// It takes any service whose request body is generic, such as axum's `Router`.
///
/// # Panics
///
/// All methods that send something panic if the service fails instead of answering, if a body breaks off,
/// and for a path or a header that HTTP does not know.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::get};
/// use steadfast::testing::TestBrowser;
/// use steadfast::{Session, Sessions};
///
/// let sessions = Sessions::connect("memory:").await?;
/// let count = |session: Session| async move { session.increment("n", 1).map(|n| n.to_string()) };
/// let app: Router = Router::new().route("/", get(count)).layer(sessions.layer());
///
/// let mut browser = TestBrowser::new(app);
/// assert_eq!(browser.get("/").await.text(), "1");
/// let late = browser.get("/").await;
/// assert_eq!((late.text().as_ref(), late.header("set-cookie")), ("2", None));
///
/// let left = sessions.inspect(browser.cookies()).await?.expect("a session");
/// assert_eq!(left.get::<u32>("n")?, Some(2));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct TestBrowser {
    site: Arc<dyn Fn(Request<RequestBody>) -> Answer + Send + Sync>,
    jar: Jar,
    peer: Option<SocketAddr>,
    user_agent: Option<HeaderValue>,
}

impl TestBrowser {
    /// Makes a browser without cookies, for a site.
    pub fn new<S, B>(site: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: fmt::Debug + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let site = Mutex::new(site);
        let site = move |request| -> Answer {
            let site = site.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Box::pin(answer(site, request))
        };
        Self { site: Arc::new(site), jar: Jar::default(), peer: None, user_agent: None }
    }

    /// Sets the address that the browser comes from. None by default.
    #[must_use]
    pub fn from_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Sets the `User-Agent` that the browser sends. None by default.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &str) -> Self {
        self.user_agent = Some(HeaderValue::from_str(user_agent).expect("a user agent is a header's text"));
        self
    }

    /// Opens a page, and keeps its cookies.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send_and_keep(navigation(Request::get(path)).body(String::new())).await
    }

    /// Submits a form on a page, and keeps the cookies of the answer, which is not followed.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Reply {
        let request =
            navigation(Request::post(path)).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send_and_keep(request.body(form_urlencoded(form))).await
    }

    /// Fetches something as a script does, behind the page, and keeps its cookies.
    pub async fn fetch(&mut self, path: &str) -> Reply {
        let request = Request::get(path).header("sec-fetch-mode", "cors").header("sec-fetch-dest", "empty");
        self.send_and_keep(request.body(String::new())).await
    }

    /// Opens the page that a reply redirects to, and keeps its cookies.
    ///
    /// # Panics
    ///
    /// If the reply does not redirect.
    pub async fn follow(&mut self, reply: &Reply) -> Reply {
        let location = reply.header(LOCATION.as_str()).expect("a redirect has a `Location`");
        self.get(location).await
    }

    /// Sends a request with the browser's cookies, and keeps nothing of the reply: hand it to
    /// [`keep`](Self::keep) when it is to arrive, or drop it to lose it on the way.
    ///
    /// The future does not borrow the browser, so that several can run at once. The request is a page,
    /// unless its headers say otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example(mut browser: steadfast::testing::TestBrowser) -> http::Result<()> {
    /// let slow = browser.send(http::Request::get("/slow").body(String::new())?);
    /// let quick = browser.send(http::Request::get("/quick").body(String::new())?);
    /// let (slow, quick) = (slow.await, quick.await);
    /// browser.keep(&quick);
    /// browser.keep(&slow);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, request: Request<String>) -> impl Future<Output = Reply> + Send + use<> {
        let mut request = request.map(RequestBody::from);
        if let Some(cookies) = self.jar.header(request.uri().path()) {
            let cookies = HeaderValue::try_from(cookies).expect("cookies came out of a header");
            request.headers_mut().append(COOKIE, cookies);
        }
        if let Some(user_agent) = &self.user_agent {
            request.headers_mut().entry(USER_AGENT).or_insert_with(|| user_agent.clone());
        }
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        (self.site)(request)
    }

    /// Does what a reply says about cookies, whenever it arrives.
    pub fn keep(&mut self, reply: &Reply) {
        for line in reply.set_cookies() {
            self.jar.apply(line);
        }
    }

    /// Does what a `Set-Cookie` header says: that of a [`Prepared`](super::Prepared) session, say.
    pub fn set_cookie(&mut self, set_cookie: &str) {
        self.jar.apply(set_cookie);
    }

    /// Returns all cookies as a `Cookie` header lists them: `name=value; name=value`.
    #[must_use]
    pub fn cookies(&self) -> String {
        self.jar.all()
    }

    /// Returns the value of a cookie; `None` if the browser has none of this name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.value(name)
    }

    /// Closes the browser and opens it again: only persistent cookies are still there.
    pub fn restart(&mut self) {
        self.jar.forget_unless_persistent();
    }

    async fn send_and_keep(&mut self, request: http::Result<Request<String>>) -> Reply {
        let reply = self.send(request.expect("a path and headers that HTTP knows")).await;
        self.keep(&reply);
        reply
    }
}

/// Shows the names of the cookies and no value.
impl fmt::Debug for TestBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBrowser").field("cookies", &self.jar).finish_non_exhaustive()
    }
}

fn navigation(request: http::request::Builder) -> http::request::Builder {
    request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document")
}

/// The body of a [`TestBrowser`]'s request.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Bytes>);

impl From<String> for RequestBody {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

async fn answer<S, B>(mut site: S, request: Request<RequestBody>) -> Reply
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: fmt::Debug,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    poll_fn(|cx| site.poll_ready(cx)).await.expect("the service is ready");
    let (head, body) = site.call(request).await.expect("the service answers").into_parts();
    Reply::new(Response::from_parts(head, read_to_end(body).await))
}

async fn read_to_end<B>(body: B) -> Bytes
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(Into::into).expect("the body does not break off");
        if let Ok(mut data) = frame.into_data() {
            while data.has_remaining() {
                let chunk = data.chunk();
                read.extend_from_slice(chunk);
                let len = chunk.len();
                data.advance(len);
            }
        }
    }
    read.freeze()
}

/// Writes a form as browsers do, percent-encoding all that is not surely harmless.
fn form_urlencoded(form: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        form.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'*' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(form_urlencoded(&[("a b", "1&2"), ("ü", "=%")]), "a+b=1%262&%C3%BC=%3D%25");
    }
}
