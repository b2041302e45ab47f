//! Answers: JSON, for results and for errors alike.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde_json::{Map, json};
use steadfast::{Error, PhpObject, Timestamp, Value, chain};

/// What a route answers.
pub(crate) type Answer = Result<Reply, Fault>;

/// A response, whichever framework sends it.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Body,
}

/// The body of a response.
pub(crate) enum Body {
    Whole(Bytes),
    Pieces(BoxStream<'static, Result<Bytes, Infallible>>),
}

impl Reply {
    /// Makes a reply whose body is there already.
    pub(crate) fn whole(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type, body: Body::Whole(body.into()) }
    }

    /// Makes a reply of JSON.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, ..Self::whole("application/json", value.to_string()) }
    }
}

/// Makes an answer of JSON.
#[expect(clippy::needless_pass_by_value, reason = "every route makes its value for this")]
pub(crate) fn answer(value: serde_json::Value) -> Answer {
    Ok(Reply::json(200, &value))
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
    /// The library says so. The status and the headers are those that an application gets by default.
    Session(Error),
    /// The handler panicked.
    Panic,
}

impl Fault {
    pub(crate) fn parameter(why: impl Into<String>) -> Self {
        Self::Parameter(why.into())
    }

    /// Answers what it is.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Parameter(_) => self.named(400, "bad_parameter"),
            Self::Session(error) => explain(error),
            Self::Panic => self.named(500, "panic"),
        }
    }

    fn named(&self, status: u16, name: &str) -> Reply {
        Reply::json(status, &json!({ "error": name, "message": self.to_string() }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(why) => f.write_str(why),
            Self::Session(error) => chain(error).fmt(f),
            Self::Panic => f.write_str("the handler panicked"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

/// Explains an error of the library, which answers the visitor in a sentence or, after a failed commit, without
/// words.
pub(crate) fn explain(error: &Error) -> Reply {
    let why = json!({ "error": error.kind().as_str(), "message": chain(error).to_string() });
    Reply::json(error.kind().http_status(), &why)
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
