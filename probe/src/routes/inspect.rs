//! What is known of a session and of the node.

use std::num::NonZeroUsize;

use serde_json::{Map, Value, json};
use steadfast::{Mark, Metadata};

use super::identity::no_session;
use super::open::View;
use super::{Node, routes};
use crate::answers::{Answer, Reply, answer, key_text, seconds, to_json_or_null};
use crate::parameters::Query;

/// Records that `/purge` removes at most, unless told otherwise.
const PURGE_LIMIT: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");

routes! {
    "/meta" => meta,
    "/dump" => dump,
    "/raw" => raw,
    "/purge" => purge,
    "/metrics" => metrics,
}

async fn meta(node: Node, View { session, .. }: View) -> Answer {
    let (policy, known) = (node.sessions.policy(), session.metadata());
    let of = |show: fn(&Metadata) -> Value| known.as_ref().map_or(Value::Null, show);
    answer(json!({
        "tag": of(|known| json!(known.tag)),
        "created_at": of(|known| seconds(known.created_at)),
        "last_active": of(|known| seconds(known.last_active)),
        "expires_at": of(|known| seconds(known.expires_at)),
        "absolute_expires_at": of(|known| seconds(known.absolute_expires_at)),
        "rotated_at": of(|known| seconds(known.rotated_at)),
        "driver": node.sessions.driver(),
        "layout": node.sessions.policy().layout().as_str(),
        "concurrency": policy.concurrency().as_str(),
        "node": policy.node(),
        "persistent": of(|known| json!(known.persistent)),
        "user": of(|known| json!(known.user)),
    }))
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

async fn raw(View { session, .. }: View) -> Answer {
    let bytes = session.record_bytes().ok_or_else(no_session)?;
    Ok(Reply::whole("application/octet-stream", bytes))
}

async fn purge(node: Node, query: Query) -> Answer {
    let limit = query.number("limit")?.unwrap_or(PURGE_LIMIT);
    answer(json!({ "purged": node.sessions.purge(limit).await? }))
}

async fn metrics(node: Node) -> Answer {
    Ok(Reply::whole("text/plain; version=0.0.4", node.metrics.render()))
}
