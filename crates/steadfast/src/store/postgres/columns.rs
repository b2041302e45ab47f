//! How values become columns and rows become records.

use bytes::Bytes;
use tokio_postgres::Row;

use crate::store::{Found, LeaseToken, Listed, Record, StoreKey, UserKey, Version};
use crate::time::Timestamp;

/// Writes a time as a column: later than the largest integer is stored as that.
pub(super) fn micros(time: Timestamp) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Reads what [`micros`] wrote.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    match micros {
        i64::MAX => Timestamp::MAX,
        micros => Timestamp::from_micros(u64::try_from(micros).unwrap_or(0)),
    }
}

/// Returns the hour by which the purge finds a record.
pub(super) fn purge_hour(expires_at: Timestamp) -> i32 {
    const HOUR: i64 = 3_600_000_000;
    i32::try_from(micros(expires_at) / HOUR).unwrap_or(i32::MAX)
}

/// Writes the length of a lease. A longer one than 292 years would overflow when the time is added.
pub(super) fn length(ttl: std::time::Duration) -> i64 {
    i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 2)
}

pub(super) fn tag(version: Version) -> i64 {
    version.as_u64().cast_signed()
}

pub(super) fn token(holder: LeaseToken) -> i64 {
    holder.as_u64().cast_signed()
}

/// Writes a number of rows as a parameter.
pub(super) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Reads a number of rows.
pub(super) fn rows(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// The columns of a record, ready to be parameters.
pub(super) struct Columns<'a> {
    pub(super) version: i64,
    pub(super) expires_at: i64,
    pub(super) purge_hour: i32,
    pub(super) user: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
}

impl<'a> From<&'a Record> for Columns<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { payload, version, expires_at, user } = record;
        Self {
            version: tag(*version),
            expires_at: micros(*expires_at),
            purge_hour: purge_hour(*expires_at),
            user: user.as_ref().map(|user| &user.as_bytes()[..]),
            payload,
        }
    }
}

/// Reads a record from the first columns of a row.
pub(super) fn record(row: &Row) -> Result<Record, tokio_postgres::Error> {
    Ok(Record {
        payload: Bytes::copy_from_slice(row.try_get(0)?),
        version: Version::from_u64(row.try_get::<_, i64>(1)?.cast_unsigned()),
        expires_at: timestamp(row.try_get(2)?),
        // The column's constraint keeps other lengths out.
        user: row
            .try_get::<_, Option<&[u8]>>(3)?
            .and_then(|user| user.try_into().ok())
            .map(UserKey::from_bytes),
    })
}

/// Reads a record, followed by the present time.
pub(super) fn found(row: &Row) -> Result<Found, tokio_postgres::Error> {
    Ok(Found { record: record(row)?, now: timestamp(row.try_get(4)?) })
}

/// Reads a record, followed by its key. None if it can't be read: it must not hide the others.
pub(super) fn listed(row: &Row) -> Option<Listed> {
    let key = row.try_get::<_, &[u8]>(4).ok()?.try_into().ok()?;
    Some(Listed { record: record(row).ok()?, key: StoreKey::from_bytes(key) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_keep_their_order_and_their_value() {
        let times = [Timestamp::EPOCH, Timestamp::from_micros(1 << 50), Timestamp::MAX];
        assert!(times.map(micros).is_sorted());
        assert_eq!(times.map(micros).map(timestamp), times);
        assert!(times.map(purge_hour).is_sorted());
    }

    #[test]
    fn the_longest_lease_can_be_added_to_the_time() {
        assert!(length(Duration::MAX).checked_add(4_102_444_800_000_000).is_some());
    }
}
