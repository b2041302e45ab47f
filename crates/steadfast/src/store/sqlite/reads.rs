//! What readers do: queries on a snapshot.

use std::num::NonZeroUsize;

use rusqlite::{OptionalExtension, Params, Row};

use super::db::{Db, micros, record, record_columns, sql_count};
use crate::store::{Found, Listed, Loaded, StoreKey, UserKey};

const LOAD: &str = concat!("SELECT ", record_columns!(), " FROM records WHERE key = ?1");
const LEASED: &str = "SELECT 1 FROM records WHERE key = ?1 AND lease_until > ?2";
const COUNT: &str = "SELECT count(*) FROM records";
pub(super) const OF_USER: &str = concat!(
    "SELECT ",
    record_columns!(),
    ", key FROM records WHERE user = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
);
pub(super) const PAGE: &str =
    concat!("SELECT ", record_columns!(), ", key FROM records WHERE key > ?1 ORDER BY key LIMIT ?2");

impl Db {
    pub(super) fn load(&self, key: &StoreKey) -> rusqlite::Result<Loaded> {
        let found = self.conn.prepare_cached(LOAD)?.query_row([key.as_bytes()], record).optional()?;
        Ok(match found {
            Some(record) => Loaded::Found(Found { record, now: self.now() }),
            None => Loaded::Missing,
        })
    }

    /// Reports whether somebody holds the lease of a record.
    pub(super) fn is_leased(&self, key: &StoreKey) -> rusqlite::Result<bool> {
        self.conn.prepare_cached(LEASED)?.exists((key.as_bytes(), micros(self.now())))
    }

    pub(super) fn count(&self) -> rusqlite::Result<u64> {
        let count: i64 = self.conn.prepare_cached(COUNT)?.query_row([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    pub(super) fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> rusqlite::Result<Vec<Listed>> {
        self.list(OF_USER, (user.as_bytes(), first_bytes(after), sql_count(limit.get())))
    }

    pub(super) fn page(
        &self,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> rusqlite::Result<Vec<Listed>> {
        self.list(PAGE, (first_bytes(after), sql_count(limit.get())))
    }

    fn list(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Listed>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut list = Vec::new();
        while let Some(row) = rows.next()? {
            // A row that can't be read must not hide the others.
            list.extend(listed(row).ok());
        }
        Ok(list)
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed { record: record(row)?, key: StoreKey::from_bytes(row.get(4)?) })
}

/// The key to list after; the empty one comes before all others.
fn first_bytes(after: Option<&StoreKey>) -> &[u8] {
    after.map_or(&[], |key| key.as_bytes())
}
