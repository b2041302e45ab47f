//! What is said to PostgreSQL.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::store::php::sql::{Name, Step, Words, literal};
use crate::store::postgres::shared::DRIVER;

/// How a table keeps the time of the last use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Clock {
    /// As `timestamptz`: CodeIgniter 4 since 4.1.2.
    Timestamp,
    /// As seconds since 1970: CodeIgniter 3, and 4 before that.
    Seconds,
}

/// How a table keeps the payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Data {
    /// As `bytea`: CodeIgniter 4 since 4.1.2.
    Bytes,
    /// As `text` in base64: CodeIgniter 3, and 4 before that.
    Base64,
}

/// The words for one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PostgresWords {
    pub(super) table: String,
    pub(super) clock: Clock,
    pub(super) data: Data,
    /// Whether addresses are of the type `inet`.
    pub(super) inet: bool,
    pub(super) match_ip: bool,
}

impl Words for PostgresWords {
    const DRIVER: &'static str = DRIVER;
    const ID: &'static str = "\"id\"";
    const IP: &'static str = "\"ip_address\"";
    const TIMESTAMP: &'static str = "\"timestamp\"";
    const DATA: &'static str = "\"data\"";
    const MATCHES: &'static str = "~";
    const NOW: &'static str = "(extract(epoch FROM clock_timestamp())*1000000)::bigint";

    fn table(&self) -> &str {
        &self.table
    }

    /// A column takes a gigabyte; what is sent for a replacement is twice two payloads, in hexadecimal.
    fn longest_payload(&self) -> usize {
        200 << 20
    }

    /// Selects it in base64, in which there is nothing that the protocol would have to quote.
    fn payload(&self) -> String {
        match self.data {
            Data::Bytes => format!("encode({},'base64')", Self::DATA),
            Data::Base64 => Self::DATA.to_owned(),
        }
    }

    /// Reads base64 with or without line breaks, as PHP does.
    fn decoded(&self, cell: Bytes) -> Option<Bytes> {
        let digits: Vec<u8> = cell.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(digits).ok().map(Bytes::from)
    }

    fn encoded(&self, payload: &[u8]) -> String {
        match self.data {
            Data::Bytes => format!("decode('{}','hex')", literal(payload)),
            Data::Base64 => format!("'{}'", STANDARD.encode(payload)),
        }
    }

    fn digest(&self) -> String {
        let bytes = match self.data {
            Data::Bytes => Self::DATA.to_owned(),
            Data::Base64 => format!("decode({},'base64')", Self::DATA),
        };
        format!("LEFT(encode(sha256({bytes}),'hex'),16)")
    }

    fn used_at(&self) -> String {
        match self.clock {
            Clock::Timestamp => format!("(extract(epoch FROM {})*1000000)::bigint", Self::TIMESTAMP),
            Clock::Seconds => format!("{}::bigint*1000000", Self::TIMESTAMP),
        }
    }

    fn time(&self, micros: &str) -> String {
        match self.clock {
            Clock::Timestamp => format!("('epoch'::timestamptz+{micros}*interval '1 microsecond')"),
            Clock::Seconds => format!("({micros}/1000000)"),
        }
    }

    fn is_row(&self, name: &Name) -> String {
        let ip = name.ip.map_or_else(String::new, |ip| format!(" AND {}='{ip}'", Self::IP));
        format!("{}='{}'{ip}", Self::ID, name.row)
    }

    fn ip_text(&self) -> String {
        if self.inet { format!("host({})", Self::IP) } else { Self::IP.to_owned() }
    }

    fn try_lock(&self, name: &Name) -> String {
        format!("SELECT pg_try_advisory_lock({})::int", lock(name))
    }

    /// The limits are those of this one transaction; the lock outlives it.
    fn wait_for_lock(&self, name: &Name, wait: Duration) -> Step {
        Step::Together(vec![
            format!("SET LOCAL lock_timeout={}", wait.as_millis().max(1)),
            "SET LOCAL statement_timeout=0".to_owned(),
            format!("SELECT 1,pg_advisory_lock({})", lock(name)),
        ])
    }

    fn unlock(&self, name: &Name) -> String {
        format!("SELECT pg_advisory_unlock({})::int", lock(name))
    }

    /// A lock lasts as long as its connection, so an answer is enough.
    fn still_locked(&self, _name: &Name) -> String {
        "SELECT 1".to_owned()
    }

    fn purge(&self, condition: &str, unused_since: &str, limit: usize) -> String {
        let id = format!("hashtext(regexp_replace({},'^.*:',''))", Self::ID);
        let locked_by = if self.match_ip { format!("{id},hashtext({})", self.ip_text()) } else { id };
        format!(
            "DELETE FROM {t} WHERE ctid=ANY(ARRAY(SELECT ctid FROM {t} WHERE {ts}<{} AND {condition} \
             ORDER BY {ts} LIMIT {limit} FOR UPDATE SKIP LOCKED)) AND pg_try_advisory_xact_lock({locked_by})",
            self.time(unused_since),
            t = self.table,
            ts = Self::TIMESTAMP,
        )
    }
}

/// The number, or the two, of the lock, as CodeIgniter makes them of the id and the address.
fn lock(name: &Name) -> String {
    match name.ip {
        None => format!("hashtext('{}')", name.id),
        Some(ip) => format!("hashtext('{}'),hashtext('{ip}')", name.id),
    }
}
