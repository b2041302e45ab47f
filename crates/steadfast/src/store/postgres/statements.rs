//! The statements. Each call of the store is one of them, in one round trip.
//!
//! # Why none of them is deceived by its snapshot
//!
//! A statement reads with a snapshot that is taken when it begins (`READ COMMITTED`). An `UPDATE` or `DELETE`
//! that finds its row locked waits, then looks at the *newest* row: its condition and its `RETURNING` are
//! right. A `SELECT` in the same statement still sees the old one. So no outcome that counts comes from
//! such a `SELECT`:
//!
//! - Lease and record are columns of one row; `acquire` returns what its `UPDATE` found.
//! - `update`, `delete` and `replace` write under the condition of the version. If they wrote nothing, the
//!   version in the snapshot tells why: another version, `Stale`; no row, `Missing`; and if it is the version
//!   that was asked for, somebody changed the row in this very moment, and the statement runs once more
//!   ([`Outcome`](super::writes)). It can't happen twice, because a version is never used twice.
//! - `acquire` may take a record that is deleted in the same moment for a busy one. Its caller waits, and
//!   `released` finds nothing to wait for.
//! - `waited` is read by the `RETURNING` of whatever ends the lease, so no waiter is overlooked.

use tokio_postgres::types::Type;

use super::names::Names;

/// The present time of the database in microseconds. Of each moment, not of the statement's beginning.
///
/// `extract` would give the same number, by slow decimal arithmetic. A float tells microseconds apart until the year 2106.
macro_rules! now {
    () => {
        "(date_part('epoch', clock_timestamp()) * 1000000)::bigint"
    };
}

/// The time when the statement began. The same for the whole statement, so an index can be searched by it.
macro_rules! began {
    () => {
        "(date_part('epoch', statement_timestamp()) * 1000000)::bigint"
    };
}

/// The columns of a record, in the order of [`columns::record`](super::columns::record).
macro_rules! record {
    () => {
        "payload, version, expires_at, user_key"
    };
}

/// Tells the other nodes that a lease has ended, if somebody waits for it.
macro_rules! announce {
    () => {
        "CASE WHEN waited AND lease_until = 0 THEN pg_notify('{channel}', encode(key, 'hex')) IS NULL END"
    };
}

/// The same where the record itself is gone.
macro_rules! announce_gone {
    () => {
        "CASE WHEN waited THEN pg_notify('{channel}', encode(key, 'hex')) IS NULL END"
    };
}

/// The new record of a replacement, stored if the old one was written, and why not if it was not.
macro_rules! replacement {
    () => {
        ", new AS (INSERT INTO {records} \
         (key, version, expires_at, purge_hour, user_key, payload, lease_token, lease_until, waited) \
         SELECT $3, $4, $5, $6, $7, $8, 0, 0, false FROM old RETURNING 1) \
         SELECT EXISTS (SELECT FROM new), EXISTS (SELECT FROM {records} WHERE key = $3), \
         (SELECT version FROM {records} WHERE key = $1)"
    };
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident ($($type:ident),*) $sql:expr;)*) => {
        /// A statement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Statement {
            $($(#[$doc])* $name,)*
        }

        impl Statement {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the types of the parameters.
            pub(super) const fn types(self) -> &'static [Type] {
                match self {
                    $(Self::$name => &[$(Type::$type),*],)*
                }
            }

            const fn template(self) -> &'static str {
                match self {
                    $(Self::$name => $sql,)*
                }
            }
        }
    };
}

statements! {
    Load (BYTEA) concat!("SELECT ", record!(), ", ", now!(), " FROM {records} WHERE key = $1");

    /// Key, token, length of the lease.
    Acquire (BYTEA, INT8, INT8) concat!(
        "WITH held AS (UPDATE {records} SET lease_token = $2, lease_until = ", now!(), " + $3, \
         waited = waited AND lease_token = $2 \
         WHERE key = $1 AND (lease_until <= ", now!(), " OR lease_token = $2) RETURNING ", record!(), ") \
         SELECT ", record!(), ", ", now!(), " FROM held \
         UNION ALL SELECT NULL, NULL, NULL, NULL, NULL FROM {records} \
         WHERE key = $1 AND NOT EXISTS (SELECT FROM held)"
    );

    /// Key, version, deadline, its hour, user, payload.
    Create (BYTEA, INT8, INT8, INT4, BYTEA, BYTEA)
        "INSERT INTO {records} \
         (key, version, expires_at, purge_hour, user_key, payload, lease_token, lease_until, waited) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0, false) ON CONFLICT (key) DO NOTHING";

    /// Key, version that was seen; version, deadline, its hour, user, payload; token and length of the
    /// writer's lease: no token if it holds none, no length if it ends.
    Update (BYTEA, INT8, INT8, INT8, INT4, BYTEA, BYTEA, INT8, INT8) concat!(
        "WITH done AS (UPDATE {records} SET version = $3, expires_at = $4, purge_hour = $5, user_key = $6, \
         payload = $7, lease_until = CASE WHEN lease_token = $8 AND lease_until > ", now!(), " \
         THEN coalesce(", now!(), " + $9, 0) ELSE lease_until END \
         WHERE key = $1 AND version = $2 RETURNING ", announce!(), ") \
         SELECT NULL::bigint FROM done \
         UNION ALL SELECT version FROM {records} WHERE key = $1 AND NOT EXISTS (SELECT FROM done)"
    );

    /// Old key, version that was seen; new key, version, deadline, its hour, user, payload.
    ReplaceDeleting (BYTEA, INT8, BYTEA, INT8, INT8, INT4, BYTEA, BYTEA) concat!(
        "WITH old AS (DELETE FROM {records} WHERE key = $1 AND version = $2 \
         AND NOT EXISTS (SELECT FROM {records} WHERE key = $3) RETURNING ", announce_gone!(), ")",
        replacement!()
    );

    /// The same, and of the old record: version, deadline, its hour, user, payload.
    ReplaceUpdating (
        BYTEA, INT8, BYTEA, INT8, INT8, INT4, BYTEA, BYTEA, INT8, INT8, INT4, BYTEA, BYTEA
    ) concat!(
        "WITH old AS (UPDATE {records} SET version = $9, expires_at = $10, purge_hour = $11, \
         user_key = $12, payload = $13, lease_until = 0 WHERE key = $1 AND version = $2 \
         AND NOT EXISTS (SELECT FROM {records} WHERE key = $3) RETURNING ", announce!(), ")",
        replacement!()
    );

    /// Key, deadline, its hour. The hour is an indexed column, but an unchanged one needs no new entry.
    Touch (BYTEA, INT8, INT4) "UPDATE {records} SET expires_at = $2, purge_hour = $3 WHERE key = $1";

    /// Key, token, length of the lease.
    Renew (BYTEA, INT8, INT8) concat!(
        "UPDATE {records} SET lease_until = ", now!(), " + $3 \
         WHERE key = $1 AND lease_token = $2 AND lease_until > ", now!()
    );

    /// Key, token.
    Release (BYTEA, INT8) concat!(
        "UPDATE {records} SET lease_until = 0 WHERE key = $1 AND lease_token = $2 AND lease_until <> 0 \
         RETURNING ", announce!()
    );

    /// Key. How long the lease is still held, if it is.
    Look (BYTEA) concat!(
        "SELECT lease_until - ", now!(), " FROM {records} WHERE key = $1 AND lease_until > ", now!()
    );

    /// The same, and whatever ends the lease is to announce it from now on.
    Await (BYTEA) concat!(
        "WITH marked AS (UPDATE {records} SET waited = true \
         WHERE key = $1 AND lease_until > ", now!(), " AND NOT waited RETURNING lease_until) \
         SELECT lease_until - ", now!(), " FROM marked \
         UNION ALL SELECT lease_until - ", now!(), " FROM {records} \
         WHERE key = $1 AND lease_until > ", now!(), " AND waited AND NOT EXISTS (SELECT FROM marked)"
    );

    Delete (BYTEA) concat!("DELETE FROM {records} WHERE key = $1 RETURNING ", announce_gone!());

    /// Key, version that was seen.
    DeleteSeen (BYTEA, INT8) concat!(
        "WITH done AS (DELETE FROM {records} WHERE key = $1 AND version = $2 RETURNING ", announce_gone!(), ") \
         SELECT NULL::bigint FROM done \
         UNION ALL SELECT version FROM {records} WHERE key = $1 AND NOT EXISTS (SELECT FROM done)"
    );

    // From here on: rare ones, which are not prepared.

    /// Key, how many are kept.
    SetAside (BYTEA, INT8) concat!(
        "WITH gone AS (DELETE FROM {records} WHERE key = $1 RETURNING key, expires_at, user_key, payload, ",
        announce_gone!(), "), \
         kept AS (INSERT INTO {set_aside} (set_aside_at, key, expires_at, user_key, payload) \
         SELECT ", now!(), ", key, expires_at, user_key, payload FROM gone) \
         DELETE FROM {set_aside} WHERE id <= (SELECT id FROM {set_aside} ORDER BY id DESC OFFSET $2 - 1 LIMIT 1) \
         AND EXISTS (SELECT FROM gone)"
    );

    /// User, key to list after, limit.
    OfUser (BYTEA, BYTEA, INT8) concat!(
        "SELECT ", record!(), ", key FROM {records} WHERE user_key = $1 AND key > $2 ORDER BY key LIMIT $3"
    );

    /// Key to list after, limit.
    Page (BYTEA, INT8) concat!(
        "SELECT ", record!(), ", key FROM {records} WHERE key > $1 ORDER BY key LIMIT $2"
    );

    /// Limit. Records of hours that are over; what others work on is left for another time.
    PurgePastHours (INT8) concat!(
        "DELETE FROM {records} WHERE ctid = ANY (ARRAY (SELECT ctid FROM {records} \
         WHERE purge_hour < (", began!(), " / 3600000000)::integer AND expires_at <= ", began!(), " \
         ORDER BY purge_hour LIMIT $1 FOR UPDATE SKIP LOCKED))"
    );

    /// Key to look after, how many to look at, limit. Up to which key it looked, and how many are gone.
    PurgeAmong (BYTEA, INT8, INT8) concat!(
        "WITH part AS MATERIALIZED (SELECT key FROM {records} WHERE key > $1 ORDER BY key LIMIT $2), \
         last AS (SELECT key FROM part ORDER BY key DESC LIMIT 1), \
         gone AS (DELETE FROM {records} WHERE ctid = ANY (ARRAY (SELECT ctid FROM {records} \
         WHERE key > $1 AND key <= (SELECT key FROM last) AND expires_at <= ", began!(), " \
         LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING 1) \
         SELECT (SELECT key FROM last), (SELECT count(*) FROM gone)"
    );

    Count () "SELECT count(*) FROM {records}";

    Now () concat!("SELECT ", now!());
}

impl Statement {
    /// The statements of requests, which each connection prepares: those before [`Statement::SetAside`].
    pub(super) fn of_requests() -> impl Iterator<Item = Self> {
        Self::ALL[..Self::SetAside as usize].iter().copied()
    }
}

/// The text of all statements, for one table.
#[derive(Debug)]
pub(super) struct Texts(Vec<String>);

impl Texts {
    pub(super) fn new(names: &Names) -> Self {
        Self(Statement::ALL.iter().map(|statement| names.fill_in(statement.template())).collect())
    }

    pub(super) fn of(&self, statement: Statement) -> &str {
        &self.0[statement as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_a_type_and_no_name_is_left_open() {
        let texts = Texts::new(&Names::new("s", "t").expect("good names"));
        for &statement in Statement::ALL {
            let text = texts.of(statement);
            assert!(!text.contains(['{', '}']), "{statement:?}: {text}");
            let highest = statement.types().len();
            for n in 1..=highest {
                assert!(text.contains(&format!("${n}")), "{statement:?} uses ${n}");
            }
            assert!(!text.contains(&format!("${}", highest + 1)), "{statement:?} has {highest} parameters");
        }
    }
}
