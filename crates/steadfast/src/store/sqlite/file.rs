//! Opening the file: permissions, engine, modes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::config::SqliteOptions;
use super::error::{at_open, config_fault, failed};
use super::schema::{self, Contents};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Durability;

/// First engine without the fault by which a reset of the write-ahead log could damage the database.
const SAFE_ENGINE: i32 = 3_051_003;

/// Size in bytes to which the write-ahead log is cut when it has grown beyond: a burst is not kept for ever.
const LOG_LIMIT: i64 = 64 << 20;

/// Statements kept prepared per connection: more than this driver has.
const STATEMENTS: usize = 32;

/// Opens the connection that writes, and makes file and tables if they are missing.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    check_engine(rusqlite::version_number())?;
    create_private(path)?;
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options)?;
    // Before anything is changed: the file may be somebody else's.
    let contents = schema::inspect(&conn)?;
    use_write_ahead_log(&conn, options.busy_timeout)?;
    let synchronous = match options.durability {
        Durability::Process => "NORMAL",
        Durability::Fsync => "FULL",
    };
    set(&conn, "synchronous", synchronous)?;
    set(&conn, "fullfsync", options.durability == Durability::Fsync)?;
    set(&conn, "journal_size_limit", LOG_LIMIT)?;
    // Zeroes what is deleted wherever that costs no additional write: payloads are secret.
    set(&conn, "secure_delete", "FAST")?;
    if contents == Contents::Empty {
        schema::create(&mut conn)?;
    }
    // From here on the writer waits for other processes in its own way.
    conn.busy_timeout(Duration::ZERO).map_err(at_open)?;
    Ok(conn)
}

/// Opens a connection that can only read. The file exists and has its tables.
pub(super) fn open_reader(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)
}

/// Makes a path absolute, so that SQLite takes no name for a URI or for a database in memory.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|e| config_fault("the path of the database can't be used").with_source(e))
}

fn check_engine(version: i32) -> Result<()> {
    if version >= SAFE_ENGINE {
        return Ok(());
    }
    let (major, minor, patch) = (version / 1_000_000, version / 1_000 % 1_000, version % 1_000);
    Err(config_fault(format!(
        "the SQLite engine is {major}.{minor}.{patch}, which can damage a database with a write-ahead log: \
         link 3.51.3 or newer, or let the feature `sqlite` bundle its own"
    )))
}

/// Creates the file for its owner alone; SQLite gives its -wal and -shm files the same permissions.
fn create_private(path: &Path) -> Result<()> {
    let mut dir = fs::DirBuilder::new();
    dir.recursive(true);
    let mut file = fs::OpenOptions::new();
    file.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        dir.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent() {
        dir.create(parent).map_err(|e| cannot_create("cannot create the directory of the database", e))?;
    }
    file.open(path).map_err(|e| cannot_create("cannot open the database file for writing", e))?;
    Ok(())
}

fn cannot_create(message: &'static str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
        _ => ErrorKind::InvalidConfig,
    };
    failed(kind, message).with_source(error)
}

fn connect(path: &Path, access: OpenFlags, options: &SqliteOptions) -> Result<Connection> {
    // A connection is used by one thread only, so SQLite need not lock it.
    let conn =
        Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(at_open)?;
    conn.busy_timeout(options.busy_timeout).map_err(at_open)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    set(&conn, "trusted_schema", false)?;
    Ok(conn)
}

fn set(conn: &Connection, pragma: &str, value: impl rusqlite::ToSql) -> Result<()> {
    conn.pragma_update(None, pragma, value).map_err(at_open)
}

/// Switches to the write-ahead log, which lets readers and the writer work at the same time.
fn use_write_ahead_log(conn: &Connection, busy_timeout: Duration) -> Result<()> {
    let give_up = Instant::now() + busy_timeout;
    loop {
        let mode = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(config_fault(
                    "the file system of the database has no shared memory, which its write-ahead log needs: \
                     use a local disk",
                ));
            }
            // SQLite does not wait here by itself when two processes open a new file at once.
            Err(e) if is_busy(&e) && Instant::now() < give_up => thread::sleep(Duration::from_millis(2)),
            Err(e) => return Err(at_open(e)),
        }
    }
}

/// Reports whether an error says that another connection holds the lock.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_can_damage_the_log_is_refused() {
        assert!(check_engine(3_051_003).is_ok());
        let error = check_engine(3_040_001).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("3.40.1"), "{error}");
    }
}
