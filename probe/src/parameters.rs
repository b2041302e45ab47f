//! The query string: keys, values and times.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use steadfast::Value;

use crate::answers::{Fault, from_json};

/// Longest that a request may ask a handler to wait.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Most bytes that `rep` makes of a value: more than any session may hold.
const MAX_REPEATED: usize = 64 * 1_024 * 1_024;

/// The parameters of a request, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// Returns a parameter as it came.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the session key that `k` or `k64` names, if one of them is there.
    pub(crate) fn key_if_any(&self) -> Result<Option<Vec<u8>>, Fault> {
        match (self.text("k"), self.text("k64")) {
            (Some(key), _) => Ok(Some(key.as_bytes().to_vec())),
            (None, Some(key)) => from_base64("k64", key).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Returns the session key that `k` or `k64` names.
    pub(crate) fn key(&self) -> Result<Vec<u8>, Fault> {
        self.key_if_any()?.ok_or_else(|| Fault::parameter("`k` or `k64` is missing"))
    }

    /// Returns the session key, or `n`, which counters go by.
    pub(crate) fn counter(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.key_if_any()?.unwrap_or_else(|| b"n".to_vec()))
    }

    /// Returns the value that `v`, `v64` or `j` gives.
    pub(crate) fn value(&self) -> Result<Value, Fault> {
        if let Some(text) = self.text("v") {
            let times: usize = self.number("rep")?.unwrap_or(1);
            if text.len().checked_mul(times).is_none_or(|bytes| bytes > MAX_REPEATED) {
                return Err(Fault::parameter("`rep` makes a value of more than 64 MiB"));
            }
            return Ok(Value::String(text.repeat(times)));
        }
        if let Some(bytes) = self.text("v64") {
            return from_base64("v64", bytes).map(Value::Bytes);
        }
        self.json("j")?.map(from_json).ok_or_else(|| Fault::parameter("`v`, `v64` or `j` is missing"))
    }

    /// Returns a parameter that is JSON.
    pub(crate) fn json(&self, name: &'static str) -> Result<Option<serde_json::Value>, Fault> {
        let parse = |text| serde_json::from_str(text).map_err(|_| wrong(name, "is no JSON"));
        self.text(name).map(parse).transpose()
    }

    /// Returns a parameter that is a whole number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Fault> {
        let parse = |text: &str| text.parse().map_err(|_| wrong(name, "is no number that fits"));
        self.text(name).map(parse).transpose()
    }

    /// Returns a time in milliseconds, zero if it is not there.
    pub(crate) fn millis(&self, name: &'static str) -> Result<Duration, Fault> {
        let wait = Duration::from_millis(self.number(name)?.unwrap_or(0));
        if wait > MAX_WAIT { Err(wrong(name, "is longer than ten minutes")) } else { Ok(wait) }
    }

    /// Returns a time in seconds, decimals allowed, zero if it is not there.
    pub(crate) fn seconds(&self, name: &'static str) -> Result<Duration, Fault> {
        let seconds: f64 = self.number(name)?.unwrap_or(0.0);
        Duration::try_from_secs_f64(seconds).map_err(|_| wrong(name, "is no length of time"))
    }

    /// Reports whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0")
    }
}

fn wrong(name: &'static str, why: &'static str) -> Fault {
    Fault::parameter(format!("`{name}` {why}"))
}

/// Decodes either alphabet, with padding or without; a plus sign that a query turned into a space counts.
fn from_base64(name: &'static str, text: &str) -> Result<Vec<u8>, Fault> {
    let standard: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            ' ' | '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(standard).map_err(|_| wrong(name, "is no base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_may_be_any_bytes() {
        let query = Query::parse(Some("k64=AP8&v64=-_%2F%2B%3D"));
        assert_eq!(query.key().unwrap(), [0, 0xff]);
        assert_eq!(query.value().unwrap(), Value::Bytes(vec![0xfb, 0xff, 0xfe]));
        assert_eq!(Query::parse(Some("k=")).key().unwrap(), b"");
    }

    #[test]
    fn a_value_is_repeated_or_json() {
        assert_eq!(Query::parse(Some("v=ab&rep=3")).value().unwrap(), Value::from("ababab"));
        assert_eq!(Query::parse(Some("j=%5B1%5D")).value().unwrap(), Value::from(vec![Value::from(1)]));
        assert!(Query::parse(Some("v=ab&rep=99999999999")).value().is_err());
        assert!(Query::parse(None).value().is_err());
    }
}
