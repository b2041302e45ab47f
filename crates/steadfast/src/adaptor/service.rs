//! The tower layer: it attaches a session to each request, and commits it before the head leaves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE, VARY};
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Attached;
use crate::error::{Error, Result};
use crate::lifecycle::{Core, Exchange, Prepared};
use crate::policy::OnServerError;
use crate::sessions::Sessions;

/// Puts sessions around routes: a tower [`Layer`].
///
/// A request whose handler takes no session costs no store call and gets no cookie. What a handler did is
/// committed before the head of its response leaves, whatever the status, also if the client hangs up
/// meanwhile. A handler that panics or is dropped writes nothing. If the commit fails, the response is
/// replaced by an empty one with the error's status and a [`CommitError`] among its extensions.
///
/// Responses of routes that took the session get `Vary: Cookie` and, unless the handler set
/// `Cache-Control`, `no-store`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # async fn example() -> steadfast::Result<()> {
/// use axum::{Router, routing::get};
/// use steadfast::{Session, SessionLayer};
///
/// let sessions = SessionLayer::connect("memory:").await?;
/// let app: Router = Router::new().route("/", get(|_: Session| async { "hello" })).layer(sessions);
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionLayer {
    core: Arc<Core>,
}

impl SessionLayer {
    /// Opens the store that a connection string names, with the default policy.
    ///
    /// # Errors
    ///
    /// As [`Sessions::connect`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind but an empty store.
    pub async fn connect(dsn: &str) -> Result<Self> {
        Ok(Sessions::connect(dsn).await?.layer())
    }
}

/// # Adaptor
impl Sessions {
    /// Returns the layer that puts these sessions around routes.
    #[must_use]
    pub fn layer(&self) -> SessionLayer {
        SessionLayer { core: Arc::clone(self.core()) }
    }
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

/// Why a commit failed: among the extensions of the response that replaced the handler's.
#[derive(Clone, Debug)]
pub struct CommitError(pub Arc<Error>);

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
        let attached = request.extensions().get::<Attached>();
        // The same sessions around a route twice are the same sessions once.
        let exchange = match attached.filter(|attached| Arc::ptr_eq(attached.0.core(), &self.core)) {
            Some(_) => None,
            None => {
                let exchange = Arc::new(Exchange::new(Arc::clone(&self.core)));
                request.extensions_mut().insert(Attached(Arc::clone(&exchange)));
                Some(AtWork(Some(exchange)))
            }
        };
        SessionFuture { state: State::Handling { handler: self.inner.call(request), exchange } }
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
            exchange: Option<AtWork>,
        },
        Committing {
            commit: Commit,
            response: Option<Response<ResBody>>,
        },
    }
}

/// A session that a handler works on: abandoned, if the handler does not come to its end.
struct AtWork(Option<Arc<Exchange>>);

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.abandon();
        }
    }
}

/// A commit that comes to its end, also if the client hangs up.
struct Commit {
    exchange: Arc<Exchange>,
    running: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
}

impl Commit {
    fn new(exchange: Arc<Exchange>, prepared: Box<Prepared>) -> Self {
        let begun = Arc::clone(&exchange);
        Self { exchange, running: Some(Box::pin(async move { begun.finish_commit(prepared).await })) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Taken out, so that one that panics is not polled again when it is dropped.
        let Some(mut running) = self.running.take() else { return Poll::Ready(Ok(())) };
        let polled = running.as_mut().poll(cx);
        if polled.is_pending() {
            self.running = Some(running);
        }
        polled
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.exchange.core().off_path.run(async move { drop(running.await) });
        }
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
                StateProjection::Handling { handler, exchange } => {
                    // An error of the service is no response: the exchange is dropped, and so abandoned.
                    let response = ready!(handler.poll(cx))?;
                    let Some(exchange) = exchange.as_mut().and_then(|at_work| at_work.0.take()) else {
                        return Poll::Ready(Ok(response));
                    };
                    if !exchange.is_opened() {
                        return Poll::Ready(Ok(response));
                    }
                    let discard = exchange.core().policy.on_server_error == OnServerError::Discard;
                    if discard && response.status().is_server_error() {
                        // What was committed by `close` stays committed, and so does its cookie.
                        exchange.abandon();
                        return Poll::Ready(Ok(answer(&exchange, response, Ok(()))));
                    }
                    match exchange.begin_commit() {
                        Ok(Some(prepared)) => {
                            let commit = Commit::new(exchange, prepared);
                            state.set(State::Committing { commit, response: Some(response) });
                        }
                        done => return Poll::Ready(Ok(answer(&exchange, response, done.map(drop)))),
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
        return private(refusal(error));
    }
    for cookie in exchange.cookies() {
        let cookie = HeaderValue::try_from(cookie).expect("a cookie is written in characters of a header");
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    private(response)
}

fn refusal<B: Default>(error: Error) -> Response<B> {
    let mut response = Response::new(B::default());
    let status = StatusCode::from_u16(error.kind().http_status()).expect("a status of this library is one");
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response.extensions_mut().insert(CommitError(Arc::new(error)));
    response
}

/// Keeps a response that belongs to one visitor out of caches.
fn private<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let varies = headers.get_all(VARY).iter().any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"cookie") || name.trim_ascii() == b"*")
    });
    if !varies {
        headers.append(VARY, HeaderValue::from_name(COOKIE));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl<F, ResBody> fmt::Debug for SessionFuture<F, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionFuture(..)")
    }
}
