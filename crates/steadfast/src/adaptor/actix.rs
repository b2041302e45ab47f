//! Sessions for actix-web: a middleware to wrap an application in, and extractors.
//!
//! [`SessionLayer`] goes to `wrap`. In a handler's signature [`Session`] reads and writes in the policy's concurrency
//! mode, [`SessionView`] reads; [`Exclusive`] and [`Merge`] choose the mode for one handler.
//! `Result<Session, steadfast::Error>` lets a handler live through an outage of the store. Middleware takes the
//! session with [`ServiceRequest::extract`], or with an extractor of `middleware::from_fn`.
//! `docs/actix.md` says what to know of actix-web beside.
//!
//! # Errors
//!
//! An extractor fails with [`NotSetUp`](crate::ErrorKind::NotSetUp) without the layer, and with whatever opening the session
//! fails with. As a response an [`Error`] has the status of its kind, a sentence for the visitor, and `Retry-After` with a
//! 503.
//!
//! # Cancel safety
//!
//! If a request is dropped before its handler has answered, nothing is written and nothing is held. A commit comes to its
//! end.
//!
//! # Examples
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use steadfast::{Session, Sessions};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = Sessions::connect("memory:").await?;
//!     let layer = sessions.layer();
//!     HttpServer::new(move || App::new().wrap(layer.clone()).route("/", web::get().to(count)))
//!         .bind(("127.0.0.1", 8080))?
//!         .run()
//!         .await?;
//!     sessions.shutdown().await;
//!     Ok(())
//! }
//!
//! async fn count(session: Session) -> Result<String, steadfast::Error> {
//!     let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
//!     session.set("visits", visits)?;
//!     Ok(format!("visit {visits}"))
//! }
//! ```

use std::fmt;
use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, USER_AGENT, VARY,
};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use pin_project_lite::pin_project;

use super::answer::{Field, ResponseHead, committed, not_committed, refuse, sentence};
use super::around::{AtWork, Attached, Commit, Next};
use super::request::{RequestHead, open};
use super::{CommitError, SessionLayer};
use crate::client::Headers;
use crate::error::{Error, Result};
use crate::lifecycle::{Access, Core, Exchange};
use crate::session::{Session, SessionView};

pub use super::mode::{Exclusive, Merge};

/// What an extractor waits for. Boxed, because actix-web wants its type to have a name.
type Taking<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

impl FromRequest for Session {
    type Error = Error;
    type Future = Taking<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        take(request, None, Self::new)
    }
}

impl FromRequest for SessionView {
    type Error = Error;
    type Future = Taking<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        take(request, Some(Access::View), Self::new)
    }
}

impl FromRequest for Exclusive {
    type Error = Error;
    type Future = Taking<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        take(request, Some(Access::Exclusive), |exchange| Self(Session::new(exchange)))
    }
}

impl FromRequest for Merge {
    type Error = Error;
    type Future = Taking<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        take(request, Some(Access::Merge), |exchange| Self(Session::new(exchange)))
    }
}

fn take<T: 'static>(
    request: &HttpRequest,
    access: Option<Access>,
    hand_out: fn(Arc<Exchange>) -> T,
) -> Taking<T> {
    let request = request.clone();
    Box::pin(async move { open(&request, access).await.map(hand_out) })
}

/// Answers with the error's status and a sentence for the visitor; what failed is for the log.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status(self.kind().http_status())
    }

    fn error_response(&self) -> HttpResponse {
        let mut response =
            HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(sentence(self.kind()));
        refuse(&mut response, self.kind());
        response
    }
}

/// Answers as a response does whose session could not be committed.
impl ResponseError for CommitError {
    fn status_code(&self) -> StatusCode {
        status(self.0.kind().http_status())
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(StatusCode::OK);
        not_committed(&mut response, self.0.kind());
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl<S, B> Transform<S, ServiceRequest> for SessionLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = SessionService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionService { inner, core: Arc::clone(&self.core) }))
    }
}

/// What a [`SessionLayer`] makes of a service.
#[derive(Debug)]
pub struct SessionService<S> {
    inner: S,
    core: Arc<Core>,
}

impl<S, B> Service<ServiceRequest> for SessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = SessionFuture<S::Future, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (at_work, attach) = AtWork::begin(&self.core, request.extensions().get());
        if let Some(attach) = attach {
            request.extensions_mut().insert(attach);
        }
        SessionFuture { state: State::Handling { handler: self.inner.call(request), at_work } }
    }
}

/// What came of a handler. An error that a middleware returned is a response, too.
type Answered<B> = Result<ServiceResponse<B>, actix_web::Error>;

pin_project! {
    /// The future of a [`SessionService`].
    #[must_use]
    pub struct SessionFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Handling {
            #[pin]
            handler: F,
            at_work: AtWork,
        },
        Committing {
            commit: Commit,
            answered: Option<Answered<B>>,
        },
    }
}

impl<F, B> Future for SessionFuture<F, B>
where
    F: Future<Output = Answered<B>>,
    B: MessageBody,
{
    type Output = Answered<EitherBody<B>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Handling { handler, at_work } => {
                    let answered = ready!(handler.poll(cx));
                    match at_work.answered(status_of(&answered).as_u16()) {
                        Next::Leave => {
                            return Poll::Ready(answered.map(ServiceResponse::map_into_left_body));
                        }
                        Next::Answer(exchange, result) => {
                            return Poll::Ready(answer(&exchange, answered, result));
                        }
                        Next::Commit(commit) => {
                            state.set(State::Committing { commit, answered: Some(answered) });
                        }
                    }
                }
                StateProjection::Committing { commit, answered } => {
                    let result = ready!(commit.poll_at_home(cx));
                    let answered = answered.take().expect("a future is not polled after it was ready");
                    return Poll::Ready(answer(&commit.exchange, answered, result));
                }
            }
        }
    }
}

fn status_of<B>(answered: &Answered<B>) -> StatusCode {
    match answered {
        Ok(response) => response.status(),
        Err(error) => error.error_response().status(),
    }
}

/// Makes the response that leaves after the commit.
fn answer<B>(exchange: &Exchange, answered: Answered<B>, result: Result<()>) -> Answered<EitherBody<B>> {
    match (answered, result.map_err(|error| CommitError(Arc::new(error)))) {
        (Ok(mut response), Ok(())) => {
            committed(response.response_mut(), exchange.cookies());
            Ok(response.map_into_left_body())
        }
        (Ok(response), Err(error)) => Ok(response.error_response(error).map_into_right_body()),
        (Err(mut answer), Ok(())) => {
            let cookies: Vec<_> = exchange.cookies().collect();
            answer.add_response_mapper(move |mut response| {
                committed(&mut response, cookies.iter().cloned());
                response
            });
            Err(answer)
        }
        (Err(_), Err(error)) => Err(error.into()),
    }
}

impl RequestHead for HttpRequest {
    const NO_LAYER: &'static str = "no sessions around this route; add `.wrap(sessions.layer())`";
    const NO_PEER: &'static str =
        "`match_ip` needs the peer's address, which a connection over a Unix socket does not have";

    fn exchange(&self) -> Option<Arc<Exchange>> {
        self.extensions().get::<Attached>().map(|attached| Arc::clone(&attached.0))
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        HttpRequest::headers(self).get_all(COOKIE).map(HeaderValue::as_bytes)
    }

    fn user_agent(&self) -> &[u8] {
        HttpRequest::headers(self).get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes)
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer_addr().map(|peer| peer.ip())
    }

    fn headers(&self) -> &impl Headers {
        HttpRequest::headers(self)
    }
}

impl Headers for HeaderMap {
    fn all<'a>(&'a self, name: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.get_all(name).map(HeaderValue::as_bytes)
    }
}

impl<B> ResponseHead for HttpResponse<B> {
    fn set_status(&mut self, code: u16) {
        *self.status_mut() = status(code);
    }

    fn send_cookie(&mut self, cookie: String) {
        let line = HeaderValue::try_from(cookie).expect("a cookie is written in characters of a header");
        self.headers_mut().append(SET_COOKIE, line);
    }

    fn add_unless(&mut self, field: Field, mut says: impl FnMut(&[u8]) -> bool) {
        if !self.headers().get_all(name(field)).any(|line| says(line.as_bytes())) {
            self.headers_mut().append(name(field), HeaderValue::from_static(field.text()));
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a status of this library is one")
}

fn name(field: Field) -> HeaderName {
    match field {
        Field::CacheControl => CACHE_CONTROL,
        Field::RetryAfter => RETRY_AFTER,
        Field::Vary => VARY,
    }
}

impl<F, B> fmt::Debug for SessionFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionFuture(..)")
    }
}
