//! The bytes of an item, and how long it lives.
//!
//! A record, format 1, all numbers big-endian:
//!
//! ```text
//!  0      format, 1
//!  1      1 if the record is bound to a user, else 0
//!  2..10  version
//! 10..18  deadline when it was written, microseconds since the Unix epoch
//! 18..34  the user, if there is one
//!         the payload
//! ```
//!
//! The item's own lifetime decides about the deadline, since a touch moves it without the bytes. Only where
//! the server can't be told how long (after January 2038), the deadline in the bytes does.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::store::{LeaseToken, Record, UserKey, Version};
use crate::time::Timestamp;

/// The format that this version writes, and the newest that it reads.
const FORMAT: u8 = 1;

/// The last number that a format will ever have: what begins with a letter is not a record of any version.
const LAST_FORMAT: u8 = 31;

/// Length of what precedes the payload of a record without a user.
const HEAD: usize = 18;

/// Length of what precedes the payload of a record with a user.
const HEAD_WITH_USER: usize = HEAD + 16;

/// What the server counts from now, up to here; what is above, it takes for a time of day.
pub(in crate::store) const LONGEST_RELATIVE: u64 = 30 * 86_400;

/// The last second that the server can be told.
const LAST_SECOND: u64 = i32::MAX as u64;

/// How long the server keeps an item, in its own words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Lifetime {
    /// Until a second since the Unix epoch, by the server's clock.
    Until(u32),
    /// For so many seconds.
    Seconds(u32),
    /// It is over.
    Over,
    /// Without an end: later than the server can be told.
    Unlimited,
}

impl Lifetime {
    /// Returns the lifetime of what must not be dropped before an instant.
    pub(in crate::store) fn until(instant: Timestamp) -> Self {
        match instant.as_micros().div_ceil(1_000_000) {
            0..=LONGEST_RELATIVE => Self::Over,
            second @ ..=LAST_SECOND => Self::Until(second as u32),
            _ => Self::Unlimited,
        }
    }

    /// Returns the lifetime of what must not be dropped for a while.
    ///
    /// The server counts seconds as they begin, so the first one may be as good as over.
    pub(in crate::store) fn at_least(while_: Duration) -> Self {
        let seconds = while_.as_secs() + u64::from(while_.subsec_nanos() > 0) + 1;
        Self::Seconds(seconds.min(LONGEST_RELATIVE) as u32)
    }
}

impl fmt::Display for Lifetime {
    /// Writes what follows a `T`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Until(seconds) | Self::Seconds(seconds) => write!(f, "{seconds}"),
            Self::Over => f.write_str("-1"),
            Self::Unlimited => f.write_str("0"),
        }
    }
}

/// Why the bytes of an item are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unfit {
    Damaged,
    NewerFormat,
}

/// What stands in front of a payload.
pub(super) struct Head {
    bytes: [u8; HEAD_WITH_USER],
    length: usize,
}

impl Head {
    pub(super) fn of(record: &Record) -> Self {
        let Record { payload: _, version, expires_at, user } = record;
        let mut bytes = [0; HEAD_WITH_USER];
        bytes[0] = FORMAT;
        bytes[1] = u8::from(user.is_some());
        bytes[2..10].copy_from_slice(&version.as_u64().to_be_bytes());
        bytes[10..18].copy_from_slice(&expires_at.as_micros().to_be_bytes());
        if let Some(user) = user {
            bytes[HEAD..].copy_from_slice(user.as_bytes());
        }
        Self { bytes, length: if user.is_some() { HEAD_WITH_USER } else { HEAD } }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Reads a record; its payload shares the bytes that came from the server.
pub(super) fn record(mut value: Bytes) -> Result<Record, Unfit> {
    let format = *value.first().ok_or(Unfit::Damaged)?;
    if (FORMAT + 1..=LAST_FORMAT).contains(&format) {
        return Err(Unfit::NewerFormat);
    }
    if format != FORMAT || value.len() < HEAD {
        return Err(Unfit::Damaged);
    }
    let version = Version::from_u64(number(&value, 2)?);
    let expires_at = Timestamp::from_micros(number(&value, 10)?);
    let bound = value[1];
    let mut payload = value.split_off(HEAD);
    let user = match bound {
        0 => None,
        1 if payload.len() >= 16 => {
            let user: [u8; 16] = payload.split_to(16)[..].try_into().map_err(|_| Unfit::Damaged)?;
            Some(UserKey::from_bytes(user))
        }
        _ => return Err(Unfit::Damaged),
    };
    Ok(Record { payload, version, expires_at, user })
}

/// The bytes of a lease: whose it is. How long, the item's lifetime says.
pub(super) fn lease(token: LeaseToken) -> [u8; 8] {
    token.as_u64().to_be_bytes()
}

/// Reads whose a lease is; `None` if it is nobody's that this driver knows of.
pub(super) fn holder(value: &[u8]) -> Option<LeaseToken> {
    number(value, 0).ok().map(LeaseToken::from_u64)
}

fn number(value: &[u8], at: usize) -> Result<u64, Unfit> {
    let bytes = value.get(at..at + 8).ok_or(Unfit::Damaged)?;
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| Unfit::Damaged)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(user: Option<UserKey>, payload: &'static [u8]) -> Record {
        let (version, expires_at) = (Version::from_u64(u64::MAX), Timestamp::from_micros(1_234_567));
        Record { payload: Bytes::from_static(payload), version, expires_at, user }
    }

    fn written(record: &Record) -> Vec<u8> {
        [Head::of(record).as_bytes(), &record.payload].concat()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let user = Some(UserKey::from_bytes([7; 16]));
        for sample in [sample(None, b""), sample(None, b"payload"), sample(user, b""), sample(user, b"p")] {
            assert!(record(written(&sample).into()) == Ok(sample));
        }
    }

    #[test]
    fn what_the_driver_never_writes_is_damaged_and_what_a_later_one_writes_is_newer() {
        let value = written(&sample(Some(UserKey::from_bytes([7; 16])), b""));
        for length in 0..value.len() {
            let cut = Bytes::copy_from_slice(&value[..length]);
            assert_eq!(record(cut).map(drop), Err(Unfit::Damaged), "cut at {length}");
        }
        for (at, byte, unfit) in [
            (0, 0, Unfit::Damaged),
            (0, b'a', Unfit::Damaged),
            (0, FORMAT + 1, Unfit::NewerFormat),
            (1, 2, Unfit::Damaged),
        ] {
            let mut value = value.clone();
            value[at] = byte;
            assert_eq!(record(value.into()).map(drop), Err(unfit));
        }
    }

    #[test]
    fn nothing_is_dropped_before_its_time() {
        use Lifetime::{Over, Unlimited, Until};
        let until = |micros| Lifetime::until(Timestamp::from_micros(micros));
        assert_eq!((until(0), until(2_592_000_000_000)), (Over, Over));
        assert_eq!(
            (until(2_592_000_000_001), until(2_592_001_000_000)),
            (Until(2_592_001), Until(2_592_001))
        );
        assert_eq!(
            (until(2_147_483_647_000_000), until(2_147_483_647_000_001)),
            (Until(i32::MAX as u32), Unlimited)
        );
        assert_eq!(Lifetime::until(Timestamp::MAX), Unlimited);
        let at_least = |millis| Lifetime::at_least(Duration::from_millis(millis)).to_string();
        assert_eq!([at_least(0), at_least(1), at_least(1000), at_least(5500)], ["1", "2", "2", "7"]);
        assert_eq!(Lifetime::at_least(Duration::MAX / 2).to_string(), "2592000");
    }
}
