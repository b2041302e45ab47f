//! Keys of maps: an array of PHP knows texts and integers.

use serde::ser::{Impossible, Serialize, Serializer};

use super::ser::{Refusal, write_int, write_key};

/// Appends a key.
pub(super) struct KeySerializer<'o>(pub(super) &'o mut Vec<u8>);

impl KeySerializer<'_> {
    fn int(self, n: Option<i64>) -> Result<(), Refusal> {
        write_int(n.ok_or(Refusal::Integer)?, self.0);
        Ok(())
    }
}

type No = Impossible<(), Refusal>;

impl Serializer for KeySerializer<'_> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    /// As PHP: true is 1.
    fn serialize_bool(self, b: bool) -> Result<(), Refusal> {
        self.int(Some(b.into()))
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

    fn serialize_f32(self, _: f32) -> Result<(), Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_char(self, c: char) -> Result<(), Refusal> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Refusal> {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Refusal> {
        write_key(bytes, self.0);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<(), Refusal> {
        key.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Refusal> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        key: &T,
    ) -> Result<(), Refusal> {
        key.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_tuple(self, _: usize) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, Refusal> {
        Err(Refusal::Key)
    }
}
