//! Answers: JSON, for results and for errors alike.

use std::borrow::Cow;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Json, http::StatusCode, middleware::Next};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};
use steadfast::{CommitError, Error, PhpObject, Timestamp, Value, chain};

/// What a route answers.
pub(crate) type Answer = Result<Json<serde_json::Value>, Fault>;

/// Makes an answer of JSON.
#[expect(clippy::unnecessary_wraps, reason = "every route returns an `Answer`")]
pub(crate) fn answer(value: serde_json::Value) -> Answer {
    Ok(Json(value))
}

/// Answers that all went well.
pub(crate) fn ok() -> Answer {
    answer(json!({ "ok": true }))
}

/// Why a route has no result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A parameter is missing or wrong.
    Parameter(String),
    /// The library says so.
    Session(Error),
}

impl Fault {
    pub(crate) fn parameter(why: impl Into<String>) -> Self {
        Self::Parameter(why.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Parameter(why) => {
                let body = json!({ "error": "bad_parameter", "message": why });
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
            // The status and the headers are those that an application gets by default.
            Self::Session(error) => {
                let explanation = explain(&error);
                with_body(&error.into_response(), explanation)
            }
        }
    }
}

/// Explains a failed commit, which the layer answers without words.
pub(crate) async fn explain_failures(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.extensions().get::<CommitError>() {
        Some(CommitError(error)) => with_body(&response, explain(error)),
        None => response,
    }
}

/// Answers for a handler that panicked.
pub(crate) fn panicked() -> Response {
    let body = json!({ "error": "panic", "message": "the handler panicked" });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

fn explain(error: &Error) -> Json<serde_json::Value> {
    Json(json!({ "error": error.kind().as_str(), "message": chain(error).to_string() }))
}

/// Puts another body behind a response's head.
fn with_body(response: &Response, body: Json<serde_json::Value>) -> Response {
    let mut explained = body.into_response();
    *explained.status_mut() = response.status();
    for (name, value) in response.headers() {
        if name != axum::http::header::CONTENT_TYPE && name != axum::http::header::CONTENT_LENGTH {
            explained.headers_mut().append(name, value.clone());
        }
    }
    explained
}

/// Shows a value as JSON: bytes that are no UTF-8 as `{"$bytes": base64}`, numbers that JSON does not know
/// as `{"$float": name}`, objects of PHP as `{"$object": class, "properties": {…}}`.
pub(crate) fn to_json(value: Value) -> serde_json::Value {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(n) => integer(n),
        Value::Float(n) if n.is_finite() => json!(n),
        Value::Float(n) => json!({ "$float": float_name(n) }),
        Value::String(text) => json!(text),
        Value::Bytes(bytes) => text_or_bytes(bytes),
        Value::List(items) => items.into_iter().map(to_json).collect(),
        Value::Map(entries) => {
            entries.into_iter().map(|(k, v)| (k, to_json(v))).collect::<Map<_, _>>().into()
        }
        Value::Object(object) => object_to_json(&object),
        // Null, and what a later version may add.
        _ => serde_json::Value::Null,
    }
}

/// Shows an object of PHP: its properties, the case of an enum, or the bytes that only its class reads.
fn object_to_json(object: &PhpObject) -> serde_json::Value {
    let class = object.class();
    if let Some(case) = object.case() {
        return json!({ "$object": class, "case": case });
    }
    if let Some(data) = object.data() {
        return json!({ "$object": class, "data": text_or_bytes(data.to_vec()) });
    }
    let shown = |(name, value): (Cow<'_, str>, &Value)| (name.into_owned(), to_json(value.clone()));
    json!({ "$object": class, "properties": object.properties().map(shown).collect::<Map<_, _>>() })
}

/// Shows a value that may not be there.
pub(crate) fn to_json_or_null(value: Option<Value>) -> serde_json::Value {
    value.map_or(serde_json::Value::Null, to_json)
}

/// Shows bytes as the text they are, or marked as bytes.
pub(crate) fn text_or_bytes(bytes: Vec<u8>) -> serde_json::Value {
    match String::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(error) => json!({ "$bytes": STANDARD.encode(error.as_bytes()) }),
    }
}

/// Shows a key where JSON takes a text only.
pub(crate) fn key_text(key: Vec<u8>) -> String {
    String::from_utf8(key).unwrap_or_else(|error| format!("$bytes:{}", STANDARD.encode(error.as_bytes())))
}

/// Shows an instant in seconds since the epoch.
pub(crate) fn seconds(at: Timestamp) -> serde_json::Value {
    json!(at.saturating_since(Timestamp::EPOCH).as_secs_f64())
}

/// Takes a value that came as JSON.
pub(crate) fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => Value::Int(n.into()),
            (_, Some(n), _) => Value::Int(n.into()),
            (_, _, n) => Value::Float(n.unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            Value::Map(entries.into_iter().map(|(k, v)| (k, from_json(v))).collect())
        }
    }
}

fn integer(n: i128) -> serde_json::Value {
    match (i64::try_from(n), u64::try_from(n)) {
        (Ok(n), _) => json!(n),
        (_, Ok(n)) => json!(n),
        _ => json!(n.to_string()),
    }
}

fn float_name(n: f64) -> &'static str {
    match n {
        f64::INFINITY => "INF",
        f64::NEG_INFINITY => "-INF",
        _ => "NAN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_does_not_know_is_marked() {
        assert_eq!(to_json(Value::Bytes(vec![0xff])), json!({ "$bytes": "/w==" }));
        assert_eq!(to_json(Value::Bytes(b"text".to_vec())), json!("text"));
        assert_eq!(to_json(Value::Float(f64::NAN)), json!({ "$float": "NAN" }));
        assert_eq!(to_json(Value::Float(f64::NEG_INFINITY)), json!({ "$float": "-INF" }));
        assert_eq!(key_text(vec![0xff]), "$bytes:/w==");
    }

    #[test]
    fn json_goes_in_and_comes_out_unchanged() {
        let value = json!({ "a": [1, -2, 1.5, true, null, "x"], "b": { "c": u64::MAX } });
        assert_eq!(to_json(from_json(value.clone())), value);
    }
}
