//! What is said to MySQL and MariaDB.

use std::time::Duration;

use bytes::Bytes;

use crate::store::mysql::shared::{DRIVER, NOW_IN_MICROS};
use crate::store::php::sql::{Name, Step, Words, literal};

/// How a table keeps the time of the last use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Clock {
    /// As `TIMESTAMP`: CodeIgniter 4 since 4.1.2.
    Timestamp,
    /// As seconds since 1970, of which the column holds so many at most: CodeIgniter 3, and 4 before that.
    Seconds(u64),
}

/// The words for one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MysqlWords {
    pub(super) table: String,
    pub(super) clock: Clock,
    pub(super) longest_payload: usize,
    pub(super) match_ip: bool,
}

impl Words for MysqlWords {
    const DRIVER: &'static str = DRIVER;
    const ID: &'static str = "`id`";
    const IP: &'static str = "`ip_address`";
    const TIMESTAMP: &'static str = "`timestamp`";
    const DATA: &'static str = "`data`";
    const MATCHES: &'static str = "REGEXP";
    const NOW: &'static str = NOW_IN_MICROS;

    fn table(&self) -> &str {
        &self.table
    }

    fn longest_payload(&self) -> usize {
        self.longest_payload
    }

    fn payload(&self) -> String {
        Self::DATA.to_owned()
    }

    fn decoded(&self, cell: Bytes) -> Option<Bytes> {
        Some(cell)
    }

    fn encoded(&self, payload: &[u8]) -> String {
        format!("x'{}'", literal(payload))
    }

    fn digest(&self) -> String {
        format!("LEFT(SHA2({},256),16)", Self::DATA)
    }

    fn used_at(&self) -> String {
        match self.clock {
            Clock::Timestamp => format!("CAST(UNIX_TIMESTAMP({})*1000000 AS UNSIGNED)", Self::TIMESTAMP),
            Clock::Seconds(_) => format!("{}*1000000", Self::TIMESTAMP),
        }
    }

    fn time(&self, micros: &str) -> String {
        match self.clock {
            // A `TIMESTAMP` is none of 1970 and none after January 2038.
            Clock::Timestamp => format!("FROM_UNIXTIME(LEAST(GREATEST({micros} DIV 1000000,1),2147483647))"),
            Clock::Seconds(latest) => format!("LEAST(GREATEST({micros} DIV 1000000,0),{latest})"),
        }
    }

    /// The column's collation may hold letters of another case to be equal, and spaces at the end to be
    /// nothing: the index finds by that, the cast compares bytes.
    fn is_row(&self, name: &Name) -> String {
        let (id, row) = (Self::ID, &name.row);
        let ip = name.ip.map_or_else(String::new, |ip| format!(" AND {}='{ip}'", Self::IP));
        format!("{id}='{row}' AND CAST({id} AS BINARY)='{row}'{ip}")
    }

    fn ip_text(&self) -> String {
        Self::IP.to_owned()
    }

    fn try_lock(&self, name: &Name) -> String {
        format!("SELECT GET_LOCK({},0)", lock(name))
    }

    fn wait_for_lock(&self, name: &Name, wait: Duration) -> Step {
        Step::One(format!("SELECT GET_LOCK({},{}.{:03})", lock(name), wait.as_secs(), wait.subsec_millis()))
    }

    fn unlock(&self, name: &Name) -> String {
        format!("SELECT RELEASE_LOCK({})", lock(name))
    }

    fn still_locked(&self, name: &Name) -> String {
        format!("SELECT IS_USED_LOCK({})=CONNECTION_ID()", lock(name))
    }

    fn purge(&self, condition: &str, unused_since: &str, limit: usize) -> String {
        let id = format!("SUBSTRING_INDEX({},':',-1)", Self::ID);
        let locked_by = if self.match_ip { format!("CONCAT({id},'_',{})", Self::IP) } else { id };
        format!(
            "DELETE FROM {} WHERE {ts}<{} AND {condition} AND IS_FREE_LOCK(MD5({locked_by})) ORDER BY {ts} LIMIT {limit}",
            self.table,
            self.time(unused_since),
            ts = Self::TIMESTAMP,
        )
    }
}

/// The name of the lock, as CodeIgniter makes it of the id and the address.
fn lock(name: &Name) -> String {
    match name.ip {
        None => format!("MD5('{}')", name.id),
        Some(ip) => format!("MD5('{}_{ip}')", name.id),
    }
}
