//! What is said to an engine: the statements, put together from its own words.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::hex;
use crate::store::{Record, Version};
use crate::time::Timestamp;

use super::engine::Step;
use super::names::Name;

/// For how long a row that was set aside is kept: CodeIgniter's gc and our purge go by its time.
pub(super) const KEPT_ASIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The words of an engine for one table, and the statements that are made of them.
///
/// Texts hold no parameters, so that several go in one message. What stands in them is either checked (names
/// of tables, of cookies, ids), a number, or bytes in hexadecimal.
pub(in crate::store::php) trait Words: fmt::Debug + Send + Sync + 'static {
    const DRIVER: &'static str;
    /// The columns, quoted.
    const ID: &'static str;
    const IP: &'static str;
    const TIMESTAMP: &'static str;
    const DATA: &'static str;
    /// The operator of regular expressions.
    const MATCHES: &'static str;
    /// The present time in microseconds since 1970.
    const NOW: &'static str;

    /// Returns the table, quoted.
    fn table(&self) -> &str;

    /// Returns the largest payload that can be stored, in bytes.
    fn longest_payload(&self) -> usize;

    /// Returns what selects the payload, as [`decoded`](Self::decoded) reads it.
    fn payload(&self) -> String;

    /// Reads a payload; none if it is damaged.
    fn decoded(&self, cell: Bytes) -> Option<Bytes>;

    /// Writes a payload.
    fn encoded(&self, payload: &[u8]) -> String;

    /// Returns what selects the first 16 hexadecimal digits of the SHA-256 of the payload.
    fn digest(&self) -> String;

    /// Returns what selects the time of the last use, in microseconds since 1970.
    fn used_at(&self) -> String;

    /// Writes a time, given in microseconds, or an expression for it, given as one for microseconds.
    fn time(&self, micros: &str) -> String;

    /// Returns the condition that selects a row by name, and by the exact name.
    fn is_row(&self, name: &Name) -> String;

    /// Returns what selects an address as text.
    fn ip_text(&self) -> String;

    /// Asks for the lock of a row; yes if it was given.
    fn try_lock(&self, name: &Name) -> String;

    /// Asks for the lock of a row, and waits for it in the engine's queue; yes if it was given.
    fn wait_for_lock(&self, name: &Name, wait: Duration) -> Step;

    /// Gives the lock of a row back; yes if it was held.
    fn unlock(&self, name: &Name) -> String;

    /// Asks whether the connection still has the lock.
    fn still_locked(&self, name: &Name) -> String;

    /// Deletes at most `limit` rows that a condition is true of, that were last used before a time (given as
    /// an expression for microseconds), and whose locks are free.
    fn purge(&self, condition: &str, unused_since: &str, limit: usize) -> String;

    fn now(&self) -> String {
        format!("SELECT {}", Self::NOW)
    }

    /// Selects the payload, the time of the last use, and the present time.
    fn read(&self, name: &Name) -> String {
        let (payload, used_at) = (self.payload(), self.used_at());
        format!("SELECT {payload},{used_at},{} FROM {} WHERE {}", Self::NOW, self.table(), self.is_row(name))
    }

    fn exists(&self, name: &Name) -> String {
        format!("SELECT 1 FROM {} WHERE {}", self.table(), self.is_row(name))
    }

    /// Selects the digest, and keeps others from writing until the transaction has ended.
    fn read_to_write(&self, name: &Name) -> String {
        format!("SELECT {} FROM {} WHERE {} FOR UPDATE", self.digest(), self.table(), self.is_row(name))
    }

    fn update(&self, name: &Name, seen: Version, row: &Row<'_>) -> String {
        format!(
            "UPDATE {} SET {}={},{}={} WHERE {} AND {}",
            self.table(),
            Self::TIMESTAMP,
            self.time(&row.used_at.to_string()),
            Self::DATA,
            self.encoded(row.payload),
            self.is_row(name),
            self.is_seen(seen),
        )
    }

    /// Stores a new row, if another one has the version that was seen, where one is given.
    fn insert(&self, name: &Name, row: &Row<'_>, over: Option<(&Name, Version)>) -> String {
        // What CodeIgniter writes for an address that it does not know.
        let ip = name.ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        let condition = over.map_or_else(String::new, |(old, seen)| {
            format!(" AND EXISTS ({} AND {})", self.exists(old), self.is_seen(seen))
        });
        format!(
            "INSERT INTO {} ({},{},{},{}) SELECT {},'{}','{ip}',{} FROM (SELECT 1 AS one) AS given \
             WHERE NOT EXISTS ({}){condition}",
            self.table(),
            Self::TIMESTAMP,
            Self::ID,
            Self::IP,
            Self::DATA,
            self.time(&row.used_at.to_string()),
            name.row,
            self.encoded(row.payload),
            self.exists(name),
        )
    }

    fn delete(&self, name: &Name, seen: Option<Version>) -> String {
        let condition = seen.map_or_else(String::new, |seen| format!(" AND {}", self.is_seen(seen)));
        format!("DELETE FROM {} WHERE {}{condition}", self.table(), self.is_row(name))
    }

    fn touch(&self, name: &Name, used_at: u64) -> String {
        let time = self.time(&used_at.to_string());
        format!("UPDATE {} SET {}={time} WHERE {}", self.table(), Self::TIMESTAMP, self.is_row(name))
    }

    /// Renames a row, and lets it be purged after a week.
    fn set_aside(&self, name: &Name) -> [String; 2] {
        let (table, aside) = (self.table(), Name { row: name.aside(), ..name.clone() });
        let until = self.time(&format!("({}+{})", Self::NOW, KEPT_ASIDE.as_micros()));
        let renamed = format!("{}='{}',{}={until}", Self::ID, aside.row, Self::TIMESTAMP);
        [
            // Limited, so that MySQL makes a table of its own of it.
            format!(
                "{} AND EXISTS (SELECT 1 FROM ({} LIMIT 1) AS damaged)",
                self.delete(&aside, None),
                self.exists(name)
            ),
            format!("UPDATE {table} SET {renamed} WHERE {}", self.is_row(name)),
        ]
    }

    fn count(&self, prefix: &str) -> String {
        format!("SELECT COUNT(*) FROM {} WHERE {}", self.table(), self.is_of(prefix))
    }

    /// Selects rows after one, in the order of their names: payload, time of the last use, id, address.
    fn page(&self, prefix: &str, after: Option<(&str, Option<&str>)>, limit: usize) -> String {
        let (id, ip, text) = (Self::ID, Self::IP, self.ip_text());
        let after = match after {
            None => String::new(),
            Some((row, None)) => format!(" AND {id}>'{row}'"),
            Some((row, Some(address))) => {
                format!(" AND ({id}>'{row}' OR ({id}='{row}' AND {ip}>'{address}'))")
            }
        };
        format!(
            "SELECT {},{},{id},{text} FROM {} WHERE {} AND {text} {} '^[0-9A-Fa-f.:]*$'{after} \
             ORDER BY {id},{ip} LIMIT {limit}",
            self.payload(),
            self.used_at(),
            self.table(),
            self.is_of(prefix),
            Self::MATCHES,
        )
    }

    /// Returns the condition that the payload is the one that was seen.
    fn is_seen(&self, seen: Version) -> String {
        format!("{}='{}'", self.digest(), digest_of(seen))
    }

    /// Returns the condition that a row is named by a prefix and then an id, so that its name is plain.
    fn is_of(&self, prefix: &str) -> String {
        let (id, len, matches) = (Self::ID, prefix.len(), Self::MATCHES);
        format!("LEFT({id},{len})='{prefix}' AND SUBSTRING({id},{}) {matches} '^[0-9A-Za-z,-]+$'", len + 1)
    }
}

/// What a row is to hold.
pub(in crate::store::php) struct Row<'a> {
    payload: &'a [u8],
    /// In microseconds since 1970.
    used_at: u64,
}

impl<'a> Row<'a> {
    pub(super) fn new(record: &'a Record, lifetime: Duration) -> Self {
        Self { payload: &record.payload, used_at: used_at(record.expires_at, lifetime) }
    }
}

/// Returns the time of the last use of a session that expires at a time.
pub(super) fn used_at(expires_at: Timestamp, lifetime: Duration) -> u64 {
    /// The end of the year 9999, which every column can hold that has no earlier end of its own.
    const LATEST: u64 = 253_402_300_799_000_000;
    (expires_at - lifetime).as_micros().min(LATEST)
}

/// Writes a version as [`Words::digest`] selects it.
pub(super) fn digest_of(version: Version) -> String {
    // The version is the first eight bytes of the digest.
    version.as_u64().to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes bytes in hexadecimal.
pub(in crate::store::php) fn literal(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Makes an error about the settings or the table.
pub(in crate::store::php) fn fault(driver: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message.into()).in_driver(driver)
}
