//! CodeIgniter's table on PostgreSQL, under advisory locks.
//!
//! Data flow: [`open`] makes two pools (`pool`), one for calls and one for locks, looks at the table once
//! (`table`) and chooses its `words`; `engine` sends them by the simple protocol; the rest is
//! that of the module `sql`.

mod engine;
mod pool;
mod table;
mod words;

pub use table::{create, ddl};

use crate::error::Result;
use crate::store::SharedStore;
use crate::store::postgres::PostgresOptions;

use super::SharedTable;
use super::sql::SqlStore;

/// Connects, and looks whether the table is one of CodeIgniter's. Nothing is changed.
///
/// The options name the server and the table (`ci_sessions` is CodeIgniter's usual one); their `listen` does
/// not count, since the server wakes who waits for a lock. A pooler, as PgBouncer, can't be in between: an
/// advisory lock belongs to the server's session, which a pooler hands to others.
///
/// # Errors
///
/// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or with what is wrong
/// with the table, or if a pooler is in between; otherwise as [`PostgresOptions::open`].
///
/// # Cancel safety
///
/// Nothing is left behind.
pub async fn open(options: &PostgresOptions, table: &SharedTable) -> Result<SharedStore> {
    let (_, _, timeout) = options.limits();
    let (engine, names) = table::connect(options, table)?;
    let words = table::inspect(&engine, &names, table).await?;
    Ok(SharedStore::new(SqlStore::start(engine.with(words), table, timeout)))
}
