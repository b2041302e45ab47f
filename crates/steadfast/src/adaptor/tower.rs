//! The tower service: it attaches a session to each request, and commits it before the head leaves.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{
    CACHE_CONTROL, COOKIE, Entry, HeaderMap, HeaderName, RETRY_AFTER, SET_COOKIE, USER_AGENT, VARY,
};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::answer::{Field, ResponseHead, committed, not_committed};
use super::around::{AtWork, Attached, Commit, Next};
use super::request::{RequestHead, open};
use super::{CommitError, SessionLayer};
use crate::client::Headers;
use crate::error::Result;
use crate::lifecycle::{Access, Core, Exchange};
use crate::session::{Session, SessionView};

/// The address of a request's peer, for servers other than axum's: put it into the request's extensions.
///
/// With axum, serve with `into_make_service_with_connect_info::<SocketAddr>()` instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Opens the request's session, to read and write, in the policy's concurrency mode.
///
/// For middleware and frameworks without extractors of ours: it needs the layer outside of it.
///
/// # Errors
///
/// [`NotSetUp`](crate::ErrorKind::NotSetUp) without the layer, and whatever opening the session fails with.
///
/// # Cancel safety
///
/// If the future is dropped, nothing is held.
pub async fn session(parts: &Parts) -> Result<Session> {
    open(parts, None).await.map(Session::new)
}

/// Opens the request's session, to read.
///
/// # Errors
///
/// As [`session`].
///
/// # Cancel safety
///
/// Reads only.
pub async fn session_view(parts: &Parts) -> Result<SessionView> {
    open(parts, Some(Access::View)).await.map(SessionView::new)
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, core: Arc::clone(&self.core) }
    }
}

/// What a [`SessionLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    core: Arc<Core>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let (at_work, attach) = AtWork::begin(&self.core, request.extensions().get());
        if let Some(attach) = attach {
            request.extensions_mut().insert(attach);
        }
        SessionFuture { state: State::Handling { handler: self.inner.call(request), at_work } }
    }
}

pin_project! {
    /// The future of a [`SessionService`].
    #[must_use]
    pub struct SessionFuture<F, ResBody> {
        #[pin]
        state: State<F, ResBody>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, ResBody> {
        Handling {
            #[pin]
            handler: F,
            at_work: AtWork,
        },
        Committing {
            commit: Commit,
            response: Option<Response<ResBody>>,
        },
    }
}

impl<F, E, ResBody> Future for SessionFuture<F, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Handling { handler, at_work } => {
                    // An error of the service is no response: its session is dropped, and so abandoned.
                    let response = ready!(handler.poll(cx))?;
                    match at_work.answered(response.status().as_u16()) {
                        Next::Leave => return Poll::Ready(Ok(response)),
                        Next::Answer(exchange, result) => {
                            return Poll::Ready(Ok(answer(&exchange, response, result)));
                        }
                        Next::Commit(commit) => {
                            state.set(State::Committing { commit, response: Some(response) });
                        }
                    }
                }
                StateProjection::Committing { commit, response } => {
                    let result = ready!(commit.poll(cx));
                    let response = response.take().expect("a future is not polled after it was ready");
                    return Poll::Ready(Ok(answer(&commit.exchange, response, result)));
                }
            }
        }
    }
}

/// Makes the response that leaves after the commit.
fn answer<B: Default>(exchange: &Exchange, mut response: Response<B>, result: Result<()>) -> Response<B> {
    if let Err(error) = result {
        let mut response = Response::new(B::default());
        not_committed(&mut response, error.kind());
        response.extensions_mut().insert(CommitError(Arc::new(error)));
        return response;
    }
    committed(&mut response, exchange.cookies());
    response
}

impl RequestHead for Parts {
    const NO_LAYER: &'static str = "no session layer around this route; add `.layer(sessions.layer())`";
    const NO_PEER: &'static str = "`match_ip` needs the peer's address; serve with `into_make_service_with_connect_info::<SocketAddr>()`";

    fn exchange(&self) -> Option<Arc<Exchange>> {
        self.extensions.get::<Attached>().map(|attached| Arc::clone(&attached.0))
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes)
    }

    fn user_agent(&self) -> &[u8] {
        self.headers.get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes)
    }

    fn peer(&self) -> Option<IpAddr> {
        #[cfg(feature = "axum")]
        if let Some(::axum::extract::ConnectInfo(peer)) =
            self.extensions.get::<::axum::extract::ConnectInfo<SocketAddr>>()
        {
            return Some(peer.ip());
        }
        self.extensions.get::<PeerAddr>().map(|PeerAddr(peer)| peer.ip())
    }

    fn headers(&self) -> &impl Headers {
        &self.headers
    }
}

impl Headers for HeaderMap {
    fn all<'a>(&'a self, name: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.get_all(HeaderName::from_static(name)).iter().map(HeaderValue::as_bytes)
    }
}

impl<B> ResponseHead for Response<B> {
    fn set_status(&mut self, status: u16) {
        *self.status_mut() = StatusCode::from_u16(status).expect("a status of this library is one");
    }

    fn send_cookie(&mut self, cookie: String) {
        let line = HeaderValue::try_from(cookie).expect("a cookie is written in characters of a header");
        self.headers_mut().append(SET_COOKIE, line);
    }

    fn add_unless(&mut self, field: Field, mut says: impl FnMut(&[u8]) -> bool) {
        let (name, line) = line(field);
        match self.headers_mut().entry(name) {
            Entry::Vacant(place) => {
                place.insert(line);
            }
            Entry::Occupied(lines) if lines.iter().any(|line| says(line.as_bytes())) => {}
            Entry::Occupied(mut lines) => lines.append(line),
        }
    }
}

/// Returns the name and the line of a header, both made when this is compiled.
fn line(field: Field) -> (HeaderName, HeaderValue) {
    match field {
        Field::CacheControl => {
            (CACHE_CONTROL, const { HeaderValue::from_static(Field::CacheControl.text()) })
        }
        Field::RetryAfter => (RETRY_AFTER, const { HeaderValue::from_static(Field::RetryAfter.text()) }),
        Field::Vary => (VARY, const { HeaderValue::from_static(Field::Vary.text()) }),
    }
}

impl<F, ResBody> fmt::Debug for SessionFuture<F, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionFuture(..)")
    }
}
