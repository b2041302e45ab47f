//! Handlers that do what handlers in the field do: panic, fail, poll, stream, and work on after the answer.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;

use super::Node;
use super::identity::no_session;
use super::open::{Open, View, sleep};
use crate::answers::{Answer, Fault, ok};

/// How often a slow body sends something.
const PIECE: Duration = Duration::from_millis(20);

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/panic", get(panic))
        .route("/fail", get(fail))
        .route("/slowbody", get(slow_body))
        .route("/poll", get(poll))
        .route("/detached", get(detached))
}

#[expect(clippy::panic, reason = "to show that nothing is written then")]
async fn panic(open: Open) -> Answer {
    open.session.set("n", 999)?;
    open.sleep().await?;
    panic!("a handler that panics, as asked for")
}

async fn fail(open: Open) -> Result<Response, Fault> {
    open.session.set("n", 999)?;
    open.sleep().await?;
    let status = StatusCode::from_u16(open.query.number("status")?.unwrap_or(500))
        .map_err(|_| Fault::parameter("`status` is no HTTP status"))?;
    Ok((status, axum::Json(serde_json::json!({ "status": status.as_u16() }))).into_response())
}

async fn slow_body(open: Open) -> Result<impl IntoResponse, Fault> {
    open.session.set("n", 777)?;
    let ends = Instant::now() + open.query.millis("ms")?;
    let pieces = stream::unfold((), move |()| async move {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        sleep(PIECE.min(left)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"piece\n")), ()))
    });
    Ok(([(CONTENT_TYPE, "text/plain")], Body::from_stream(pieces)))
}

async fn poll(View { session, query }: View) -> Answer {
    session.do_not_extend();
    sleep(query.millis("sleep")?).await;
    ok()
}

async fn detached(open: Open) -> Answer {
    let (key, time) = (open.query.counter()?, open.query.millis("ms")?);
    let handle = open.session.detach().ok_or_else(no_session)?;
    tokio::spawn(async move {
        sleep(time).await;
        // Whoever asked has long been answered; what fails is in the events.
        drop(handle.edit(|session| session.increment(&key, 1)).await);
    });
    ok()
}
