//! The statements, with the name of the table in them.

use std::fmt::Write as _;

use crate::error::Result;
use crate::hex;
use crate::store::{Lease, Record, StoreKey, Version};

use super::columns::{micros_of, purge_hour};
use super::error::config_fault;

/// Longest name of a table: 64 characters are MySQL's limit, and `_set_aside` follows it in one of ours.
const LONGEST_TABLE: usize = 54;

/// The present time in microseconds since 1970.
///
/// By `UTC_TIMESTAMP`, so that the session's time zone and its summer time play no part. It is the time at
/// which the statement began, the same wherever it stands in it and on every replica.
macro_rules! now {
    () => {
        "TIMESTAMPDIFF(MICROSECOND,'1970-01-01',UTC_TIMESTAMP(6))"
    };
}

/// The columns of a record, in the order of [`columns::record`](super::columns::record).
macro_rules! record_columns {
    () => {
        "payload,version,expires_at,user_key"
    };
}

/// The present time, within a statement.
#[cfg(feature = "php")]
pub(in crate::store) const NOW_IN_MICROS: &str = now!();
pub(super) const NOW: &str = concat!("SELECT ", now!());
pub(in crate::store) const BEGIN: &str = "START TRANSACTION";
pub(in crate::store) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// All that is said about one table.
pub(super) struct Sql {
    /// The name, quoted.
    table: String,
    pub(super) load: String,
    pub(super) take_lease: String,
    pub(super) load_as_holder: String,
    pub(super) create: String,
    pub(super) update: String,
    pub(super) update_and_release: String,
    pub(super) update_and_renew: String,
    pub(super) update_and_end_lease: String,
    pub(super) touch: String,
    pub(super) renew: String,
    pub(super) release: String,
    pub(super) is_leased: String,
    pub(super) delete: String,
    pub(super) delete_seen: String,
    pub(super) exists: String,
    pub(super) set_aside: String,
    pub(super) forget_oldest: String,
    pub(super) of_user: String,
    pub(super) page: String,
    pub(super) count: String,
    pub(super) expired_before_this_hour: String,
    pub(super) of_this_hour: String,
}

impl Sql {
    /// More than the text of a [replacement](Self::replace) has beside its payloads, in bytes.
    pub(super) const REST_OF_REPLACE: usize = 1_024;

    /// Writes the statements for a table, whose name was [checked](check_table).
    pub(super) fn new(table: &str) -> Self {
        const SET: &str = "version=?,expires_at=?,purge_hour=?,user_key=?,payload=?";
        const SEEN: &str = "record_key=? AND version=?";
        let t = format!("`{table}`");
        let aside = format!("`{table}_set_aside`");
        let now = now!();
        let record = record_columns!();
        let update = |lease: &str| format!("UPDATE {t} SET {SET}{lease} WHERE {SEEN}");
        Self {
            load: format!("SELECT {record},{now} FROM {t} WHERE record_key=?"),
            take_lease: format!(
                "UPDATE {t} SET lease_token=?,lease_until={now}+? \
                 WHERE record_key=? AND (lease_until<={now} OR lease_token=?)"
            ),
            load_as_holder: format!("SELECT {} FROM {t} WHERE record_key=?", as_holder("?")),
            create: format!(
                "INSERT INTO {t} (version,expires_at,purge_hour,user_key,payload,record_key,lease_token,\
                 lease_until) VALUES (?,?,?,?,?,?,0,0)"
            ),
            update: update(""),
            update_and_release: update(",lease_until=IF(lease_token=?,0,lease_until)"),
            update_and_renew: update(&format!(
                ",lease_until=IF(lease_token=? AND lease_until>{now},{now}+?,lease_until)"
            )),
            update_and_end_lease: update(",lease_until=0"),
            touch: format!("UPDATE {t} SET expires_at=?,purge_hour=? WHERE record_key=?"),
            renew: format!(
                "UPDATE {t} SET lease_until={now}+? \
                 WHERE record_key=? AND lease_token=? AND lease_until>{now}"
            ),
            release: format!(
                "UPDATE {t} SET lease_until=0 WHERE record_key=? AND lease_token=? AND lease_until<>0"
            ),
            is_leased: format!("SELECT lease_until>{now} FROM {t} WHERE record_key=?"),
            delete: format!("DELETE FROM {t} WHERE record_key=?"),
            delete_seen: format!("DELETE FROM {t} WHERE {SEEN}"),
            exists: format!("SELECT 1 FROM {t} WHERE record_key=?"),
            set_aside: format!(
                "INSERT INTO {aside} (set_aside_at,record_key,expires_at,user_key,payload) \
                 SELECT {now},record_key,expires_at,user_key,payload FROM {t} WHERE record_key=?"
            ),
            // The inner query is a table of its own: MySQL does not read the table it deletes from.
            forget_oldest: format!(
                "DELETE FROM {aside} WHERE id<=(SELECT id FROM \
                 (SELECT id FROM {aside} ORDER BY id DESC LIMIT 1 OFFSET ?) AS oldest)"
            ),
            of_user: format!(
                "SELECT {record},record_key FROM {t} WHERE user_key=? AND record_key>=? \
                 ORDER BY record_key LIMIT ?"
            ),
            page: format!(
                "SELECT {record},record_key FROM {t} WHERE record_key>=? ORDER BY record_key LIMIT ?"
            ),
            count: format!("SELECT COUNT(*) FROM {t}"),
            expired_before_this_hour: format!(
                "SELECT record_key FROM {t} FORCE INDEX (by_purge_hour) \
                 WHERE purge_hour<{now} DIV 3600000000 ORDER BY purge_hour LIMIT ?"
            ),
            of_this_hour: format!(
                "SELECT record_key,expires_at<={now} FROM {t} FORCE INDEX (by_purge_hour) \
                 WHERE purge_hour={now} DIV 3600000000 AND record_key>=? ORDER BY record_key LIMIT ?"
            ),
            table: t,
        }
    }

    /// Writes two statements for one round trip: take the lease if it may be taken; read the record, whose
    /// payload only the holder gets.
    pub(super) fn acquire(&self, key: &StoreKey, lease: Lease) -> String {
        let (t, key, now) = (&self.table, hex::encode(key.as_bytes()), now!());
        let (token, ttl) = (lease.token.as_u64(), micros_of(lease.ttl));
        let columns = as_holder(&token.to_string());
        format!(
            "UPDATE {t} SET lease_token={token},lease_until={now}+{ttl} \
             WHERE record_key=x'{key}' AND (lease_until<={now} OR lease_token={token});\
             SELECT {columns} FROM {t} WHERE record_key=x'{key}'"
        )
    }

    /// Writes a transaction for one round trip: add the new record if the old one has the version seen, then
    /// change or delete the old one, under the same condition.
    ///
    /// The first statement locks the old record, so both find the same. Neither asks what the other has done:
    /// a server that can't tell the client an answer runs the rest all the same, and counts no rows.
    pub(super) fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        frozen: Option<&Record>,
        new: &StoreKey,
        record: &Record,
    ) -> String {
        let frozen_len = frozen.map_or(0, |frozen| frozen.payload.len());
        let mut batch =
            String::with_capacity(Self::REST_OF_REPLACE + 2 * (record.payload.len() + frozen_len));
        batch.push_str(BEGIN);
        self.add_beside(&mut batch, new, record);
        where_seen(&mut batch, old, seen);
        batch.push_str(" FOR UPDATE");
        self.add_change(&mut batch, frozen);
        where_seen(&mut batch, old, seen);
        batch.push(';');
        batch.push_str(COMMIT);
        batch
    }

    /// Adds the statement that stores a record if another one is there, up to the condition for that one.
    fn add_beside(&self, batch: &mut String, key: &StoreKey, record: &Record) {
        let t = &self.table;
        let Record { payload, version, expires_at, user } = record;
        let (version, hour, expires_at) = (version.as_u64(), purge_hour(*expires_at), expires_at.as_micros());
        add(
            batch,
            format_args!(
                ";INSERT INTO {t} (version,expires_at,purge_hour,lease_token,lease_until,record_key,\
                 user_key,payload) SELECT {version},{expires_at},{hour},0,0,"
            ),
        );
        literal(batch, Some(key.as_bytes()));
        batch.push(',');
        literal(batch, user.as_ref().map(|user| &user.as_bytes()[..]));
        batch.push(',');
        literal(batch, Some(payload));
        add(batch, format_args!(" FROM {t}"));
    }

    /// Adds the statement that changes a record and ends its lease, or deletes it, up to the condition.
    fn add_change(&self, batch: &mut String, to: Option<&Record>) {
        let t = &self.table;
        let Some(Record { payload, version, expires_at, user }) = to else {
            return add(batch, format_args!(";DELETE FROM {t}"));
        };
        let (version, hour, expires_at) = (version.as_u64(), purge_hour(*expires_at), expires_at.as_micros());
        add(
            batch,
            format_args!(
                ";UPDATE {t} SET version={version},expires_at={expires_at},purge_hour={hour},lease_until=0,\
                 user_key="
            ),
        );
        literal(batch, user.as_ref().map(|user| &user.as_bytes()[..]));
        batch.push_str(",payload=");
        literal(batch, Some(payload));
    }

    /// Writes the deletion of those of some records that have expired by the time of the deletion.
    pub(super) fn delete_expired(&self, keys: &[StoreKey]) -> String {
        let mut statement = format!("DELETE FROM {} WHERE record_key IN (", self.table);
        for (n, key) in keys.iter().enumerate() {
            if n > 0 {
                statement.push(',');
            }
            literal(&mut statement, Some(key.as_bytes()));
        }
        statement.push_str(concat!(") AND expires_at<=", now!()));
        statement
    }
}

/// The columns of an acquire: those of a record, without its payload unless the token holds the lease, then
/// the time, and whether it does.
fn as_holder(token: &str) -> String {
    format!("IF(lease_token={token},payload,''),version,expires_at,user_key,{},lease_token={token}", now!())
}

/// Adds the condition that a record has the version that was seen.
fn where_seen(statement: &mut String, key: &StoreKey, seen: Version) {
    statement.push_str(" WHERE record_key=");
    literal(statement, Some(key.as_bytes()));
    add(statement, format_args!(" AND version={}", seen.as_u64()));
}

/// Adds text to a statement.
fn add(statement: &mut String, text: std::fmt::Arguments<'_>) {
    statement.write_fmt(text).expect("a string takes any text");
}

/// Adds bytes in hexadecimal, which no setting of the server reads differently.
fn literal(statement: &mut String, bytes: Option<&[u8]>) {
    match bytes {
        None => statement.push_str("NULL"),
        Some(bytes) => {
            statement.push_str("x'");
            statement.push_str(&hex::encode(bytes));
            statement.push('\'');
        }
    }
}

/// Checks the name of a table: a letter or an underscore, then letters, digits and underscores, at most 54.
///
/// # Errors
///
/// `InvalidConfig` for any other: it would have to be quoted, and stand for something else on another
/// platform.
pub(super) fn check_table(table: &str) -> Result<()> {
    let fits = (1..=LONGEST_TABLE).contains(&table.len())
        && !table.starts_with(|first: char| first.is_ascii_digit())
        && table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits {
        return Ok(());
    }
    Err(config_fault(format!(
        "`table` is 1 to {LONGEST_TABLE} ASCII letters, digits and underscores, and does not begin with a digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_table_is_a_plain_word() {
        for good in ["sessions", "_s", "S2_x", &"t".repeat(54)] {
            check_table(good).expect(good);
        }
        for bad in ["", "2s", "a b", "a`b", "a.b", "a;b", "a-b", "séance", "a\0", &"t".repeat(55)] {
            let error = check_table(bad).expect_err(bad);
            assert!(bad.is_empty() || !error.to_string().contains(bad), "what was wrong is not repeated");
        }
    }

    #[test]
    fn bytes_are_written_so_that_no_sql_mode_reads_them_differently() {
        let mut text = String::new();
        literal(&mut text, Some(b"'\\;\0--\xff"));
        assert_eq!(text, "x'275c3b002d2dff'");
        literal(&mut text, None);
        literal(&mut text, Some(b""));
        assert_eq!(text, "x'275c3b002d2dff'NULLx''");
    }
}
