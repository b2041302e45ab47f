//! What SQLite's errors mean for sessions, and what to do about them.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// The driver's name.
pub(super) const DRIVER: &str = "sqlite";

/// Makes an error of this driver.
pub(super) fn failed(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).in_driver(DRIVER)
}

/// Makes an error about the settings.
pub(super) fn config_fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message.into()).in_driver(DRIVER)
}

/// Explains a failure while the store is opened: what can't be opened or written is a wrong setting.
pub(super) fn at_open(error: rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            ErrorKind::InvalidConfig,
            "cannot open the database for writing: this user needs to read and write the file, \
             its -wal and -shm files, and the directory that holds them",
        ),
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::InvalidConfig,
            "the file is not a SQLite database and is left as it is: give Steadfast a file of its own",
        ),
        _ => explain(&error),
    };
    failed(kind, message).with_source(error)
}

/// Explains a failure of a running store. One failure can belong to several calls, hence the `Arc`.
pub(super) fn at_run(error: Arc<rusqlite::Error>) -> Error {
    let (kind, message) = explain(&error);
    failed(kind, message).with_source(error)
}

fn explain(error: &rusqlite::Error) -> (ErrorKind, &'static str) {
    use rusqlite::Error as E;
    if matches!(
        error,
        E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..)
    ) {
        return (ErrorKind::Corrupt, "a column of the record holds what this driver never writes");
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => (
            ErrorKind::TimedOut,
            "another process kept the database locked for longer than `busy_timeout`: \
             look for a long transaction in a shell or a backup tool",
        ),
        Some(ErrorCode::DiskFull) => {
            (ErrorKind::Unavailable, "the disk is full or a quota is used up: make room; nothing was written")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            ErrorKind::Unavailable,
            "the database can't be written any more: check the permissions of its directory, \
             and whether the file system went read-only or the file was moved",
        ),
        // Not `Corrupt`: that kind is about one record, which can be set aside. This is the whole file.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            ErrorKind::Unavailable,
            "the database file is damaged: stop all processes that use it, then restore a backup or \
             rescue the records with the `.recover` command of the sqlite3 shell",
        ),
        Some(ErrorCode::TooBig) => (ErrorKind::TooLarge, "the record is larger than SQLite can store"),
        Some(ErrorCode::SystemIoFailure) => {
            (ErrorKind::Unavailable, "the disk reported an error: see the system's log")
        }
        _ => (ErrorKind::Unavailable, "SQLite refused the operation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: i32, at_open_kind: ErrorKind, at_run_kind: ErrorKind) {
        let error = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert_eq!(at_open(error()).kind(), at_open_kind);
        assert_eq!(at_run(Arc::new(error())).kind(), at_run_kind);
    }

    #[test]
    fn every_failure_of_the_engine_has_a_kind() {
        use rusqlite::ffi;

        use crate::error::ErrorKind::{InvalidConfig, TimedOut, TooLarge, Unavailable};
        check(ffi::SQLITE_BUSY, TimedOut, TimedOut);
        check(ffi::SQLITE_LOCKED, TimedOut, TimedOut);
        check(ffi::SQLITE_PROTOCOL, TimedOut, TimedOut);
        check(ffi::SQLITE_FULL, Unavailable, Unavailable);
        check(ffi::SQLITE_READONLY, InvalidConfig, Unavailable);
        check(ffi::SQLITE_READONLY_DBMOVED, InvalidConfig, Unavailable);
        check(ffi::SQLITE_CANTOPEN, InvalidConfig, Unavailable);
        check(ffi::SQLITE_PERM, InvalidConfig, Unavailable);
        check(ffi::SQLITE_NOTADB, InvalidConfig, Unavailable);
        check(ffi::SQLITE_CORRUPT, Unavailable, Unavailable);
        check(ffi::SQLITE_IOERR, Unavailable, Unavailable);
        check(ffi::SQLITE_TOOBIG, TooLarge, TooLarge);
        check(ffi::SQLITE_INTERNAL, Unavailable, Unavailable);
    }
}
