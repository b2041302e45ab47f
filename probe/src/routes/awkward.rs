//! Handlers that do what handlers in the field do: panic, fail, poll, stream, and work on after the answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::identity::no_session;
use super::open::{Open, View, sleep};
use super::routes;
use crate::answers::{Answer, Body, Fault, Reply, ok};

/// How often a slow body sends something.
const PIECE: Duration = Duration::from_millis(20);

routes! {
    "/panic" => panic,
    "/fail" => fail,
    "/slowbody" => slow_body,
    "/poll" => poll,
    "/detached" => detached,
}

#[expect(clippy::panic, reason = "to show that nothing is written then")]
async fn panic(open: Open) -> Answer {
    open.session.set("n", 999)?;
    open.sleep().await?;
    panic!("a handler that panics, as asked for")
}

async fn fail(open: Open) -> Answer {
    open.session.set("n", 999)?;
    open.sleep().await?;
    let status = open.query.number("status")?.unwrap_or(500);
    if !(200..1_000).contains(&status) {
        return Err(Fault::parameter("`status` is no HTTP status of an answer"));
    }
    Ok(Reply::json(status, &json!({ "status": status })))
}

async fn slow_body(open: Open) -> Answer {
    open.session.set("n", 777)?;
    let ends = Instant::now() + open.query.millis("ms")?;
    let pieces = stream::unfold((), move |()| async move {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        sleep(PIECE.min(left)).await;
        Some((Ok(Bytes::from_static(b"piece\n")), ()))
    });
    Ok(Reply { status: 200, content_type: "text/plain", body: Body::Pieces(pieces.boxed()) })
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
