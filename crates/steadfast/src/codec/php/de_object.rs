//! Objects, enums' cases and objects in a format of their class's own, as [`Value`](crate::Value) takes them:
//! as an enum whose variant says which, and which holds a list of the class and what is inside.

use serde::de::value::{BytesDeserializer, U8Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::de::{Entries, Node, Unfit};
use super::object::Kind;

pub(super) struct Object<'d, 'g> {
    kind: Kind,
    /// The class, until it was told.
    class: Option<&'g [u8]>,
    inside: Inside<'d, 'g>,
}

enum Inside<'d, 'g> {
    Bytes(Option<&'g [u8]>),
    Properties {
        entries: Entries<'d, 'g>,
        /// The value of the property whose name was told.
        value: Option<Node<'d, 'g>>,
    },
}

impl<'d, 'g> Object<'d, 'g> {
    pub(super) const fn with_properties(class: &'g [u8], entries: Entries<'d, 'g>) -> Self {
        let inside = Inside::Properties { entries, value: None };
        Self { kind: Kind::Properties, class: Some(class), inside }
    }

    pub(super) const fn with_bytes(kind: Kind, class: &'g [u8], bytes: &'g [u8]) -> Self {
        Self { kind, class: Some(class), inside: Inside::Bytes(Some(bytes)) }
    }
}

impl<'de> EnumAccess<'de> for Object<'_, '_> {
    type Error = Unfit;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Unfit> {
        let kind: U8Deserializer<Unfit> = (self.kind as u8).into_deserializer();
        Ok((seed.deserialize(kind)?, self))
    }
}

impl<'de> VariantAccess<'de> for Object<'_, '_> {
    type Error = Unfit;

    fn unit_variant(self) -> Result<(), Unfit> {
        Err(Unfit)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Unfit> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_seq(self)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Unfit> {
        Err(Unfit)
    }
}

impl<'de> Deserializer<'de> for Object<'_, '_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Object<'_, '_> {
    type Error = Unfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unfit> {
        let bytes = |bytes| BytesDeserializer::<Unfit>::new(bytes);
        if let Some(class) = self.class.take() {
            return seed.deserialize(bytes(class)).map(Some);
        }
        match &mut self.inside {
            Inside::Bytes(inside) => inside.take().map(|inside| seed.deserialize(bytes(inside))).transpose(),
            Inside::Properties { entries, value } => {
                if let Some(value) = value.take() {
                    return seed.deserialize(value).map(Some);
                }
                let Some((entry, node)) = entries.step() else { return Ok(None) };
                *value = Some(node);
                let name = entries.document.key(entry)?.text();
                seed.deserialize(bytes(&name)).map(Some)
            }
        }
    }
}
