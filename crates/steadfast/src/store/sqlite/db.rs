//! A connection as its thread holds it, and how values become columns.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row};

use crate::store::{Record, StoreKey, UserKey, Version};
use crate::time::{Clock, Timestamp};

/// The columns of a record, in the order of [`record`].
macro_rules! record_columns {
    () => {
        "payload, version, expires_at, user"
    };
}
pub(super) use record_columns;

/// A connection with its clock. Reading is in `reads`, writing in `writes`.
pub(super) struct Db {
    pub(super) conn: Connection,
    clock: Arc<dyn Clock>,
    /// Up to where the last purge looked at the records of the present hour.
    pub(super) purged_to: Cell<Option<StoreKey>>,
}

impl Db {
    pub(super) fn new(conn: Connection, clock: Arc<dyn Clock>) -> Self {
        Self { conn, clock, purged_to: Cell::new(None) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs a statement that returns nothing, and returns the number of rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.conn.prepare_cached(sql)?.execute(params)
    }
}

/// Writes a time as a column: later than SQLite's largest integer is stored as that.
pub(super) fn micros(time: Timestamp) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Reads what [`micros`] wrote.
fn timestamp(micros: i64) -> Timestamp {
    match micros {
        i64::MAX => Timestamp::MAX,
        micros => Timestamp::from_micros(u64::try_from(micros).unwrap_or(0)),
    }
}

/// Returns the hour by which the purge finds a record.
pub(super) fn purge_hour(expires_at: Timestamp) -> i64 {
    const HOUR: i64 = 3_600_000_000;
    micros(expires_at) / HOUR
}

/// Writes a number of rows as a parameter.
pub(super) fn sql_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads a record from the first columns of a row.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        payload: Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?),
        version: Version::from_u64(row.get::<_, i64>(1)?.cast_unsigned()),
        expires_at: timestamp(row.get(2)?),
        user: row.get::<_, Option<[u8; 16]>>(3)?.map(UserKey::from_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_order_and_their_value() {
        let times = [Timestamp::EPOCH, Timestamp::from_micros(1 << 50), Timestamp::MAX];
        assert!(times.map(micros).is_sorted());
        assert_eq!(times.map(micros).map(timestamp), times);
    }
}
