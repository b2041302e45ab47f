//! The bytes of a record: an envelope with magic, format, codec and checksum, a header, and the values.
//!
//! Written down byte by byte in `docs/wire-format.md`; golden files hold it in place. Damaged bytes are
//! never half-read: either the whole record passes its checksum and its bounds, or nothing of it is used.

mod header;
mod packed;
mod values;
mod wire;

use bytes::Bytes;

use crate::codec::Encoding;
use crate::error::{Error, ErrorKind, Result};

pub(crate) use header::{Device, Header, Predecessor, Standing};
#[cfg(feature = "php")]
pub(crate) use values::ForPhp;
pub use values::Mark;
pub(crate) use values::{Entry, Values};

use wire::{Reader, Writer};

/// The first bytes of every record.
pub(crate) const MAGIC: [u8; 4] = *b"STDF";

/// The format that this version writes.
const FORMAT: u8 = 1;

/// The format of a record that is sealed: another record is inside.
pub(crate) const SEALED: u8 = 2;

/// The format of a record whose values PHP wrote, or could have: that of [`FORMAT`], but for the codec.
const PHP_VALUES: u8 = 3;

/// The newest format that this version reads.
const NEWEST: u8 = PHP_VALUES;

/// Where the checksum lies. It covers everything before and after itself.
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// Bytes of the envelope: magic, format, codec, flags, checksum, length.
pub(crate) const ENVELOPE: usize = 16;

/// A record, read.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) codec: Encoding,
    pub(crate) header: Header,
    pub(crate) values: Values,
}

/// Reads the payload of a record.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] for bytes that are damaged or were never a record, [`ErrorKind::NewerFormat`]
/// for a record of a later version of this library, [`ErrorKind::KeyMissing`] for one that is still sealed.
pub(crate) fn decode(payload: &Bytes) -> Result<Contents> {
    let mut reader = Reader::new(payload);
    let envelope = read_envelope(&mut reader, payload)?;
    let header = header::decode(&mut reader, envelope.flags).ok_or_else(corrupt)?;
    let values = Values::decode(&mut reader, payload).ok_or_else(corrupt)?;
    Ok(Contents { codec: envelope.codec, header, values })
}

/// Writes the payload of a record.
pub(crate) fn encode(codec: Encoding, header: &Header, values: &Values) -> Bytes {
    let length = ENVELOPE + header.encoded_len() + values.encoded_len();
    let mut writer = Writer::with_capacity(length);
    writer.bytes(&MAGIC);
    let (format, tag) = codec_tag(codec);
    writer.u8(format);
    writer.u8(tag);
    writer.u16(header::flags(header));
    writer.u32(0);
    writer.u32(0);
    header::encode(header, &mut writer);
    values.encode(&mut writer);
    let mut bytes = writer.into_vec();
    // Exactly, because bytes with room to spare are shared at the price of another allocation.
    debug_assert_eq!(bytes.len(), length);
    finish_envelope(&mut bytes);
    Bytes::from(bytes)
}

/// Writes the length and the checksum.
pub(crate) fn finish_envelope(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len()).expect("records are limited far below 4 GiB");
    bytes[12..16].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(bytes);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

/// Gives bytes that are long enough the length and the checksum of a record.
#[cfg(feature = "fuzzing")]
pub(crate) fn mend(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= ENVELOPE {
        finish_envelope(&mut bytes);
    }
    bytes
}

struct Envelope {
    codec: Encoding,
    flags: u16,
}

fn read_envelope(reader: &mut Reader<'_>, payload: &[u8]) -> Result<Envelope> {
    let magic = reader.array().ok_or_else(corrupt)?;
    let format = reader.u8().ok_or_else(corrupt)?;
    if magic != MAGIC || format == 0 {
        return Err(corrupt());
    }
    if format > NEWEST {
        return Err(newer_format());
    }
    let codec = reader.u8().ok_or_else(corrupt)?;
    let flags = reader.u16().ok_or_else(corrupt)?;
    reader.bytes(ENVELOPE - CHECKSUM.start).ok_or_else(corrupt)?;
    check_envelope(payload)?;
    if format == SEALED {
        return Err(Error::new(
            ErrorKind::KeyMissing,
            "the session record is sealed; give this node the key ring that opens it (feature `sealed`)",
        ));
    }
    Ok(Envelope { codec: codec_from_tag(format, codec)?, flags })
}

/// Reports whether a payload is that of a sealed record.
#[cfg(feature = "sealed")]
pub(crate) fn is_sealed(payload: &[u8]) -> bool {
    payload.starts_with(&MAGIC) && payload.get(MAGIC.len()) == Some(&SEALED)
}

/// Checks length and checksum: what is wrong after that is no accident.
pub(crate) fn check_envelope(payload: &[u8]) -> Result<()> {
    let mut reader = Reader::new(payload.get(CHECKSUM.start..ENVELOPE).ok_or_else(corrupt)?);
    let (sum, length) = (reader.u32(), reader.u32().map(usize::try_from));
    let whole = length == Some(Ok(payload.len())) && sum == Some(checksum(payload));
    if whole { Ok(()) } else { Err(corrupt()) }
}

/// Makes the error of a record that only a newer version can read.
pub(crate) fn newer_format() -> Error {
    Error::new(
        ErrorKind::NewerFormat,
        "the session record was written by a newer version of steadfast; update this node",
    )
}

fn checksum(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&payload[..CHECKSUM.start]);
    hasher.update(&payload[CHECKSUM.end..]);
    hasher.finalize()
}

/// Returns the format and the codec of a record with such values.
const fn codec_tag(codec: Encoding) -> (u8, u8) {
    match codec {
        Encoding::MessagePack => (FORMAT, 1),
        #[cfg(feature = "json")]
        Encoding::Json => (FORMAT, 2),
        #[cfg(feature = "php")]
        Encoding::Php(_) => (PHP_VALUES, 3),
    }
}

fn codec_from_tag(format: u8, tag: u8) -> Result<Encoding> {
    match (format, tag) {
        (FORMAT, 1) => Ok(Encoding::MessagePack),
        #[cfg(feature = "json")]
        (FORMAT, 2) => Ok(Encoding::Json),
        #[cfg(not(feature = "json"))]
        (FORMAT, 2) => Err(Error::new(
            ErrorKind::Codec,
            "the session record holds JSON values; enable the feature `json` of steadfast",
        )),
        #[cfg(feature = "php")]
        (PHP_VALUES, 3) => Ok(Encoding::Php(crate::policy::PhpFormat::PhpSerialize)),
        #[cfg(not(feature = "php"))]
        (PHP_VALUES, 3) => Err(Error::new(
            ErrorKind::Codec,
            "the session record holds PHP's values; enable the feature `php` of steadfast",
        )),
        _ => Err(corrupt()),
    }
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "the session record is damaged")
}

#[cfg(test)]
mod tests;
