//! What is known of a session and of the node.

use std::num::NonZeroUsize;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value, json};
use steadfast::{Mark, Metadata};

use super::Node;
use super::identity::no_session;
use super::open::View;
use crate::answers::{Answer, Fault, answer, key_text, seconds, to_json_or_null};
use crate::parameters::Query;

/// Records that `/purge` removes at most, unless told otherwise.
const PURGE_LIMIT: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/meta", get(meta))
        .route("/dump", get(dump))
        .route("/raw", get(raw))
        .route("/purge", get(purge))
        .route("/metrics", get(metrics))
}

async fn meta(State(node): State<Node>, View { session, .. }: View) -> Answer {
    let policy = node.sessions.policy();
    let mut meta = json!({
        "driver": node.sessions.driver(),
        "layout": node.layout,
        "concurrency": policy.concurrency().as_str(),
        "node": policy.node(),
    });
    let of_session = session.metadata();
    meta["tag"] = json!(of_session.as_ref().map(|known| &known.tag));
    let times: [(&str, fn(&Metadata) -> steadfast::Timestamp); 5] = [
        ("created_at", |known| known.created_at),
        ("last_active", |known| known.last_active),
        ("expires_at", |known| known.expires_at),
        ("absolute_expires_at", |known| known.absolute_expires_at),
        ("rotated_at", |known| known.rotated_at),
    ];
    for (name, time) in times {
        meta[name] = of_session.as_ref().map_or(Value::Null, |known| seconds(time(known)));
    }
    meta["persistent"] = json!(of_session.as_ref().map(|known| known.persistent));
    meta["user"] = json!(of_session.and_then(|known| known.user));
    answer(meta)
}

/// Shows the session as it is stored: a view ages no flash.
async fn dump(View { session, .. }: View) -> Answer {
    let mut values = Map::new();
    for key in session.keys() {
        let mark = session.mark_of(&key).map_or(Value::Null, mark_json);
        let value = to_json_or_null(session.get(&key)?);
        values.insert(key_text(key), json!({ "v": value, "mark": mark }));
    }
    answer(json!({ "values": values }))
}

fn mark_json(mark: Mark) -> Value {
    match mark {
        Mark::None => Value::Null,
        Mark::FlashNew => json!("flash-new"),
        Mark::FlashOld => json!("flash-old"),
        Mark::Temp(until) => json!({ "temp_until": seconds(until) }),
    }
}

async fn raw(View { session, .. }: View) -> Result<impl IntoResponse, Fault> {
    let bytes = session.record_bytes().ok_or_else(no_session)?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes))
}

async fn purge(State(node): State<Node>, query: Query) -> Answer {
    let limit = query.number("limit")?.unwrap_or(PURGE_LIMIT);
    answer(json!({ "purged": node.sessions.purge(limit).await? }))
}

async fn metrics(State(node): State<Node>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], node.metrics.render())
}
