//! The bytes of a record in Redis: a string whose head the scripts read and write at fixed places.
//!
//! ```text
//!  0      format, 1
//!  1      1 if somebody waits for the lease, else 0
//!  2..10  token of the lease, zero if there is none
//! 10..18  end of the lease   ┐ microseconds since the Unix epoch,
//! 18..26  version            │ all numbers big-endian
//! 26..34  deadline           ┘
//! 34      1 if the record is bound to a user, else 0
//! 35..51  the user, if there is one
//!         the payload
//! ```

use std::io::{self, Write};

use bytes::Bytes;

use super::error::Fault;
use crate::store::{Record, UserKey, Version};
use crate::time::Timestamp;

/// The format that this version writes, and the newest that it reads.
const FORMAT: u8 = 1;

/// The highest number that a format will ever have. What begins with a higher byte is somebody else's text.
const LAST_FORMAT: u8 = 31;

/// Length of the head without a user.
const HEAD: usize = 35;

/// Where the version stands. The scripts have their own copies of these numbers, counted from one.
const VERSION: usize = 18;
const DEADLINE: usize = 26;
const BOUND: usize = 34;

/// Writes a record with a free lease.
pub(super) fn write(record: &Record, into: &mut impl Write) -> io::Result<()> {
    let Record { payload, version, expires_at, user } = record;
    let mut head = [0; HEAD];
    head[0] = FORMAT;
    head[VERSION..DEADLINE].copy_from_slice(&version.as_u64().to_be_bytes());
    head[DEADLINE..BOUND].copy_from_slice(&expires_at.as_micros().to_be_bytes());
    head[BOUND] = u8::from(user.is_some());
    into.write_all(&head)?;
    if let Some(user) = user {
        into.write_all(user.as_bytes())?;
    }
    into.write_all(payload)
}

/// Reads a record; its payload shares the bytes that came from the server.
pub(super) fn read(mut value: Bytes) -> Result<Record, Fault> {
    let format = *value.first().ok_or(Fault::Damaged)?;
    if format != FORMAT || value.len() < HEAD {
        return Err(not_ours(format));
    }
    let version = Version::from_u64(number(&value, VERSION)?);
    let expires_at = Timestamp::from_micros(number(&value, DEADLINE)?);
    let bound = value[BOUND];
    let mut payload = value.split_off(HEAD);
    let user = match bound {
        0 => None,
        1 if payload.len() >= 16 => {
            let user: [u8; 16] = payload.split_to(16)[..].try_into().map_err(|_| Fault::Damaged)?;
            Some(UserKey::from_bytes(user))
        }
        _ => return Err(Fault::Damaged),
    };
    Ok(Record { payload, version, expires_at, user })
}

/// Tells a record of a newer version from damage, by its first byte.
pub(super) fn not_ours(format: u8) -> Fault {
    if (FORMAT + 1..=LAST_FORMAT).contains(&format) { Fault::NewerFormat } else { Fault::Damaged }
}

/// Reads a number at a place.
pub(super) fn number(value: &[u8], at: usize) -> Result<u64, Fault> {
    let bytes = value.get(at..at + 8).ok_or(Fault::Damaged)?;
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| Fault::Damaged)?))
}

/// Returns the first millisecond in which Redis may drop the record: not before its deadline.
///
/// Redis takes no deadline of zero.
pub(super) fn drop_at(expires_at: Timestamp) -> u64 {
    expires_at.as_micros().div_ceil(1_000).max(1)
}

/// A record as it is stored, written straight into a command.
pub(super) struct Stored<'a>(pub(super) &'a Record);

impl redis::ToRedisArgs for Stored<'_> {
    fn write_redis_args<W: ?Sized + redis::RedisWrite>(&self, out: &mut W) {
        // Writing into the memory of a command does not fail.
        let _ = write(self.0, &mut out.writer_for_next_arg());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(user: Option<UserKey>, payload: &'static [u8]) -> Record {
        let (version, expires_at) = (Version::from_u64(u64::MAX), Timestamp::from_micros(1_234_567));
        Record { payload: Bytes::from_static(payload), version, expires_at, user }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for written in [
            record(None, b""),
            record(None, b"payload"),
            record(Some(UserKey::from_bytes([7; 16])), b""),
            record(Some(UserKey::from_bytes([255; 16])), b"payload"),
        ] {
            let mut value = Vec::new();
            write(&written, &mut value).expect("a vector takes everything");
            assert!(read(value.into()) == Ok(written));
        }
    }

    #[test]
    fn the_bytes_of_a_record_never_change() {
        let mut value = Vec::new();
        let written = record(Some(UserKey::from_bytes(*b"0123456789abcdef")), b"payload");
        write(&written, &mut value).expect("a vector takes everything");
        let golden =
            b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\x12\xd6\x87\
            \x010123456789abcdefpayload";
        assert_eq!(value, golden);
    }

    #[test]
    fn what_the_driver_never_writes_is_damaged_and_what_a_later_one_writes_is_newer() {
        let mut value = Vec::new();
        write(&record(Some(UserKey::from_bytes([7; 16])), b""), &mut value)
            .expect("a vector takes everything");
        for length in 0..value.len() {
            let cut = Bytes::copy_from_slice(&value[..length]);
            assert_eq!(read(cut).map(|_| ()), Err(Fault::Damaged), "cut at {length}");
        }
        let changed = |at: usize, byte| {
            let mut value = value.clone();
            value[at] = byte;
            read(value.into()).map(|_| ())
        };
        assert_eq!(changed(0, 0), Err(Fault::Damaged));
        assert_eq!(changed(0, FORMAT + 1), Err(Fault::NewerFormat));
        assert_eq!(changed(0, b'a'), Err(Fault::Damaged));
        assert_eq!(changed(BOUND, 2), Err(Fault::Damaged));
    }

    #[test]
    fn redis_keeps_a_record_up_to_its_deadline() {
        let at = |micros| drop_at(Timestamp::from_micros(micros));
        assert_eq!((at(0), at(1), at(1_000), at(1_001)), (1, 1, 1, 2));
        assert!(drop_at(Timestamp::MAX) <= u64::MAX / 1_000 + 1);
    }
}
