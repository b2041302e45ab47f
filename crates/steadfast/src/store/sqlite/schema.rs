//! The tables: made when a file is new, recognised when it is not.

use rusqlite::{Connection, TransactionBehavior};

use super::error::{at_open, config_fault, failed};
use crate::error::{ErrorKind, Result};

/// The statements that make the tables of an empty database, as [`SqliteStore::open`] runs them.
///
/// [`SqliteStore::open`]: super::SqliteStore::open
///
/// # Examples
///
/// ```
/// assert!(steadfast::store::sqlite::SCHEMA.contains("CREATE TABLE records"));
/// ```
pub const SCHEMA: &str = include_str!("schema.sql");

/// What `PRAGMA application_id` holds in our files: the letters "STFD".
const APPLICATION_ID: i64 = 0x5354_4644;

/// The schema that this version writes.
const CURRENT: i64 = 1;

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing yet.
    Empty,
    /// Our tables.
    Ours,
}

/// Looks whether a database is empty or ours, without changing it.
///
/// # Errors
///
/// `NewerFormat` for tables of a newer version of this library, `InvalidConfig` for anybody else's.
pub(super) fn inspect(conn: &Connection) -> Result<Contents> {
    let (application, version, tables) = conn
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id), \
             (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
        )
        .map_err(at_open)?;
    match (application, version, tables) {
        (0, 0, 0) => Ok(Contents::Empty),
        (APPLICATION_ID, CURRENT, _) => Ok(Contents::Ours),
        (APPLICATION_ID, newer, _) if newer > CURRENT => Err(failed(
            ErrorKind::NewerFormat,
            "the database was made by a newer version of Steadfast and is left as it is: \
             upgrade this node, or give it a file of its own",
        )),
        _ => Err(config_fault(
            "the file is the database of another application and is left as it is: \
             give Steadfast a file of its own",
        )),
    }
}

/// Makes the tables unless another process was faster.
pub(super) fn create(conn: &mut Connection) -> Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at_open)?;
    if inspect(&transaction)? == Contents::Empty {
        transaction.execute_batch(SCHEMA).map_err(at_open)?;
    }
    transaction.commit().map_err(at_open)
}
