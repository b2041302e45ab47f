//! How [`Origin`](super::Origin) is kept in the session: an array that PHP can read, too.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::markers::{Bytes, Text};

/// `id`, `until` in seconds since 1970, and `left`: the checksum of each value, by its key.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptOrigin {
    pub(super) id: String,
    pub(super) until: i64,
    #[serde(serialize_with = "write_sums", deserialize_with = "read_sums")]
    pub(super) left: BTreeMap<Vec<u8>, u32>,
}

fn write_sums<S: Serializer>(sums: &BTreeMap<Vec<u8>, u32>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(sums.len()))?;
    for (key, sum) in sums {
        map.serialize_entry(&Bytes(key), sum)?;
    }
    map.end()
}

fn read_sums<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Vec<u8>, u32>, D::Error> {
    deserializer.deserialize_any(SumsVisitor)
}

struct SumsVisitor;

impl<'de> Visitor<'de> for SumsVisitor {
    type Value = BTreeMap<Vec<u8>, u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("checksums by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut sums = BTreeMap::new();
        while let Some((Text(key), sum)) = map.next_entry()? {
            sums.insert(key, sum);
        }
        Ok(sums)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut sums = BTreeMap::new();
        while let Some(sum) = seq.next_element()? {
            sums.insert(sums.len().to_string().into_bytes(), sum);
        }
        Ok(sums)
    }
}
