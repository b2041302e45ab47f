//! The tables: made on request only, recognised by the comment on the first of them.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::error::{BEHIND_A_POOLER, at_open, config_fault, failed};
use super::names::Names;
use crate::error::{ErrorKind, Result};

const DDL: &str = include_str!("schema.sql");

/// What the comment on the table of the records begins with; the number of the schema follows.
const MARK: &str = "Steadfast sessions, schema ";

/// The schema that this version reads and writes.
const CURRENT: u32 = 1;

/// Asks for everything in one round trip. `to_regclass` gives null for what is not there.
const INSPECT: &str = "SELECT obj_description(r.oid, 'pg_class'), r.oid IS NOT NULL, \
     has_table_privilege(r.oid, 'SELECT') AND has_table_privilege(r.oid, 'INSERT') \
     AND has_table_privilege(r.oid, 'UPDATE') AND has_table_privilege(r.oid, 'DELETE'), \
     current_setting('steadfast.session', true) = 'kept' \
     FROM (SELECT to_regclass($1)::oid) AS r(oid)";

/// What there is under the name of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing.
    Missing,
    /// Our table, and this user may work with it.
    Ours,
}

/// Returns the statements that make the tables.
pub(super) fn ddl(names: &Names) -> String {
    names.fill_in(DDL)
}

/// Looks what is there, without changing it.
///
/// # Errors
///
/// `NewerFormat` for a table of a newer version of this library, `InvalidConfig` for anybody else's, if this
/// user may not read and write it, or if a pooler has swallowed what the session was to begin with.
pub(super) async fn inspect(connection: &Connection, names: &Names) -> Result<Contents> {
    let table = names.records();
    let rows = connection.client().query_typed(INSPECT, &[(&table, Type::TEXT)]).await.map_err(at_open)?;
    let [row] = &rows[..] else {
        return Err(failed(ErrorKind::Unavailable, "PostgreSQL did not answer a question about the table"));
    };
    let is_kept = row.try_get::<_, Option<bool>>(3).map_err(at_open)? == Some(true);
    if connection.needs_session() && !is_kept {
        return Err(failed(ErrorKind::InvalidConfig, BEHIND_A_POOLER));
    }
    if !row.try_get::<_, bool>(1).map_err(at_open)? {
        return Ok(Contents::Missing);
    }
    let comment = row.try_get::<_, Option<&str>>(0).map_err(at_open)?.unwrap_or_default();
    match comment.strip_prefix(MARK).and_then(|number| number.parse::<u32>().ok()) {
        Some(CURRENT) => {}
        Some(newer) if newer > CURRENT => {
            return Err(failed(
                ErrorKind::NewerFormat,
                "the table was made by a newer version of Steadfast and is left as it is: \
                 upgrade this node, or give it a table of its own",
            ));
        }
        _ => {
            return Err(config_fault(format!(
                "the table {table} is not one of Steadfast's and is left as it is: name another one with `table`"
            )));
        }
    }
    if !row.try_get::<_, bool>(2).map_err(at_open)? {
        return Err(config_fault(format!(
            "this user may not work with the table: GRANT SELECT, INSERT, UPDATE, DELETE ON {table}"
        )));
    }
    Ok(Contents::Ours)
}

/// Makes the tables unless they are there or another node is faster.
pub(super) async fn create(connection: &Connection, names: &Names) -> Result<()> {
    if inspect(connection, names).await? == Contents::Ours {
        return Ok(());
    }
    // One message of several statements is one transaction: all of it happens, or nothing.
    let Err(error) = connection.client().batch_execute(&ddl(names)).await else { return Ok(()) };
    let overtaken = [SqlState::DUPLICATE_TABLE, SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_OBJECT];
    if error.code().is_some_and(|code| overtaken.contains(code))
        && inspect(connection, names).await? == Contents::Ours
    {
        return Ok(());
    }
    Err(at_open(error))
}
