//! Ordinary values: set, get, change, remove.

use serde_json::json;
use steadfast::Value;

use super::open::{Open, View, sleep};
use super::routes;
use crate::answers::{
    Answer, Fault, answer, from_json, key_text, ok, text_or_bytes, to_json, to_json_or_null,
};

routes! {
    "/touch" => touch,
    "/set" => set,
    "/get" => read,
    "/view" => view,
    "/has" => has,
    "/remove" => remove,
    "/wipe" => wipe,
    "/push" => push,
    "/incr" => incr,
    "/update" => update,
    "/hold" => hold,
    "/take" => take,
}

async fn touch(open: Open) -> Answer {
    open.sleep().await?;
    ok()
}

async fn set(open: Open) -> Answer {
    open.sleep().await?;
    let Open { session, query, .. } = open;
    match query.json("all")? {
        Some(serde_json::Value::Object(values)) => {
            session.set_all(values.into_iter().map(|(key, value)| (key, from_json(value))))?;
        }
        Some(_) => return Err(Fault::parameter("`all` is no JSON object")),
        None => session.set(&query.key()?, query.value()?)?,
    }
    ok()
}

async fn read(open: Open) -> Answer {
    open.sleep().await?;
    match open.query.key_if_any()? {
        Some(key) => one(key.clone(), open.session.get(&key)?),
        None => all(open.session.all()?),
    }
}

async fn view(View { session, query }: View) -> Answer {
    sleep(query.millis("sleep")?).await;
    match query.key_if_any()? {
        Some(key) => one(key.clone(), session.get(&key)?),
        None => all(session.all()?),
    }
}

fn one(key: Vec<u8>, value: Option<Value>) -> Answer {
    answer(json!({ "k": text_or_bytes(key), "v": to_json_or_null(value) }))
}

fn all(values: std::collections::BTreeMap<String, Value>) -> Answer {
    answer(json!({ "k": null, "v": to_json(Value::Map(values.into_iter().collect())) }))
}

async fn has(open: Open) -> Answer {
    open.sleep().await?;
    let key = open.query.key()?;
    let has = open.session.has(&key);
    answer(json!({ "k": text_or_bytes(key), "has": has }))
}

async fn remove(open: Open) -> Answer {
    open.sleep().await?;
    open.session.remove(open.query.key()?)?;
    ok()
}

async fn wipe(open: Open) -> Answer {
    open.sleep().await?;
    open.session.clear()?;
    ok()
}

async fn push(open: Open) -> Answer {
    open.sleep().await?;
    let Open { session, query, .. } = open;
    let (key, value) = (query.key()?, query.value()?);
    if query.is_on("init") {
        session.set(&key, Value::List(Vec::new()))?;
    }
    match query.text("sub") {
        Some(entry) if !entry.is_empty() => session.push_entry(&key, entry, value)?,
        _ => session.push(&key, value)?,
    }
    answer(json!({ "v": to_json_or_null(session.get(&key)?) }))
}

async fn incr(open: Open) -> Answer {
    let key = open.query.counter()?;
    let n = open.session.get::<i64>(&key)?.unwrap_or(0).saturating_add(1);
    open.sleep().await?;
    open.session.set(&key, n)?;
    answer(json!({ "n": n, "wait_ms": open.wait_ms() }))
}

async fn update(open: Open) -> Answer {
    open.sleep().await?;
    let n = open.session.increment(&open.query.counter()?, 1)?;
    answer(json!({ "n": n }))
}

async fn hold(open: Open) -> Answer {
    sleep(open.query.millis("ms")?).await;
    answer(json!({ "ok": true, "wait_ms": open.wait_ms() }))
}

async fn take(open: Open) -> Answer {
    open.sleep().await?;
    answer(json!({ "v": to_json_or_null(open.session.take(&open.query.key()?)?) }))
}

/// Shows keys in an answer.
pub(super) fn shown(keys: Vec<Vec<u8>>) -> Vec<String> {
    keys.into_iter().map(key_text).collect()
}
