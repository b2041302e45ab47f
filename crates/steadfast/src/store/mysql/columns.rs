//! How values become columns, and columns values.

use std::time::Duration;

use bytes::Bytes;
use mysql_async::{Row, Value};

use crate::store::{Listed, Record, StoreKey, UserKey, Version};
use crate::time::Timestamp;

use super::error::Fault;

/// Longest lease in microseconds, some 36,000 years: the sum with the present time fits a column.
const LONGEST: u64 = 1 << 60;

/// Writes bytes as a parameter.
pub(super) fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

/// Writes the length of a lease as a parameter.
pub(super) fn micros_of(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_micros()).unwrap_or(LONGEST).min(LONGEST)
}

/// Writes a number of rows as a parameter.
pub(super) fn limit(rows: usize) -> Value {
    Value::UInt(rows as u64)
}

/// Returns the hour by which the purge finds a record.
pub(super) fn purge_hour(expires_at: Timestamp) -> u32 {
    const HOUR: u64 = 3_600_000_000;
    u32::try_from(expires_at.as_micros() / HOUR).unwrap_or(u32::MAX)
}

/// Writes a record as the parameters of the statements that store one: version, deadline, hour, user,
/// payload. There is room for those that follow.
pub(super) fn stored(record: &Record) -> Vec<Value> {
    const FOLLOW: usize = 4;
    let Record { payload, version, expires_at, user } = record;
    let mut values = Vec::with_capacity(5 + FOLLOW);
    values.extend([
        Value::UInt(version.as_u64()),
        Value::UInt(expires_at.as_micros()),
        Value::UInt(purge_hour(*expires_at).into()),
        user.as_ref().map_or(Value::NULL, |user| bytes(user.as_bytes())),
        bytes(payload),
    ]);
    values
}

/// Takes a row apart. The number of columns is the statement's, so it fits unless the answer is no answer to
/// it.
pub(super) fn values<const N: usize>(row: Row) -> Result<[Value; N], Fault> {
    row.unwrap().try_into().map_err(|_| Fault::Column)
}

/// Reads a record from the columns of `record_columns!`.
pub(super) fn record([payload, version, expires_at, user]: [Value; 4]) -> Result<Record, Fault> {
    let Value::Bytes(payload) = payload else { return Err(Fault::Column) };
    let user = match user {
        Value::NULL => None,
        user => Some(UserKey::from_bytes(sixteen(user)?)),
    };
    Ok(Record {
        payload: Bytes::from(payload),
        version: Version::from_u64(number(&version)?),
        expires_at: timestamp(&expires_at)?,
        user,
    })
}

/// Reads a row of a list: a record and its key.
pub(super) fn listed(row: Row) -> Result<Listed, Fault> {
    let [payload, version, expires_at, user, key] = values(row)?;
    Ok(Listed { record: record([payload, version, expires_at, user])?, key: key_of(key)? })
}

/// Reads a key.
pub(super) fn key_of(value: Value) -> Result<StoreKey, Fault> {
    Ok(StoreKey::from_bytes(sixteen(value)?))
}

fn sixteen(value: Value) -> Result<[u8; 16], Fault> {
    match value {
        Value::Bytes(bytes) => bytes.try_into().map_err(|_| Fault::Column),
        _ => Err(Fault::Column),
    }
}

/// Reads a time.
pub(super) fn timestamp(value: &Value) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_micros(number(value)?))
}

/// Reads a number that is never negative: as a number from a prepared statement, as digits from others.
pub(super) fn number(value: &Value) -> Result<u64, Fault> {
    match value {
        Value::UInt(number) => Some(*number),
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Bytes(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        _ => None,
    }
    .ok_or(Fault::Column)
}

/// The first key of a list that goes on after another: the next one, or the very first. `None` after the
/// very last, which nothing follows.
pub(super) fn first_key(after: Option<&StoreKey>) -> Option<Value> {
    let first = match after {
        None => 0,
        Some(after) => u128::from_be_bytes(*after.as_bytes()).checked_add(1)?,
    };
    Some(bytes(&first.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_with_the_next_key() {
        let after = |key: [u8; 16]| first_key(Some(&StoreKey::from_bytes(key)));
        assert_eq!(first_key(None), Some(bytes(&[0; 16])));
        let (mut key, mut next) = ([0xff; 16], [0; 16]);
        (key[0], next[0]) = (6, 7);
        assert_eq!(after(key), Some(bytes(&next)));
        assert_eq!(after([0xff; 16]), None);
    }

    #[test]
    fn numbers_are_read_from_both_protocols() {
        for value in [Value::UInt(7), Value::Int(7), bytes(b"7")] {
            assert_eq!(number(&value).ok(), Some(7));
        }
        assert_eq!(number(&bytes(b"18446744073709551615")).ok(), Some(u64::MAX));
        for value in [Value::NULL, Value::Int(-1), bytes(b"-1"), bytes(b""), bytes(b"\xff")] {
            assert!(number(&value).is_err());
        }
    }

    #[test]
    fn hours_fit_their_column() {
        assert_eq!(purge_hour(Timestamp::from_micros(2 * 3_600_000_000 - 1)), 1);
        assert_eq!(purge_hour(Timestamp::MAX), u32::MAX);
    }
}
