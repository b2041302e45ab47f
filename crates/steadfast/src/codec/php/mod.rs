//! PHP's formats: a session in pieces, and one value to bytes and back.
//!
//! A session is [split] where it lies: values stay PHP's bytes until somebody asks for one, and what nobody
//! touched is [joined](join) again byte for byte, objects of unknown classes included. Nothing of PHP's is
//! ever made from them. See [the format](../../../../../docs/php-format.md).

mod de;
mod de_key;
mod de_object;
mod float;
mod graph;
mod join;
mod object;
mod reading;
mod ser;
mod ser_key;
mod split;
mod token;
mod write;

pub(crate) use de::from_slice;
pub(crate) use join::{Content, check_key, join};
pub use object::PhpObject;
pub(crate) use object::{Kind, VALUE};
pub(crate) use ser::to_vec;
pub(crate) use split::{Piece, Split, split};

/// Reports whether a value is PHP's null.
pub(crate) fn is_null(bytes: &[u8]) -> bool {
    bytes == b"N;"
}

#[cfg(test)]
mod tests;
