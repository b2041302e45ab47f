//! From a Rust value to the value that a PHP programmer expects.

use std::fmt;

use serde::ser::{self, Serialize};

use super::float;
use super::object::{CUSTOM, ENUM, OBJECT};
use super::ser_key::KeySerializer;
use super::token::integer_key;
use crate::codec::MAX_DEPTH;
use crate::error::{Error, ErrorKind, Result};

/// Encodes one value as a document of its own.
pub(crate) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut serializer = Serializer { out: Vec::new(), depth: 0 };
    match value.serialize(&mut serializer) {
        Ok(()) => Ok(serializer.out),
        Err(refusal) => Err(Error::new(ErrorKind::Codec, refusal.message())),
    }
}

/// Appends a key as an array of PHP holds it: a text that is an integer becomes one.
pub(super) fn write_key(key: &[u8], out: &mut Vec<u8>) {
    match integer_key(key) {
        Some(n) => write_int(n, out),
        None => write_text(key, out),
    }
}

pub(super) fn write_int(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("i:{n};").as_bytes());
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("s:{}:\"", text.len()).as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\";");
}

/// Why a value can't be written. It does not hold what the value's own code says, which may quote it.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The value's own code says so.
    Own,
    /// An integer beyond 64 bits with sign.
    Integer,
    /// A key that is neither a text nor an integer.
    Key,
    /// Nested too deeply.
    Depth,
}

impl Refusal {
    const fn message(&self) -> &'static str {
        match self {
            Self::Own => "the value can't be encoded for PHP",
            Self::Integer => "PHP can't carry an integer beyond 64 bits with sign; use a text or a float",
            Self::Key => "a key of an array of PHP is a text or an integer, and the value has another one",
            Self::Depth => "the value is nested too deeply to be read again",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Own
    }
}

pub(super) struct Serializer {
    out: Vec<u8>,
    depth: usize,
}

impl Serializer {
    /// Begins an array; its count is put right when it ends.
    fn array(&mut self, count: Option<usize>, braces: usize) -> Result<Entries<'_>, Refusal> {
        self.descend()?;
        let count = count.unwrap_or(0);
        self.out.extend_from_slice(b"a:");
        let head = self.out.len();
        self.out.extend_from_slice(format!("{count}:{{").as_bytes());
        Ok(Entries { serializer: self, head, announced: count, written: 0, braces })
    }

    /// Begins the array of one that a variant with contents is.
    fn variant(&mut self, variant: &'static str) -> Result<(), Refusal> {
        self.descend()?;
        self.out.extend_from_slice(b"a:1:{");
        write_key(variant.as_bytes(), &mut self.out);
        Ok(())
    }

    fn descend(&mut self) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Refusal::Depth) } else { Ok(()) }
    }

    fn ascend(&mut self, levels: usize) {
        self.out.extend(std::iter::repeat_n(b'}', levels));
        self.depth -= levels;
    }

    fn int(&mut self, n: Option<i64>) -> Result<(), Refusal> {
        write_int(n.ok_or(Refusal::Integer)?, &mut self.out);
        Ok(())
    }
}

impl<'s> ser::Serializer for &'s mut Serializer {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Entries<'s>;
    type SerializeTuple = Entries<'s>;
    type SerializeTupleStruct = Fields<'s>;
    type SerializeTupleVariant = Entries<'s>;
    type SerializeMap = Entries<'s>;
    type SerializeStruct = Entries<'s>;
    type SerializeStructVariant = Entries<'s>;

    fn serialize_bool(self, b: bool) -> Result<(), Refusal> {
        self.out.extend_from_slice(if b { b"b:1;" } else { b"b:0;" });
        Ok(())
    }

    fn serialize_i8(self, n: i8) -> Result<(), Refusal> {
        self.int(Some(n.into()))
    }

    fn serialize_i16(self, n: i16) -> Result<(), Refusal> {
        self.int(Some(n.into()))
    }

    fn serialize_i32(self, n: i32) -> Result<(), Refusal> {
        self.int(Some(n.into()))
    }

    fn serialize_i64(self, n: i64) -> Result<(), Refusal> {
        self.int(Some(n))
    }

    fn serialize_i128(self, n: i128) -> Result<(), Refusal> {
        self.int(n.try_into().ok())
    }

    fn serialize_u8(self, n: u8) -> Result<(), Refusal> {
        self.int(Some(n.into()))
    }

    fn serialize_u16(self, n: u16) -> Result<(), Refusal> {
        self.int(Some(n.into()))
    }

    fn serialize_u32(self, n: u32) -> Result<(), Refusal> {
        self.int(Some(n.into()))
    }

    fn serialize_u64(self, n: u64) -> Result<(), Refusal> {
        self.int(n.try_into().ok())
    }

    fn serialize_u128(self, n: u128) -> Result<(), Refusal> {
        self.int(n.try_into().ok())
    }

    fn serialize_f32(self, n: f32) -> Result<(), Refusal> {
        self.serialize_f64(n.into())
    }

    fn serialize_f64(self, n: f64) -> Result<(), Refusal> {
        self.out.extend_from_slice(b"d:");
        float::write(n, &mut self.out);
        self.out.push(b';');
        Ok(())
    }

    fn serialize_char(self, c: char) -> Result<(), Refusal> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Refusal> {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Refusal> {
        write_text(bytes, &mut self.out);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        self.out.extend_from_slice(b"N;");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Refusal> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        let begin = self.out.len();
        value.serialize(&mut *self)?;
        if name == ENUM {
            // `s:11:"Suit:Hearts";` becomes `E:11:"Suit:Hearts";`.
            self.out[begin] = b'E';
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.ascend(1);
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Entries<'s>, Refusal> {
        self.array(len, 1)
    }

    fn serialize_tuple(self, len: usize) -> Result<Entries<'s>, Refusal> {
        self.array(Some(len), 1)
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Fields<'s>, Refusal> {
        match name {
            OBJECT => Ok(Fields::Object(ObjectFields::new(self, b'O'))),
            CUSTOM => Ok(Fields::Object(ObjectFields::new(self, b'C'))),
            _ => self.array(Some(len), 1).map(Fields::Array),
        }
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries<'s>, Refusal> {
        self.variant(variant)?;
        self.array(Some(len), 2)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'s>, Refusal> {
        self.array(len, 1)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Entries<'s>, Refusal> {
        self.array(Some(len), 1)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries<'s>, Refusal> {
        self.variant(variant)?;
        self.array(Some(len), 2)
    }
}

/// The entries of an array.
pub(super) struct Entries<'s> {
    serializer: &'s mut Serializer,
    /// Where its count is written.
    head: usize,
    announced: usize,
    written: usize,
    /// How many arrays end with it.
    braces: usize,
}

impl Entries<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.serializer.out.extend_from_slice(format!("i:{};", self.written).as_bytes());
        self.written += 1;
        value.serialize(&mut *self.serializer)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Refusal> {
        write_key(key.as_bytes(), &mut self.serializer.out);
        self.written += 1;
        value.serialize(&mut *self.serializer)
    }

    fn finish(self) {
        let out = &mut self.serializer.out;
        if self.written != self.announced {
            let end = self.head + self.announced.to_string().len();
            out.splice(self.head..end, self.written.to_string().into_bytes());
        }
        self.serializer.ascend(self.braces);
    }
}

impl ser::SerializeSeq for Entries<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.element(value)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeTuple for Entries<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.element(value)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Entries<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.element(value)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.written += 1;
        key.serialize(KeySerializer(&mut self.serializer.out))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        value.serialize(&mut *self.serializer)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeStruct for Entries<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeStructVariant for Entries<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

/// The fields of a struct without names: a list, or one of [`Value`](crate::Value)'s objects.
pub(super) enum Fields<'s> {
    Array(Entries<'s>),
    Object(ObjectFields<'s>),
}

impl ser::SerializeTupleStruct for Fields<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        match self {
            Self::Array(entries) => entries.element(value),
            Self::Object(fields) => fields.field(value),
        }
    }

    fn end(self) -> Result<(), Refusal> {
        if let Self::Array(entries) = self {
            entries.finish();
        }
        Ok(())
    }
}

/// A class and what is in an object of it. The class is written as a text and the rest as an array or a
/// text, and then only what is around them differs.
pub(super) struct ObjectFields<'s> {
    serializer: &'s mut Serializer,
    kind: u8,
    begin: usize,
    class_written: bool,
}

impl<'s> ObjectFields<'s> {
    fn new(serializer: &'s mut Serializer, kind: u8) -> Self {
        let begin = serializer.out.len();
        Self { serializer, kind, begin, class_written: false }
    }

    fn field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let begin = self.serializer.out.len();
        value.serialize(&mut *self.serializer)?;
        let out = &mut self.serializer.out;
        if !self.class_written {
            // `s:3:"Foo";` becomes `O:3:"Foo":`.
            out[self.begin] = self.kind;
            let last = out.len() - 1;
            out[last] = b':';
            self.class_written = true;
            return Ok(());
        }
        if self.kind == b'C' {
            // `s:3:"raw";` becomes `s:3:{raw}`.
            let quote = out[begin..].iter().position(|byte| *byte == b'"').ok_or(Refusal::Own)?;
            out[begin + quote] = b'{';
            out.truncate(out.len() - 2);
            out.push(b'}');
        }
        // The count or length is what the object's goes on with.
        out.drain(begin..begin + 2);
        Ok(())
    }
}
