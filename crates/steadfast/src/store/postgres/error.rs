//! What PostgreSQL's errors mean for sessions, and what to do about them.

use std::error::Error as StdError;
use std::{fmt, io};

use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};

/// The driver's name.
pub(in crate::store) const DRIVER: &str = "postgres";

/// Makes an error of this driver.
pub(in crate::store) fn failed(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).in_driver(DRIVER)
}

/// Makes an error about the settings.
pub(super) fn config_fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message.into()).in_driver(DRIVER)
}

pub(super) fn too_slow() -> Error {
    failed(
        ErrorKind::TimedOut,
        "PostgreSQL did not answer within `timeout`: look at its load, its disk, and the network in between",
    )
}

pub(in crate::store) fn too_slow_to_connect() -> Error {
    failed(
        ErrorKind::TimedOut,
        "no connection within `connect_timeout`: look whether the server answers, and at the network in between",
    )
}

/// Explains a failure while the store is opened: what the operator has to change is a wrong setting.
pub(in crate::store) fn at_open(error: PgError) -> Error {
    let (kind, message) = match error.as_db_error() {
        Some(cause) if is_set_up(cause.code()) => {
            (ErrorKind::InvalidConfig, of_code(cause.code(), cause.message()).1)
        }
        Some(_) => explain(&error),
        None if is_distrust(&error) => (ErrorKind::InvalidConfig, explain(&error).1),
        None if error.is_closed() || io_error(&error).is_some() => explain(&error),
        // No password although one is needed, a server without TLS.
        None => (
            ErrorKind::InvalidConfig,
            "cannot connect with these settings: see the cause, and check user, password and `tls`",
        ),
    };
    explained(kind, message, error)
}

/// Explains a failure of a running store.
pub(in crate::store) fn at_run(error: PgError) -> Error {
    let (kind, message) = explain(&error);
    explained(kind, message, error)
}

/// Reports whether a connection is of no more use after this.
pub(super) fn ends_connection(error: &PgError) -> bool {
    let Some(code) = error.code() else { return true };
    // A server that became a replica, a plan or statement that it does not know any more, a shutdown.
    let useless = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
    ];
    useless.contains(code) || ["57P", "08"].iter().any(|class| code.code().starts_with(class))
}

fn explained(kind: ErrorKind, message: &'static str, error: PgError) -> Error {
    match error.as_db_error() {
        Some(cause) => failed(kind, message)
            .with_source(Refusal { code: cause.code().clone(), message: cause.message().to_owned() }),
        None => failed(kind, message).with_source(error),
    }
}

/// What the server said, without the details: those may quote a row.
#[derive(Debug)]
struct Refusal {
    code: SqlState,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code.code())
    }
}

impl StdError for Refusal {}

/// Reports whether only a change of settings, rights or tables can help.
fn is_set_up(code: &SqlState) -> bool {
    let wrong = [
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_CATALOG_NAME,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::INSUFFICIENT_PRIVILEGE,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::DATATYPE_MISMATCH,
        SqlState::PROTOCOL_VIOLATION,
    ];
    wrong.contains(code)
}

fn explain(error: &PgError) -> (ErrorKind, &'static str) {
    if let Some(cause) = error.as_db_error() {
        return of_code(cause.code(), cause.message());
    }
    let message = if is_distrust(error) {
        "the server's certificate is not trusted: name its authority with `tls_ca`, and the host as the \
         certificate does"
    } else if io_error(error).is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied) {
        "the server is read-only, as a replica is: name the primary, or all servers, separated by commas"
    } else if error.is_closed() || io_error(error).is_some() {
        "the connection to PostgreSQL was refused or lost: look whether the server runs"
    } else {
        "PostgreSQL sent something unexpected: see the cause"
    };
    (ErrorKind::Unavailable, message)
}

/// `said` is the message of the server.
fn of_code(code: &SqlState, said: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{TimedOut, TooLarge, Unavailable};
    let unavailable = |message| (Unavailable, message);
    match code {
        c if *c == SqlState::TOO_MANY_CONNECTIONS => unavailable(
            "PostgreSQL has no connection left: raise `max_connections`, lower `connections` of the nodes, or \
             put PgBouncer in between",
        ),
        c if *c == SqlState::QUERY_CANCELED => (
            TimedOut,
            "PostgreSQL ended the statement at its time limit: look at its load, or for a long transaction",
        ),
        c if *c == SqlState::LOCK_NOT_AVAILABLE => (
            TimedOut,
            "another transaction keeps a record or the table locked: look for one that was left open, or a \
             change of the table",
        ),
        c if *c == SqlState::READ_ONLY_SQL_TRANSACTION => unavailable(
            "the server is read-only, as a replica is: name the primary, or all servers, separated by commas",
        ),
        c if *c == SqlState::DISK_FULL => {
            unavailable("the disk of PostgreSQL is full: make room; nothing was written")
        }
        c if *c == SqlState::OUT_OF_MEMORY => unavailable("PostgreSQL is out of memory; nothing was written"),
        c if *c == SqlState::T_R_SERIALIZATION_FAILURE || *c == SqlState::T_R_DEADLOCK_DETECTED => {
            unavailable(
                "the statement lost against others and nothing was written: set `default_transaction_isolation` \
             to `read committed` for this user",
            )
        }
        c if *c == SqlState::INVALID_PASSWORD || *c == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            unavailable("PostgreSQL refused the user: check user, password and pg_hba.conf")
        }
        c if *c == SqlState::INVALID_CATALOG_NAME => {
            unavailable("there is no such database: create it, or correct the name after the host")
        }
        c if *c == SqlState::INVALID_SCHEMA_NAME => {
            unavailable("there is no such schema: CREATE SCHEMA first, or correct `schema`")
        }
        c if *c == SqlState::INSUFFICIENT_PRIVILEGE => unavailable(
            "this user lacks a right: GRANT USAGE on the schema, and SELECT, INSERT, UPDATE, DELETE on its \
             tables; to create them, CREATE on the schema",
        ),
        c if *c == SqlState::UNDEFINED_TABLE || *c == SqlState::UNDEFINED_COLUMN => unavailable(
            "the tables are gone or were changed: run the statements that `PostgresOptions::ddl` prints",
        ),
        c if *c == SqlState::INVALID_SQL_STATEMENT_NAME || *c == SqlState::DUPLICATE_PSTATEMENT => {
            unavailable(BEHIND_A_POOLER)
        }
        // PgBouncer gives all its refusals the same code.
        c if *c == SqlState::PROTOCOL_VIOLATION && said.contains("startup parameter") => {
            unavailable(BEHIND_A_POOLER)
        }
        c if c.code().starts_with("57P") => unavailable("PostgreSQL is shutting down or starting"),
        c if c.code().starts_with("54") => (TooLarge, "the record is larger than PostgreSQL can store"),
        _ => unavailable("PostgreSQL refused the operation: see the cause"),
    }
}

pub(super) const BEHIND_A_POOLER: &str = "there is a pooler in between, as PgBouncer, which keeps nothing for a \
     connection: add `prepared=false` to the connection string";

fn io_error(error: &PgError) -> Option<&io::Error> {
    error.source().and_then(|cause| cause.downcast_ref())
}

/// Reports whether TLS failed because of a certificate.
#[cfg(feature = "tls")]
fn is_distrust(error: &PgError) -> bool {
    let tls = io_error(error).and_then(|io| io.get_ref()).and_then(|cause| cause.downcast_ref());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(not(feature = "tls"))]
fn is_distrust(_error: &PgError) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &SqlState, said: &str, kind: ErrorKind, advice: &str) {
        let (its_kind, message) = of_code(code, said);
        assert_eq!(its_kind, kind, "{code:?}");
        assert!(message.contains(advice), "{code:?}: {message}");
    }

    #[test]
    fn every_refusal_of_the_server_says_what_to_do() {
        use crate::error::ErrorKind::{TimedOut, TooLarge, Unavailable};
        check(&SqlState::TOO_MANY_CONNECTIONS, "", Unavailable, "max_connections");
        check(&SqlState::QUERY_CANCELED, "", TimedOut, "time limit");
        check(&SqlState::LOCK_NOT_AVAILABLE, "", TimedOut, "another transaction");
        check(&SqlState::READ_ONLY_SQL_TRANSACTION, "", Unavailable, "name the primary");
        check(&SqlState::DISK_FULL, "", Unavailable, "make room");
        check(&SqlState::OUT_OF_MEMORY, "", Unavailable, "out of memory");
        check(&SqlState::T_R_SERIALIZATION_FAILURE, "", Unavailable, "read committed");
        check(&SqlState::T_R_DEADLOCK_DETECTED, "", Unavailable, "nothing was written");
        check(&SqlState::INVALID_PASSWORD, "", Unavailable, "password");
        check(&SqlState::INVALID_CATALOG_NAME, "", Unavailable, "database");
        check(&SqlState::INVALID_SCHEMA_NAME, "", Unavailable, "CREATE SCHEMA");
        check(&SqlState::INSUFFICIENT_PRIVILEGE, "", Unavailable, "GRANT");
        check(&SqlState::UNDEFINED_TABLE, "", Unavailable, "ddl");
        check(&SqlState::INVALID_SQL_STATEMENT_NAME, "", Unavailable, "prepared=false");
        let said = "unsupported startup parameter: options";
        check(&SqlState::PROTOCOL_VIOLATION, said, Unavailable, "prepared=false");
        check(&SqlState::PROTOCOL_VIOLATION, "something else", Unavailable, "see the cause");
        check(&SqlState::ADMIN_SHUTDOWN, "", Unavailable, "shutting down");
        check(&SqlState::CANNOT_CONNECT_NOW, "", Unavailable, "starting");
        check(&SqlState::PROGRAM_LIMIT_EXCEEDED, "", TooLarge, "larger");
        check(&SqlState::INTERNAL_ERROR, "", Unavailable, "see the cause");
    }
}
