//! From a value of PHP to a Rust value.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::de_key::{KeyDeserializer, hidden};
use super::de_object::Object;
use super::float;
use super::graph::Graph;
use super::object::{Kind, VALUE};
use super::token::{Fault, Key, Reader, Token, unescape};
use crate::codec::MAX_DEPTH;
use crate::error::{Error, ErrorKind, Result};

/// What reading may cost, in bytes: so many by itself, and so many times the document's size. A value that
/// is referred to often is read as often.
const BASE: usize = 1 << 20;
const TIMES: usize = 16;
/// What a value costs beside its text, and what each entry in it costs to pass.
const VALUE_COST: usize = 16;
const ENTRY_COST: usize = 8;

/// Decodes a value that is a document of its own.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(Error::new(ErrorKind::TooLarge, "the value of PHP is larger than 4 GiB"));
    }
    let (graph, value) = Graph::of_value(bytes).map_err(|Fault| unreadable())?;
    let room = Cell::new(BASE + TIMES * bytes.len());
    let document = Document { graph: &graph, bytes, room, is_beyond: Cell::new(false) };
    let node = Node { document: &document, cell: graph.cell_of(value), depth: 0 };
    T::deserialize(node).map_err(|Unfit| if document.is_beyond.get() { beyond() } else { unfit() })
}

fn unreadable() -> Error {
    Error::new(
        ErrorKind::Codec,
        "the session holds a value under this key that can't be read by itself: it contains itself, is nested too \
         deeply, or refers behind an object whose format only its class knows; it stays as it is for PHP",
    )
}

fn unfit() -> Error {
    Error::new(ErrorKind::Codec, "the session holds a value of another type under this key")
}

fn beyond() -> Error {
    Error::new(
        ErrorKind::Codec,
        "the session holds a value under this key that contains itself, is nested too deeply, or refers to others too \
         often to be read here; it stays as it is for PHP",
    )
}

/// The value is not what the type wants. What its own code says is left out: it can quote the value.
#[derive(Debug)]
pub(super) struct Unfit;

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is of another type")
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The document that is read.
pub(super) struct Document<'g> {
    pub(super) graph: &'g Graph,
    bytes: &'g [u8],
    /// What reading may still cost.
    room: Cell<usize>,
    /// Whether a limit of reading was met.
    is_beyond: Cell<bool>,
}

impl<'g> Document<'g> {
    fn charge(&self, cost: usize) -> Result<(), Unfit> {
        self.room.set(self.room.get().checked_sub(cost).ok_or_else(|| self.beyond())?);
        Ok(())
    }

    fn beyond(&self) -> Unfit {
        self.is_beyond.set(true);
        Unfit
    }

    /// Returns the key of an entry.
    pub(super) fn key(&self, entry: u32) -> Result<Key<'g>, Unfit> {
        let at = self.graph.entries[entry as usize].key.start;
        Reader::starting_at(self.bytes, at).key().map_err(|Fault| Unfit)
    }
}

/// One value.
#[derive(Clone, Copy)]
pub(super) struct Node<'d, 'g> {
    document: &'d Document<'g>,
    cell: u32,
    depth: usize,
}

impl<'d, 'g> Node<'d, 'g> {
    /// Reads the value itself, for what that costs.
    fn token(self) -> Result<Token<'g>, Unfit> {
        let graph = self.document.graph;
        let cell = graph.cell(graph.identity(self.cell).unwrap_or(self.cell));
        self.document.charge(VALUE_COST + (cell.at.end - cell.at.start) as usize)?;
        Reader::starting_at(self.document.bytes, cell.at.start).token().map_err(|Fault| Unfit)
    }

    /// Returns the entries within, one level deeper.
    fn within(self) -> Result<Entries<'d, 'g>, Unfit> {
        if self.depth >= MAX_DEPTH {
            return Err(self.document.beyond());
        }
        let graph = self.document.graph;
        let cell = graph.cell(graph.identity(self.cell).unwrap_or(self.cell));
        self.document.charge(ENTRY_COST * cell.size as usize)?;
        Ok(Entries {
            document: self.document,
            next: cell.first,
            left: cell.size as usize,
            depth: self.depth + 1,
        })
    }

    /// Returns the keys and values of an array, or the properties of an object of a class.
    fn pairs(self, class: Option<&'g [u8]>) -> Result<Pairs<'d, 'g>, Unfit> {
        let entries = self.within()?;
        let hidden = match class {
            Some(class) => hidden(self.document, entries.next, class)?,
            None => Vec::new(),
        };
        Ok(Pairs { entries, mangled: class.is_some(), hidden, value: None })
    }

    /// Reports which keys there are.
    fn shape(self) -> Result<Shape, Unfit> {
        let mut entries = self.within()?;
        let mut shape = Shape::List;
        for at in 0_i64.. {
            let Some((entry, _)) = entries.step() else { break };
            match self.document.key(entry)? {
                Key::Int(n) if n == at => {}
                Key::Int(_) => shape = Shape::Numbered,
                Key::Text(_) | Key::Escaped(_) => return Ok(Shape::Named),
            }
        }
        Ok(shape)
    }

    fn text<'de, V: Visitor<'de>>(text: &[u8], visitor: V) -> Result<V::Value, Unfit> {
        match std::str::from_utf8(text) {
            Ok(text) => visitor.visit_str(text),
            Err(_) => visitor.visit_bytes(text),
        }
    }

    /// Reads an array whose keys are integers as its values in their order.
    fn sequence<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.token()? {
            Token::Array { .. } | Token::Object { .. } if self.shape()? != Shape::Named => {
                visitor.visit_seq(self.within()?)
            }
            _ => Err(Unfit),
        }
    }

    fn mapping<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.token()? {
            Token::Array { .. } => visitor.visit_map(self.pairs(None)?),
            Token::Object { class, .. } => visitor.visit_map(self.pairs(Some(class))?),
            _ => Err(Unfit),
        }
    }
}

/// What the keys of an array are.
#[derive(PartialEq, Eq)]
enum Shape {
    /// 0, 1, 2, ….
    List,
    /// Integers.
    Numbered,
    /// Texts, or some of them.
    Named,
}

/// Returns the name of an enum's case, which comes behind the class and a colon.
fn case_of(name: &[u8]) -> (&[u8], &[u8]) {
    let colon = name.iter().position(|byte| *byte == b':').unwrap_or(name.len());
    (&name[..colon], name.get(colon + 1..).unwrap_or_default())
}

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.token()? {
            Token::Null => visitor.visit_unit(),
            Token::Bool(truth) => visitor.visit_bool(truth),
            Token::Int(n) => visitor.visit_i64(n),
            Token::Float(text) => visitor.visit_f64(float::read(text)),
            Token::Text(text) => Self::text(text, visitor),
            Token::Escaped(raw) => Self::text(&unescape(raw), visitor),
            Token::Array { .. } if self.shape()? == Shape::List => visitor.visit_seq(self.within()?),
            Token::Array { .. } => visitor.visit_map(self.pairs(None)?),
            Token::Object { class, .. } => visitor.visit_map(self.pairs(Some(class))?),
            Token::Enum { name } => Self::text(case_of(name).1, visitor),
            Token::Custom { data, .. } => visitor.visit_bytes(data),
            Token::Alias(_) | Token::Same(_) => Err(Unfit),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.token()? {
            Token::Text(text) => visitor.visit_bytes(text),
            Token::Escaped(raw) => visitor.visit_byte_buf(unescape(raw)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.token()? {
            Token::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        if name != VALUE {
            return visitor.visit_newtype_struct(self);
        }
        match self.token()? {
            Token::Object { class, .. } => visitor.visit_enum(Object::with_properties(class, self.within()?)),
            Token::Enum { name } => {
                let (class, case) = case_of(name);
                visitor.visit_enum(Object::with_bytes(Kind::Case, class, case))
            }
            Token::Custom { class, data } => visitor.visit_enum(Object::with_bytes(Kind::Data, class, data)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.sequence(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        self.sequence(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.sequence(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.mapping(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.mapping(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let token = self.token()?;
        let unit = match token {
            Token::Text(text) => text,
            Token::Enum { name } => case_of(name).1,
            _ => {
                let mut entries = self.within()?;
                let (Some((entry, content)), None) = (entries.step(), entries.step()) else {
                    return Err(Unfit);
                };
                let name = self.document.key(entry)?.text();
                return visitor.visit_enum(Variant { name, content: Some(content) });
            }
        };
        visitor.visit_enum(Variant { name: Cow::Borrowed(unit), content: None })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct identifier
    }
}

/// The entries of an array or object, one after the other.
pub(super) struct Entries<'d, 'g> {
    pub(super) document: &'d Document<'g>,
    next: Option<u32>,
    left: usize,
    depth: usize,
}

impl<'d, 'g> Entries<'d, 'g> {
    pub(super) fn step(&mut self) -> Option<(u32, Node<'d, 'g>)> {
        let at = self.next?;
        let entry = &self.document.graph.entries[at as usize];
        self.next = entry.next;
        self.left = self.left.saturating_sub(1);
        Some((at, Node { document: self.document, cell: entry.cell, depth: self.depth }))
    }
}

impl<'de> SeqAccess<'de> for Entries<'_, '_> {
    type Error = Unfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unfit> {
        self.step().map(|(_, node)| seed.deserialize(node)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Keys and values.
struct Pairs<'d, 'g> {
    entries: Entries<'d, 'g>,
    /// The keys are names of properties.
    mangled: bool,
    /// Entries that are left out, in their order.
    hidden: Vec<u32>,
    value: Option<Node<'d, 'g>>,
}

impl<'de> MapAccess<'de> for Pairs<'_, '_> {
    type Error = Unfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unfit> {
        loop {
            let Some((entry, value)) = self.entries.step() else { return Ok(None) };
            if self.hidden.binary_search(&entry).is_ok() {
                continue;
            }
            self.value = Some(value);
            let key = self.entries.document.key(entry)?;
            return seed.deserialize(KeyDeserializer::new(key, self.mangled)).map(Some);
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unfit> {
        seed.deserialize(self.value.take().ok_or(Unfit)?)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.left)
    }
}

/// A variant of a Rust enum: its name, or an array of its name and what is in it.
struct Variant<'d, 'g> {
    name: Cow<'g, [u8]>,
    content: Option<Node<'d, 'g>>,
}

impl<'de, 'd, 'g> EnumAccess<'de> for Variant<'d, 'g> {
    type Error = Unfit;
    type Variant = Content<'d, 'g>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), Unfit> {
        let name = std::str::from_utf8(&self.name).map_err(|_| Unfit)?;
        let name: de::value::StrDeserializer<'_, Unfit> = name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<'d, 'g>(Option<Node<'d, 'g>>);

impl<'de> VariantAccess<'de> for Content<'_, '_> {
    type Error = Unfit;

    fn unit_variant(self) -> Result<(), Unfit> {
        if self.0.is_none() { Ok(()) } else { Err(Unfit) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Unfit> {
        seed.deserialize(self.0.ok_or(Unfit)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        self.0.ok_or(Unfit)?.sequence(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.0.ok_or(Unfit)?.mapping(visitor)
    }
}
