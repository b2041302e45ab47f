//! What PHP's client library makes of a session's bytes: as they are, or compressed, as the item's flags say.
//!
//! ```text
//! flags  bits 0-3  type of the value: 0 is a string, as sessions are; locks are integers
//!        bit 4     compressed: four bytes of length (little-endian), then the stream
//!        bit 5     by zlib
//!        bit 6     by FastLZ, which is what PHP does unless told otherwise
//!        bit 7     by zstd, in later versions
//! ```
//!
//! Written here is always the plain form: both of PHP's ways read it, and few sessions reach the 2,000 bytes from
//! which PHP compresses.

use bytes::Bytes;

use super::fastlz;
use crate::error::{Error, ErrorKind, Result};
use crate::store::memcached::error::failed;

/// The flags of what is written here: a string as it is.
pub(super) const PLAIN: u32 = 0;

const TYPE: u32 = 0x0f;
const COMPRESSED: u32 = 1 << 4;
const ZLIB: u32 = 1 << 5;
const FASTLZ: u32 = 1 << 6;
const ZSTD: u32 = 1 << 7;

/// Longest session, in bytes, that is unpacked: a stream of a few kilobytes can promise gigabytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// Returns the bytes of a session as PHP's session handler sees them.
pub(super) fn plain(flags: u32, value: Bytes) -> Result<Bytes> {
    if flags & TYPE != 0 {
        return Err(damaged());
    }
    if flags & COMPRESSED == 0 {
        return Ok(value);
    }
    let (length, stream) = value.split_first_chunk().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(failed(ErrorKind::TooLarge, "the session is larger than 16 MiB when it is unpacked"));
    }
    let unpacked = match flags & (ZLIB | FASTLZ | ZSTD) {
        FASTLZ => fastlz::unpack(stream, length),
        ZLIB => inflate(stream, length),
        _ => {
            return Err(failed(
                ErrorKind::InvalidConfig,
                "the session is compressed in a way that is not read here: set PHP's \
                 `memcached.compression_type` to fastlz or zlib",
            ));
        }
    };
    unpacked.map(Bytes::from).ok_or_else(damaged)
}

fn inflate(stream: &[u8], length: usize) -> Option<Vec<u8>> {
    let plain = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(stream, length).ok()?;
    (plain.len() == length).then_some(plain)
}

fn damaged() -> Error {
    failed(ErrorKind::Corrupt, "the item of the session holds what PHP's client library never writes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(flags: u32, value: &'static [u8], kind: ErrorKind) {
        assert_eq!(plain(flags, Bytes::from_static(value)).expect_err("refused").kind(), kind);
    }

    #[test]
    fn what_is_not_the_bytes_of_a_session_is_refused() {
        check(1, b"1795307085", ErrorKind::Corrupt);
        check(80, b"\x01\0\0", ErrorKind::Corrupt);
        check(80, b"\x02\0\0\0\x00a", ErrorKind::Corrupt);
        check(48, b"\x02\0\0\0\x00a", ErrorKind::Corrupt);
        check(80, b"\xff\xff\xff\xff\x20a\xe0\xff", ErrorKind::TooLarge);
        check(144, b"\x01\0\0\0a", ErrorKind::InvalidConfig);
    }

    #[test]
    fn what_codeigniter_stored_is_read() {
        // Recorded from a CodeIgniter 4 whose page set `big`; levels 1 and 2 of FastLZ.
        let small = include_bytes!("../../../../tests/golden/memcached-fastlz-1.bin");
        let large = include_bytes!("../../../../tests/golden/memcached-fastlz-2.bin");
        for (value, time, length) in [(&small[..], 1_795_306_639, 3_000), (large, 1_795_306_640, 70_000)] {
            let big = "abcdefghij".repeat(length / 10);
            let expected = format!("__ci_last_regenerate|i:{time};big|s:{length}:\"{big}\";");
            assert_eq!(plain(80, Bytes::copy_from_slice(value)).expect("a session"), expected);
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_beyond_the_length_it_names() {
        // A megabyte of zeros by zlib, which says that it is one byte.
        let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 1 << 20], 9);
        let value = [&1_u32.to_le_bytes()[..], &bomb].concat();
        assert_eq!(plain(48, value.into()).expect_err("refused").kind(), ErrorKind::Corrupt);
    }
}
