//! `__ci_vars`: which keys are flash or temp, as CodeIgniter writes it.
//!
//! An array from key to marker: `new` and `old` for flash, the last second for temp. What is no marker there
//! counts as flash in its last request, as it does for CodeIgniter; a table that is no array marks nothing.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::record::Mark;
use crate::time::Timestamp;

/// The markers, in PHP's order.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Markers(pub(super) Vec<(Vec<u8>, Marker)>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    New,
    Old,
    Temp(i64),
}

impl From<Marker> for Mark {
    fn from(marker: Marker) -> Self {
        match marker {
            Marker::New => Self::FlashNew,
            Marker::Old => Self::FlashOld,
            Marker::Temp(second) => Self::Temp(from_second(second)),
        }
    }
}

impl Marker {
    /// Returns the marker of a value; `None` for an ordinary one.
    pub(super) fn of(mark: Mark) -> Option<Self> {
        match mark {
            Mark::None => None,
            Mark::FlashNew => Some(Self::New),
            Mark::FlashOld => Some(Self::Old),
            Mark::Temp(until) => Some(Self::Temp(until.as_secs().cast_signed())),
        }
    }
}

/// Returns an instant of PHP's, which counts whole seconds.
pub(super) fn from_second(second: i64) -> Timestamp {
    Timestamp::from_micros(u64::try_from(second).unwrap_or(0).saturating_mul(1_000_000))
}

impl Serialize for Markers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, marker) in &self.0 {
            map.serialize_entry(&Bytes(key), marker)?;
        }
        map.end()
    }
}

impl Serialize for Marker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::New => serializer.serialize_str("new"),
            Self::Old => serializer.serialize_str("old"),
            Self::Temp(second) => serializer.serialize_i64(*second),
        }
    }
}

/// Bytes as they are, which PHP makes no difference between and text.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for Markers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Markers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of markers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Markers, A::Error> {
        let mut markers = Vec::new();
        while let Some((Text(key), marker)) = map.next_entry()? {
            markers.push((key, marker));
        }
        Ok(Markers(markers))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Markers, A::Error> {
        let mut markers = Vec::new();
        while let Some(marker) = seq.next_element()? {
            markers.push((markers.len().to_string().into_bytes(), marker));
        }
        Ok(Markers(markers))
    }
}

/// A string of PHP's, or a whole number as the text of its digits: what a key of an array is, and an id.
pub(super) struct Text(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.into()))
            }

            fn visit_bytes<E>(self, text: &[u8]) -> Result<Text, E> {
                Ok(Text(text.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string().into_bytes()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string().into_bytes()))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Marker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarkerVisitor;
        impl<'de> Visitor<'de> for MarkerVisitor {
            type Value = Marker;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a marker")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Marker, E> {
                self.visit_bytes(text.as_bytes())
            }

            fn visit_bytes<E>(self, text: &[u8]) -> Result<Marker, E> {
                Ok(if text == b"new" { Marker::New } else { Marker::Old })
            }

            fn visit_i64<E>(self, second: i64) -> Result<Marker, E> {
                Ok(Marker::Temp(second))
            }

            fn visit_u64<E>(self, second: u64) -> Result<Marker, E> {
                Ok(Marker::Temp(i64::try_from(second).unwrap_or(i64::MAX)))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Marker, E> {
                Ok(Marker::Old)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Marker, E> {
                Ok(Marker::Old)
            }

            fn visit_unit<E>(self) -> Result<Marker, E> {
                Ok(Marker::Old)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Marker, A::Error> {
                while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
                Ok(Marker::Old)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Marker, A::Error> {
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Marker::Old)
            }
        }
        deserializer.deserialize_any(MarkerVisitor)
    }
}
