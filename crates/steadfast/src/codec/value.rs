//! A value of any type, for code that shows or moves values without knowing them.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
#[cfg(feature = "php")]
use serde::de::{EnumAccess, VariantAccess};
use serde::ser::{Serialize, Serializer};

#[cfg(feature = "php")]
use crate::codec::php::{self, PhpObject};

/// A value of any type that a session can hold.
///
/// # Examples
///
/// ```
/// use steadfast::Value;
///
/// let list = Value::from(vec![Value::from(1), Value::from("two")]);
/// assert!(matches!(list, Value::List(items) if items.len() == 2));
/// ```
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number; `i128` holds both signed and unsigned 64-bit ones.
    Int(i128),
    /// A floating-point number, NaN and the infinities included.
    Float(f64),
    /// A text.
    String(String),
    /// Bytes that are not a text.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key, in the order in which they came, as PHP's arrays have it. Two maps are equal whatever
    /// their order.
    Map(IndexMap<String, Value>),
    /// An object that PHP stored.
    #[cfg(feature = "php")]
    Object(PhpObject),
}

/// Shows the type and the size only: values are private.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bool(_) => f.write_str("Bool(..)"),
            Self::Int(_) => f.write_str("Int(..)"),
            Self::Float(_) => f.write_str("Float(..)"),
            Self::String(text) => write!(f, "String({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::List(items) => write!(f, "List({} items)", items.len()),
            Self::Map(entries) => write!(f, "Map({} entries)", entries.len()),
            #[cfg(feature = "php")]
            Self::Object(object) => object.fmt(f),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(n) => match (i64::try_from(*n), u64::try_from(*n)) {
                (Ok(n), _) => serializer.serialize_i64(n),
                (_, Ok(n)) => serializer.serialize_u64(n),
                _ => serializer.serialize_i128(*n),
            },
            Self::Float(n) => serializer.serialize_f64(*n),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries),
            #[cfg(feature = "php")]
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only PHP's codec makes something of the name: it tells objects from arrays.
        #[cfg(feature = "php")]
        return deserializer.deserialize_newtype_struct(php::VALUE, Any);
        #[cfg(not(feature = "php"))]
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_i128<E>(self, n: i128) -> Result<Value, E> {
        Ok(Value::Int(n))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_owned()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes))
    }

    #[cfg(feature = "php")]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    #[cfg(feature = "php")]
    fn visit_enum<A: EnumAccess<'de>>(self, object: A) -> Result<Value, A::Error> {
        let (kind, inside) = object.variant::<php::Kind>()?;
        inside.newtype_variant_seed(kind).map(Value::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = IndexMap::new();
        while let Some((MapKey(key), value)) = map.next_entry()? {
            entries.insert(key, value);
        }
        Ok(Value::Map(entries))
    }
}

/// A map's key: texts as they are, numbers and booleans as their text.
struct MapKey(String);

impl<'de> Deserialize<'de> for MapKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Int(n) => Ok(Self(n.to_string())),
            Value::Bool(b) => Ok(Self(b.to_string())),
            _ => Err(serde::de::Error::custom("a map's key is neither a text nor a number")),
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
from! {
    bool => Bool, i32 => Int, u32 => Int, i64 => Int, u64 => Int, f64 => Float,
    &str => String, String => String, Vec<u8> => Bytes, Vec<Value> => List,
    IndexMap<String, Value> => Map,
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(map: BTreeMap<String, Value>) -> Self {
        Self::Map(map.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoding;

    #[test]
    fn every_kind_of_value_survives_message_pack() {
        let map = IndexMap::from([("a".to_owned(), Value::Null), ("b".to_owned(), Value::from(-1))]);
        let value = Value::from(vec![
            Value::Null,
            Value::from(true),
            Value::from(u64::MAX),
            Value::from(i64::MIN),
            Value::from(f64::NEG_INFINITY),
            Value::from("text"),
            Value::from(vec![0xff_u8, 0]),
            Value::from(map),
        ]);
        let bytes = Encoding::MessagePack.encode(&value).unwrap();
        assert_eq!(Encoding::MessagePack.decode::<Value>(&bytes).unwrap(), value);
    }

    #[test]
    #[cfg(feature = "json")]
    fn every_digit_of_a_number_survives_json() {
        let number = 4.444_444_444_444_444_5e33_f64;
        let bytes = Encoding::Json.encode(&number).unwrap();
        assert_eq!(Encoding::Json.decode::<f64>(&bytes).unwrap().to_bits(), number.to_bits());
    }

    #[test]
    fn debug_shows_no_value() {
        let text = format!("{:?}", Value::from("the secret"));
        assert_eq!(text, "String(10 bytes)");
    }

    #[test]
    fn a_value_nested_too_deeply_is_refused() {
        let deep = [vec![0x91; 10_000], vec![0xc0]].concat();
        assert!(Encoding::MessagePack.decode::<Value>(&deep).is_err());
    }
}
