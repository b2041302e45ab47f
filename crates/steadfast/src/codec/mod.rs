//! Values to bytes and back: one value at a time, so that `get` decodes one key and `set` encodes one.

#[cfg(feature = "php")]
pub(crate) mod php;
mod value;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::policy::Codec;

#[cfg(feature = "php")]
pub use php::PhpObject;
pub use value::Value;

/// How deeply a value may be nested, when it is read. A stack is not the place to find the end.
const MAX_DEPTH: usize = 64;

/// How the values of a record are written: as the policy chose, or as its layout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    MessagePack,
    #[cfg(feature = "json")]
    Json,
    /// As PHP does, in a session of this format.
    #[cfg(feature = "php")]
    Php(crate::policy::PhpFormat),
}

impl From<Codec> for Encoding {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::MessagePack => Self::MessagePack,
            #[cfg(feature = "json")]
            Codec::Json => Self::Json,
        }
    }
}

impl Encoding {
    /// Encodes one value.
    pub(crate) fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>> {
        match self {
            // With field names, so that a struct may gain and lose fields while sessions live.
            Self::MessagePack => rmp_serde::to_vec_named(value).map_err(cannot_encode),
            #[cfg(feature = "json")]
            Self::Json => serde_json::to_vec(value).map_err(cannot_encode),
            #[cfg(feature = "php")]
            Self::Php(_) => php::to_vec(value),
        }
    }

    /// Returns how a record of ours keeps values that are written thus.
    pub(crate) fn of_record(self) -> Self {
        // Each is a document of its own there, so PHP's format makes no difference.
        #[cfg(feature = "php")]
        if let Self::Php(_) = self {
            return Self::Php(crate::policy::PhpFormat::PhpSerialize);
        }
        self
    }

    /// Writes a value as another codec does; what PHP wrote stays byte for byte what it is to PHP.
    pub(crate) fn translate(self, to: Self, bytes: &[u8]) -> Result<Vec<u8>> {
        if self.of_record() == to.of_record() {
            return Ok(bytes.to_vec());
        }
        to.encode(&self.decode::<Value>(bytes)?)
    }

    /// Decodes one value.
    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        match self {
            Self::MessagePack => {
                let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
                deserializer.set_max_depth(MAX_DEPTH);
                T::deserialize(&mut deserializer).map_err(cannot_decode)
            }
            // serde_json stops at 128 levels by itself.
            #[cfg(feature = "json")]
            Self::Json => serde_json::from_slice(bytes).map_err(cannot_decode),
            #[cfg(feature = "php")]
            Self::Php(_) => php::from_slice(bytes),
        }
    }

    /// Reports whether the bytes are the codec's null, which counts as missing.
    pub(crate) fn is_null(self, bytes: &[u8]) -> bool {
        match self {
            Self::MessagePack => bytes == [0xc0],
            #[cfg(feature = "json")]
            Self::Json => bytes == b"null",
            #[cfg(feature = "php")]
            Self::Php(_) => php::is_null(bytes),
        }
    }
}

/// The source of an encoding error can quote the value, so it is left out.
fn cannot_encode<E>(_: E) -> Error {
    Error::new(ErrorKind::Codec, "the value can't be encoded with the session's codec")
}

/// The source of a decoding error can quote the value, so it is left out.
fn cannot_decode<E>(_: E) -> Error {
    Error::new(ErrorKind::Codec, "the session holds a value of another type under this key")
}
