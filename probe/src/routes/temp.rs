//! Temp values.

use serde_json::json;

use super::open::Open;
use super::routes;
use super::values::shown;
use crate::answers::{Answer, answer, ok, to_json_or_null};

routes! {
    "/temp" => temp,
    "/marktemp" => mark,
    "/readtemp" => read,
    "/removetemp" => remove,
}

async fn temp(open: Open) -> Answer {
    open.sleep().await?;
    let Open { session, query, .. } = open;
    session.set_temp(&query.key()?, query.value()?, query.seconds("ttl")?)?;
    ok()
}

async fn mark(open: Open) -> Answer {
    open.sleep().await?;
    let marked = open.session.mark_temp([open.query.key()?], open.query.seconds("ttl")?)?;
    answer(json!({ "ok": marked }))
}

async fn read(open: Open) -> Answer {
    open.sleep().await?;
    let (session, key) = (open.session, open.query.key()?);
    answer(json!({
        "temp": to_json_or_null(session.temp_get(&key)?),
        "keys": shown(session.temp_keys()),
    }))
}

async fn remove(open: Open) -> Answer {
    open.sleep().await?;
    open.session.remove_temp(open.query.key()?)?;
    ok()
}
