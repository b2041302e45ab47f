//! How the text of a setting becomes its value.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::client::{Cidr, ProxyHeader};
use crate::policy::{Codec, Concurrency, IpMatch, Layout, OnServerError, SameSite, parse_duration};

/// Reads a value, or says what it must be.
pub(super) trait FromText: Sized {
    /// Whether a fault may show the text.
    const SHOWN: bool = true;

    fn from_text(text: &str) -> Result<Self, String>;
}

/// A connection string, which may hold a password.
#[derive(Clone)]
pub(super) struct Dsn(pub(super) String);

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dsn(..)")
    }
}

impl FromText for Dsn {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

/// The keys themselves.
#[derive(Clone, Debug)]
pub(super) struct Keys(pub(super) Ring);

/// The keys of a file.
#[derive(Clone, Debug)]
pub(super) struct KeyFile(pub(super) Ring);

#[cfg(feature = "sealed")]
pub(super) type Ring = crate::KeyRing;
/// There is none without the feature.
#[cfg(not(feature = "sealed"))]
pub(super) type Ring = ();

impl FromText for Keys {
    const SHOWN: bool = false;

    fn from_text(text: &str) -> Result<Self, String> {
        keys(text).map(Self)
    }
}

impl FromText for KeyFile {
    fn from_text(path: &str) -> Result<Self, String> {
        key_file(path).map(Self)
    }
}

#[cfg(feature = "sealed")]
fn keys(text: &str) -> Result<Ring, String> {
    Ring::parse(text)
}

#[cfg(feature = "sealed")]
fn key_file(path: &str) -> Result<Ring, String> {
    Ring::from_file(path).map_err(|error| format!("is refused: {}", crate::error::chain(&error)))
}

#[cfg(not(feature = "sealed"))]
fn keys(_: &str) -> Result<Ring, String> {
    Err("needs the feature `sealed`".into())
}

#[cfg(not(feature = "sealed"))]
use keys as key_file;

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl FromText for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        parse_duration(text)
            .ok_or_else(|| "is no length of time: write it as 30m, 1h30m, 250ms or in seconds".into())
    }
}

impl FromText for usize {
    fn from_text(text: &str) -> Result<Self, String> {
        number(text)
    }
}

impl FromText for u32 {
    fn from_text(text: &str) -> Result<Self, String> {
        number(text)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "is no number: write it in digits only".into())
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        word(text, &[("true", true), ("false", false)])
    }
}

impl FromText for Concurrency {
    fn from_text(text: &str) -> Result<Self, String> {
        word(text, &[("exclusive", Self::Exclusive), ("merge", Self::Merge)])
    }
}

impl FromText for Codec {
    fn from_text(text: &str) -> Result<Self, String> {
        if cfg!(not(feature = "json")) && text == "json" {
            return Err("needs the feature `json`".into());
        }
        let words = [
            ("messagepack", Self::MessagePack),
            #[cfg(feature = "json")]
            ("json", Self::Json),
        ];
        word(text, &words)
    }
}

impl FromText for Layout {
    fn from_text(text: &str) -> Result<Self, String> {
        if cfg!(not(feature = "php")) && ["ci4", "ci3", "php"].contains(&text) {
            return Err("needs the feature `php`".into());
        }
        let words = [
            Self::Native,
            #[cfg(feature = "php")]
            Self::CodeIgniter4,
            #[cfg(feature = "php")]
            Self::CodeIgniter3,
            #[cfg(feature = "php")]
            Self::Php,
        ];
        word(text, &words.map(|layout| (layout.as_str(), layout)))
    }
}

impl FromText for OnServerError {
    fn from_text(text: &str) -> Result<Self, String> {
        word(text, &[("commit", Self::Commit), ("discard", Self::Discard)])
    }
}

impl FromText for SameSite {
    fn from_text(text: &str) -> Result<Self, String> {
        word(text, &[("lax", Self::Lax), ("strict", Self::Strict), ("none", Self::None)])
    }
}

impl FromText for ProxyHeader {
    fn from_text(text: &str) -> Result<Self, String> {
        word(text, &[("x-forwarded-for", Self::XForwardedFor), ("forwarded", Self::Forwarded)])
    }
}

impl FromText for Option<Duration> {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(None),
            _ => Duration::from_text(text).map(Some).map_err(|why| format!("{why}, or `off`")),
        }
    }
}

impl FromText for Option<IpMatch> {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => return Ok(None),
            "exact" => return Ok(Some(IpMatch::Exact)),
            _ => {}
        }
        let prefixes = text.split_once('/').and_then(|(v4, v6)| Some((v4.parse().ok()?, v6.parse().ok()?)));
        let (v4, v6) = prefixes.ok_or(
            "must be `off`, `exact`, or the bits of an IPv4 and an IPv6 address that must match: `24/64`",
        )?;
        Ok(Some(IpMatch::Prefix { v4, v6 }))
    }
}

impl FromText for Vec<Cidr> {
    /// Reads networks with commas between them; nothing means none.
    fn from_text(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::new());
        }
        let network =
            |part: &str| Cidr::from_str(part.trim()).map_err(|error| format!("is refused: {error}"));
        text.split(',').map(network).collect()
    }
}

/// Finds the value of a word, in any case of letters.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        return Ok(*value);
    }
    let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    Err(format!("must be {}", known.join(" or ")))
}

/// A value of a settings file as the text it would be in the environment: a text, a number, `true` or
/// `false`, or a list of texts, which gets commas.
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyText)
    }
}

struct AnyText;

impl<'de> Visitor<'de> for AnyText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false, or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.into()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        let mut text = String::new();
        while let Some(part) = list.next_element::<String>()? {
            let comma = if text.is_empty() { "" } else { "," };
            write!(text, "{comma}{part}").expect("a string takes all that is written");
        }
        Ok(Text(text))
    }
}
