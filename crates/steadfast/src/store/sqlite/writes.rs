//! What the writer does: conditional writes inside the transaction of a group.
//!
//! An operation checks all that it may refuse for before it writes. So none has to be undone while the
//! others of its group stay, and none needs a savepoint.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::db::{Db, micros, purge_hour, record, record_columns, sql_count};
use crate::store::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Predecessor, Record, Renewed, Replaced,
    StoreKey, Touched, Updated, Version,
};
use crate::time::Timestamp;

/// Most records that one transaction purges: writers wait for it a millisecond or so.
pub(super) const PURGE_BATCH: usize = 32;

/// Most records of the present hour that one transaction looks at.
pub(super) const PURGE_LOOKS: usize = 500;

/// Damaged records that are kept for an operator.
const SET_ASIDE_MAX: i64 = 100;

/// `lease_until` of a record that nobody has leased. As long as a time, so that taking and ending a lease
/// leaves the length of the row alone and SQLite overwrites some bytes in place.
const FREE: i64 = i64::MIN;

const EXISTS: &str = "SELECT 1 FROM records WHERE key = ?1";
const VERSION: &str = "SELECT version FROM records WHERE key = ?1";
const ACQUIRE: &str = concat!(
    "UPDATE records SET lease_token = ?2, lease_until = ?3 \
     WHERE key = ?1 AND (lease_until <= ?4 OR lease_token = ?2) RETURNING ",
    record_columns!()
);
const CREATE: &str = "INSERT INTO records \
     (key, version, expires_at, purge_hour, lease_token, lease_until, user, payload) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
/// Leaves the indexed columns out: naming them would rewrite their index entries although nothing changes.
const UPDATE: &str = "UPDATE records SET version = ?3, expires_at = ?4, payload = ?7, \
     lease_until = iif(lease_token = ?8 AND lease_until > ?10, ?9, lease_until) \
     WHERE key = ?1 AND version = ?2 AND purge_hour = ?5 AND user IS ?6";
const UPDATE_INDEXED: &str = "UPDATE records SET version = ?3, expires_at = ?4, purge_hour = ?5, \
     user = ?6, payload = ?7, lease_until = iif(lease_token = ?8 AND lease_until > ?10, ?9, lease_until) \
     WHERE key = ?1 AND version = ?2";
const TOUCH: &str = "UPDATE records SET expires_at = ?2 WHERE key = ?1 AND purge_hour = ?3";
const TOUCH_INDEXED: &str = "UPDATE records SET expires_at = ?2, purge_hour = ?3 WHERE key = ?1";
const RENEW: &str =
    "UPDATE records SET lease_until = ?3 WHERE key = ?1 AND lease_token = ?2 AND lease_until > ?4";
const RELEASE: &str =
    "UPDATE records SET lease_until = ?3 WHERE key = ?1 AND lease_token = ?2 AND lease_until <> ?3";
const END_LEASE: &str = "UPDATE records SET lease_until = ?2 WHERE key = ?1";
const DELETE: &str = "DELETE FROM records WHERE key = ?1";
const DELETE_SEEN: &str = "DELETE FROM records WHERE key = ?1 AND (?2 IS NULL OR version = ?2)";
const SET_ASIDE: &str = "INSERT INTO set_aside (set_aside_at, key, expires_at, user, payload) \
     SELECT ?2, key, expires_at, user, payload FROM records WHERE key = ?1";
const FORGET_OLDEST: &str = "DELETE FROM set_aside WHERE id <= (SELECT max(id) FROM set_aside) - ?1";
pub(super) const PURGE_PAST_HOURS: &str = "DELETE FROM records WHERE key IN \
     (SELECT key FROM records WHERE purge_hour < ?1 ORDER BY purge_hour LIMIT ?2)";
pub(super) const PRESENT_HOUR_AFTER: &str = "SELECT key, expires_at <= ?3 FROM records \
     WHERE purge_hour = ?1 AND key > ?2 ORDER BY key LIMIT ?4";
pub(super) const PRESENT_HOUR_UP_TO: &str = "SELECT key, expires_at <= ?3 FROM records \
     WHERE purge_hour = ?1 AND key <= ?2 ORDER BY key LIMIT ?4";

impl Db {
    pub(super) fn acquire(&self, key: &StoreKey, lease: Lease) -> rusqlite::Result<Acquired> {
        let now = self.now();
        // All changes are made before the first row comes back, so one step is the whole statement.
        let held = self
            .conn
            .prepare_cached(ACQUIRE)?
            .query_row((key.as_bytes(), token(lease.token), until(now, lease.ttl), micros(now)), record)
            .optional()?;
        Ok(match held {
            Some(record) => Acquired::Held(Found { record, now }),
            None if self.exists(key)? => Acquired::Busy,
            None => Acquired::Missing,
        })
    }

    pub(super) fn create(&self, key: &StoreKey, record: &Record) -> rusqlite::Result<Created> {
        let Record { payload, version, expires_at, user } = record;
        let stored = self.execute(
            CREATE,
            (
                key.as_bytes(),
                tag(*version),
                micros(*expires_at),
                purge_hour(*expires_at),
                FREE,
                user.as_ref().map(|user| user.as_bytes()),
                &payload[..],
            ),
        )?;
        Ok(if stored == 1 { Created::Stored } else { Created::IdTaken })
    }

    pub(super) fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> rusqlite::Result<Updated> {
        if self.store_over(UPDATE, key, seen, record, lease)?
            || self.store_over(UPDATE_INDEXED, key, seen, record, lease)?
        {
            return Ok(Updated::Stored);
        }
        Ok(if self.exists(key)? { Updated::Stale } else { Updated::Missing })
    }

    fn store_over(
        &self,
        sql: &str,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> rusqlite::Result<bool> {
        let Record { payload, version, expires_at, user } = record;
        let now = self.now();
        // No token: the comparison is null, and the lease stays as it is.
        let (holder, lease_until) = match lease {
            LeaseEnd::None => (None, FREE),
            LeaseEnd::Release(holder) => (Some(token(holder)), FREE),
            LeaseEnd::Renew(lease) => (Some(token(lease.token)), until(now, lease.ttl)),
        };
        let changed = self.execute(
            sql,
            (
                key.as_bytes(),
                tag(seen),
                tag(*version),
                micros(*expires_at),
                purge_hour(*expires_at),
                user.as_ref().map(|user| user.as_bytes()),
                &payload[..],
                holder,
                lease_until,
                micros(now),
            ),
        )?;
        Ok(changed == 1)
    }

    pub(super) fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: &Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> rusqlite::Result<Replaced> {
        let version =
            self.conn.prepare_cached(VERSION)?.query_row([old.as_bytes()], |row| row.get::<_, i64>(0));
        match version.optional()? {
            None => return Ok(Replaced::Missing),
            Some(version) if version != tag(seen) => return Ok(Replaced::Stale),
            Some(_) => {}
        }
        if self.create(new, record)? == Created::IdTaken {
            return Ok(Replaced::IdTaken);
        }
        match predecessor {
            Predecessor::Delete => drop(self.execute(DELETE, [old.as_bytes()])?),
            Predecessor::Update(frozen) => {
                // The version was seen in this transaction, so the update can't miss.
                let _ = self.update(old, seen, frozen, LeaseEnd::None)?;
                self.execute(END_LEASE, (old.as_bytes(), FREE))?;
            }
        }
        Ok(Replaced::Stored)
    }

    pub(super) fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> rusqlite::Result<Touched> {
        let columns = (key.as_bytes(), micros(expires_at), purge_hour(expires_at));
        let moved = self.execute(TOUCH, columns)? == 1 || self.execute(TOUCH_INDEXED, columns)? == 1;
        Ok(if moved { Touched::Moved } else { Touched::Missing })
    }

    pub(super) fn renew(&self, key: &StoreKey, lease: Lease) -> rusqlite::Result<Renewed> {
        let now = self.now();
        let columns = (key.as_bytes(), token(lease.token), until(now, lease.ttl), micros(now));
        Ok(if self.execute(RENEW, columns)? == 1 { Renewed::Extended } else { Renewed::Lost })
    }

    pub(super) fn release(&self, key: &StoreKey, holder: LeaseToken) -> rusqlite::Result<()> {
        self.execute(RELEASE, (key.as_bytes(), token(holder), FREE)).map(drop)
    }

    pub(super) fn delete(&self, key: &StoreKey, seen: Option<Version>) -> rusqlite::Result<Deleted> {
        if self.execute(DELETE_SEEN, (key.as_bytes(), seen.map(tag)))? == 1 {
            return Ok(Deleted::Gone);
        }
        let version = self.conn.prepare_cached(VERSION)?.exists([key.as_bytes()])?;
        Ok(if version { Deleted::Stale } else { Deleted::Missing })
    }

    pub(super) fn set_aside(&self, key: &StoreKey) -> rusqlite::Result<()> {
        if self.execute(SET_ASIDE, (key.as_bytes(), micros(self.now())))? == 1 {
            self.execute(DELETE, [key.as_bytes()])?;
            self.execute(FORGET_OLDEST, [SET_ASIDE_MAX])?;
        }
        Ok(())
    }

    /// Deletes expired records, at most `limit` and at most [`PURGE_BATCH`].
    ///
    /// Records of past hours are found by the index and need no look. Of the present hour's a bounded
    /// number is looked at, from where the last purge stopped; what is missed waits for the next hour.
    pub(super) fn purge(&self, limit: usize) -> rusqlite::Result<usize> {
        let limit = limit.min(PURGE_BATCH);
        let now = self.now();
        let mut deleted = self.execute(PURGE_PAST_HOURS, (purge_hour(now), sql_count(limit)))?;
        if deleted == limit {
            return Ok(deleted);
        }
        for (key, expired) in self.of_present_hour(now)? {
            if expired {
                deleted += self.execute(DELETE, [key.as_bytes()])?;
            }
            self.purged_to.set(Some(key));
            if deleted == limit {
                break;
            }
        }
        Ok(deleted)
    }

    /// Lists records of the present hour, and whether they have expired, from where the last purge
    /// stopped, around the end to the beginning, at most [`PURGE_LOOKS`].
    fn of_present_hour(&self, now: Timestamp) -> rusqlite::Result<Vec<(StoreKey, bool)>> {
        let start = self.purged_to.get();
        let start = start.as_ref().map_or(&[][..], |key| key.as_bytes());
        let mut list = Vec::new();
        for sql in [PRESENT_HOUR_AFTER, PRESENT_HOUR_UP_TO] {
            let room = sql_count(PURGE_LOOKS - list.len());
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut rows = statement.query((purge_hour(now), start, micros(now), room))?;
            while let Some(row) = rows.next()? {
                list.push((StoreKey::from_bytes(row.get(0)?), row.get(1)?));
            }
        }
        Ok(list)
    }

    fn exists(&self, key: &StoreKey) -> rusqlite::Result<bool> {
        self.conn.prepare_cached(EXISTS)?.exists([key.as_bytes()])
    }
}

fn tag(version: Version) -> i64 {
    version.as_u64().cast_signed()
}

fn token(holder: LeaseToken) -> i64 {
    holder.as_u64().cast_signed()
}

fn until(now: Timestamp, ttl: Duration) -> i64 {
    micros(now + ttl)
}
