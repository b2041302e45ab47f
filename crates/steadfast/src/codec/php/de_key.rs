//! Keys of arrays and names of properties, as the type that is read wants them.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::de::{Document, Unfit};
use super::object::Name;
use super::token::Key;

/// One key.
pub(super) struct KeyDeserializer<'g> {
    key: Key<'g>,
    /// It is the name of a property, perhaps with its class before it.
    mangled: bool,
}

impl<'g> KeyDeserializer<'g> {
    pub(super) const fn new(key: Key<'g>, mangled: bool) -> Self {
        Self { key, mangled }
    }

    fn text(&self) -> Cow<'g, [u8]> {
        match self.key.text() {
            Cow::Borrowed(name) if self.mangled => Cow::Borrowed(Name::of(name).plain),
            Cow::Owned(name) if self.mangled => Cow::Owned(Name::of(&name).plain.to_owned()),
            text => text,
        }
    }
}

impl<'de> Deserializer<'de> for KeyDeserializer<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.key {
            Key::Int(n) => visitor.visit_i64(n),
            Key::Text(_) | Key::Escaped(_) => self.deserialize_str(visitor),
        }
    }

    /// As PHP: 1 is what true became.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.key {
            Key::Int(0) => visitor.visit_bool(false),
            Key::Int(1) => visitor.visit_bool(true),
            _ => Err(Unfit),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let text = self.text();
        match std::str::from_utf8(&text) {
            Ok(text) => visitor.visit_str(text),
            Err(_) => visitor.visit_bytes(&text),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_bytes(&self.text())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let text = self.text();
        let name: StrDeserializer<'_, Unfit> =
            std::str::from_utf8(&text).map_err(|_| Unfit)?.into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 unit unit_struct seq tuple tuple_struct map struct
        ignored_any
    }
}

/// Returns the entries of an object, from the first one on, that its class does not see: private properties
/// of the class that it extends, where it has one of the same name.
pub(super) fn hidden(document: &Document<'_>, first: Option<u32>, class: &[u8]) -> Result<Vec<u32>, Unfit> {
    let entries = std::iter::successors(first, |entry| document.graph.entries[*entry as usize].next);
    let (mut seen, mut foreign) = (HashSet::new(), Vec::new());
    for entry in entries {
        let Key::Text(key) = document.key(entry)? else { continue };
        let name = Name::of(key);
        match name.scope {
            Some(scope) if scope != b"*" && !scope.eq_ignore_ascii_case(class) => {
                foreign.push((entry, name.plain))
            }
            _ => drop(seen.insert(name.plain)),
        }
    }
    foreign.retain(|(_, name)| !seen.insert(*name));
    Ok(foreign.into_iter().map(|(entry, _)| entry).collect())
}
