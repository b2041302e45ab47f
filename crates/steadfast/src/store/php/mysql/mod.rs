//! CodeIgniter's table on a MySQL or MariaDB server, under `GET_LOCK`.
//!
//! Data flow: [`open`] makes two pools (`engine`), one for calls and one for locks, looks at the table once
//! (`table`) and chooses its `words`; the rest is that of the module `sql`.

mod engine;
mod table;
mod words;

pub use table::{create, ddl};

use crate::error::Result;
use crate::store::SharedStore;
use crate::store::mysql::MysqlOptions;

use super::SharedTable;
use super::sql::SqlStore;

/// Connects, and looks whether the table is one of CodeIgniter's. Nothing is changed.
///
/// The options name the server and the table (`ci_sessions` is CodeIgniter's usual one); their
/// `poll_interval` does not count, since the server wakes who waits for a lock.
///
/// # Errors
///
/// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or with what is wrong
/// with the table; otherwise as [`MysqlOptions::open`].
///
/// # Cancel safety
///
/// Nothing is left behind.
pub async fn open(options: &MysqlOptions, table: &SharedTable) -> Result<SharedStore> {
    let engine = table::connect(options, table)?;
    let (words, timeout) = (table::inspect(&engine, options, table).await?, options.timeout);
    Ok(SharedStore::new(SqlStore::start(engine.with(words), table, timeout)))
}
