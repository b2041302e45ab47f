//! How [`Origin`](super::Origin) is kept in the session: an array that PHP can read, too.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::markers::{Bytes, Text};

/// `of`: the session's own id, as its digest, since PHP's changes of id carry all keys along; `id` and `until` (in
/// seconds since 1970) of the copy, and `left`: the checksum of each value, by its key, or null.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptOrigin {
    pub(super) of: String,
    pub(super) id: String,
    pub(super) until: i64,
    pub(super) left: Option<Sums>,
}

/// Checksums of values by their keys.
pub(super) struct Sums(pub(super) BTreeMap<Vec<u8>, u32>);

impl Serialize for Sums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, sum) in &self.0 {
            map.serialize_entry(&Bytes(key), sum)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Sums {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SumsVisitor)
    }
}

struct SumsVisitor;

impl<'de> Visitor<'de> for SumsVisitor {
    type Value = Sums;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("checksums by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sums, A::Error> {
        let mut sums = BTreeMap::new();
        while let Some((Text(key), sum)) = map.next_entry()? {
            sums.insert(key, sum);
        }
        Ok(Sums(sums))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sums, A::Error> {
        let mut sums = BTreeMap::new();
        while let Some(sum) = seq.next_element()? {
            sums.insert(sums.len().to_string().into_bytes(), sum);
        }
        Ok(Sums(sums))
    }
}
