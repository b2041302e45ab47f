//! Objects of PHP as values: kept and shown, never made.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTupleStruct, Serializer};

use crate::codec::Value;

/// Names under which [`Value`] and this codec know each other's objects. Other codecs see a list of the
/// class and what is in the object, or a text of class and case.
pub(crate) const VALUE: &str = "steadfast::Value";
pub(super) const OBJECT: &str = "steadfast::PhpObject";
pub(super) const CUSTOM: &str = "steadfast::PhpCustomObject";
pub(super) const ENUM: &str = "steadfast::PhpEnum";

/// An object that PHP stored, without its class's code: what it is called and what is in it.
///
/// It is written again as it was read, so PHP gets back an object of the same class. Whether that class
/// accepts what is in it then is the class's affair.
///
/// # Examples
///
/// ```
/// use steadfast::Value;
///
/// fn name_of(value: &Value) -> Option<&Value> {
///     let Value::Object(user) = value else { return None };
///     user.properties().find(|(name, _)| name == "name").map(|(_, value)| value)
/// }
/// ```
#[derive(Clone, PartialEq)]
pub struct PhpObject {
    class: Vec<u8>,
    inside: Inside,
}

#[derive(Clone, PartialEq)]
pub(super) enum Inside {
    /// With the names as PHP mangles them.
    Properties(Vec<(Vec<u8>, Value)>),
    /// An enum's case.
    Case(Vec<u8>),
    /// In a format of the class's own.
    Data(Vec<u8>),
}

impl PhpObject {
    /// Returns the name of the class, with its namespace.
    #[must_use]
    pub fn class(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.class)
    }

    /// Returns the properties in PHP's order, private and protected ones too, by their names in the source.
    ///
    /// A class and the one that it extends may both have a private property of the same name.
    pub fn properties(&self) -> impl Iterator<Item = (Cow<'_, str>, &Value)> {
        let properties = match &self.inside {
            Inside::Properties(properties) => properties.as_slice(),
            Inside::Case(_) | Inside::Data(_) => &[],
        };
        properties.iter().map(|(name, value)| (String::from_utf8_lossy(Name::of(name).plain), value))
    }

    /// Returns the name of the case if this is an enum.
    #[must_use]
    pub fn case(&self) -> Option<Cow<'_, str>> {
        match &self.inside {
            Inside::Case(case) => Some(String::from_utf8_lossy(case)),
            Inside::Properties(_) | Inside::Data(_) => None,
        }
    }

    /// Returns the bytes of an object whose format only its class knows (PHP's `Serializable`).
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        match &self.inside {
            Inside::Data(data) => Some(data),
            Inside::Properties(_) | Inside::Case(_) => None,
        }
    }
}

/// Shows the kind and the size only: values are private.
impl fmt::Debug for PhpObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inside {
            Inside::Properties(properties) => write!(f, "PhpObject({} properties)", properties.len()),
            Inside::Case(_) => f.write_str("PhpObject(a case)"),
            Inside::Data(data) => write!(f, "PhpObject({} bytes)", data.len()),
        }
    }
}

/// The name of a property: `\0Class\0name` if it is private, `\0*\0name` if it is protected.
pub(super) struct Name<'a> {
    /// The class or `*`.
    pub(super) scope: Option<&'a [u8]>,
    pub(super) plain: &'a [u8],
}

impl<'a> Name<'a> {
    pub(super) fn of(mangled: &'a [u8]) -> Self {
        let public = Self { scope: None, plain: mangled };
        let Some(rest) = mangled.strip_prefix(b"\0") else { return public };
        let Some(end) = rest.iter().position(|byte| *byte == 0) else { return public };
        Self { scope: Some(&rest[..end]), plain: &rest[end + 1..] }
    }
}

impl Serialize for PhpObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, data) = match &self.inside {
            Inside::Properties(properties) => {
                let mut fields = serializer.serialize_tuple_struct(OBJECT, 2)?;
                fields.serialize_field(&Text(&self.class))?;
                fields.serialize_field(&Properties(properties))?;
                return fields.end();
            }
            Inside::Case(case) => {
                let name = [&self.class, b":".as_slice(), case].concat();
                return serializer.serialize_newtype_struct(ENUM, &Text(&name));
            }
            Inside::Data(data) => (CUSTOM, data),
        };
        let mut fields = serializer.serialize_tuple_struct(name, 2)?;
        fields.serialize_field(&Text(&self.class))?;
        fields.serialize_field(&Text(data))?;
        fields.end()
    }
}

struct Properties<'a>(&'a [(Vec<u8>, Value)]);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(&Text(name), value)?;
        }
        map.end()
    }
}

/// A text, or bytes if it is none.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_bytes(self.0),
        }
    }
}

/// What kind of object comes: the number of the variant that the deserializer tells.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Properties = 0,
    Case = 1,
    Data = 2,
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::Properties),
            1 => Ok(Self::Case),
            2 => Ok(Self::Data),
            _ => Err(de::Error::custom("no kind of object")),
        }
    }
}

/// Takes an object as a list of its class and then names and values, its case, or its data.
impl<'de> de::DeserializeSeed<'de> for Kind {
    type Value = PhpObject;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PhpObject, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Kind {
    type Value = PhpObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PhpObject, A::Error> {
        let Bytes(class) = required(&mut seq)?;
        let inside = match self {
            Self::Properties => {
                let mut properties = Vec::new();
                while let Some(Bytes(name)) = seq.next_element()? {
                    properties.push((name, required(&mut seq)?));
                }
                Inside::Properties(properties)
            }
            Self::Case => Inside::Case(required::<Bytes, _>(&mut seq)?.0),
            Self::Data => Inside::Data(required::<Bytes, _>(&mut seq)?.0),
        };
        Ok(PhpObject { class, inside })
    }
}

fn required<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| de::Error::custom("a part of an object is missing"))
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_owned()))
            }
        }
        deserializer.deserialize_bytes(Any)
    }
}
