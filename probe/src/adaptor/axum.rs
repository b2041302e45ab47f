//! axum: a runtime with some threads, each of which serves any request.

use std::any::Any;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn, map_request};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use steadfast::{CommitError, Session, SessionView};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

use crate::answers::{Body, Fault, Reply, explain};
use crate::parameters::Query;
use crate::routes::{self, Arrived, Node, Open, View};
use crate::server::{self, Failure};

/// Serves until told to stop, and finishes what runs.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    node: Node,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let listener = TcpListener::from_std(listener)?;
    server::tell(listener.local_addr()?)?;
    // Answers are small, and their last packet must not wait for an acknowledgement. Failing costs time only.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let app = router(node).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}

fn router(node: Node) -> Router {
    let sessions = node.sessions.layer();
    routes::axum()
        .with_state(node)
        .layer(sessions)
        .layer(from_fn(explain_failures))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| Fault::Panic.into_response()))
        .layer(map_request(note_arrival))
}

async fn note_arrival(mut request: Request) -> Request {
    request.extensions_mut().insert(Arrived::now());
    request
}

/// Explains a failed commit, which the layer answers without words.
async fn explain_failures(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.extensions().get::<CommitError>() {
        Some(CommitError(error)) => with_head_of(&response, explain(error)),
        None => response,
    }
}

impl<S: Sync> FromRequestParts<S> for Open {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let session = Session::from_request_parts(parts, state).await?;
        Ok(Self::new(session, parts.uri.query(), parts.extensions.get().copied()))
    }
}

impl<S: Sync> FromRequestParts<S> for View {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let session = SessionView::from_request_parts(parts, state).await?;
        Ok(Self::new(session, parts.uri.query()))
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self::parse(parts.uri.query()))
    }
}

impl FromRequestParts<Self> for Node {
    type Rejection = Fault;

    async fn from_request_parts(_: &mut Parts, node: &Self) -> Result<Self, Fault> {
        Ok(node.clone())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(match self.body {
            Body::Whole(bytes) => AxumBody::from(bytes),
            Body::Pieces(pieces) => AxumBody::from_stream(pieces),
        });
        *response.status_mut() = self.status.try_into().expect("an answer has a status of HTTP");
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let reply = self.reply();
        match self {
            Self::Session(error) => with_head_of(&error.into_response(), reply),
            Self::Parameter(_) | Self::Panic => reply.into_response(),
        }
    }
}

/// Puts a reply behind the head of a response.
fn with_head_of(response: &Response, reply: Reply) -> Response {
    let mut explained = reply.into_response();
    *explained.status_mut() = response.status();
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            explained.headers_mut().append(name, value.clone());
        }
    }
    explained
}
