//! What the errors of server and client library mean for sessions, and what to do about them.

use std::fmt;

use mysql_async::{DriverError, IoError, ServerError};

use crate::error::{Error, ErrorKind};

/// The driver's name.
pub(in crate::store) const DRIVER: &str = "mysql";

/// A key that there is already.
const DUPLICATE: u16 = 1062;

/// Why work on a connection was not done.
#[derive(Debug)]
pub(in crate::store) enum Fault {
    /// The server or the way to it.
    Mysql(mysql_async::Error),
    /// A column holds what this driver never writes.
    Column,
    /// The record would not fit into a packet that the server takes.
    TooLarge,
}

impl<E: Into<mysql_async::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Mysql(error.into())
    }
}

impl Fault {
    /// Reports whether the transaction was undone because of others, so that it may be done again: a
    /// deadlock, or a lock that another transaction kept for too long.
    pub(in crate::store) fn is_undone(&self) -> bool {
        matches!(self.code(), Some(1205 | 1213))
    }

    /// Reports whether a record with the same key was there before.
    pub(in crate::store) fn is_duplicate(&self) -> bool {
        self.code() == Some(DUPLICATE)
    }

    /// Reports whether another connection may get an answer where this one got an error: this one is
    /// broken, its server going down, or a primary no longer.
    pub(super) fn spoils_the_connection(&self) -> bool {
        match self {
            Self::Mysql(mysql_async::Error::Server(error)) => {
                matches!(error.code, 1053 | 1077..=1080 | 1152 | 1158..=1161 | 1290 | 1792 | 1836 | 1927 | 3032 | 4031)
            }
            Self::Mysql(_) => true,
            Self::Column | Self::TooLarge => false,
        }
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Mysql(mysql_async::Error::Server(error)) => Some(error.code),
            _ => None,
        }
    }
}

/// When something failed: at start what is denied or not there is a wrong setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum When {
    /// While the store is opened.
    AtStart,
    /// In a running store.
    Running,
}

/// What a server's error says without its text, which may quote keys and values.
#[derive(Debug)]
struct Code {
    code: u16,
    state: String,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's error {} ({})", self.code, self.state)
    }
}

impl std::error::Error for Code {}

/// Makes an error of this driver.
pub(super) fn failed(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).in_driver(DRIVER)
}

/// Makes an error about the settings.
pub(super) fn config_fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message.into()).in_driver(DRIVER)
}

/// Explains a failure.
pub(in crate::store) fn explain(fault: Fault, when: When) -> Error {
    match fault {
        Fault::Column => {
            failed(ErrorKind::Corrupt, "a column of the record holds what this driver never writes")
        }
        Fault::TooLarge => too_large(),
        Fault::Mysql(mysql_async::Error::Server(error)) => of_server(error, when),
        Fault::Mysql(mysql_async::Error::Io(error)) => of_network(error, when),
        Fault::Mysql(mysql_async::Error::Driver(error)) => of_client(&error, when),
        // Errors of a connection string or of a callback, which this driver doesn't use.
        Fault::Mysql(_) => failed(ErrorKind::Unavailable, "the client library refused the operation"),
    }
}

fn too_large() -> Error {
    failed(
        ErrorKind::TooLarge,
        "the record is larger than the server takes: raise its `max_allowed_packet`, or keep less in the session",
    )
}

/// Explains that no connection came in time: none was made, and none came free.
pub(in crate::store) fn no_connection() -> Error {
    failed(
        ErrorKind::TimedOut,
        "no connection came free within `timeout`: the server does not answer, or `connections` is too low",
    )
}

/// Explains that no answer came in time.
pub(super) fn no_answer() -> Error {
    failed(ErrorKind::TimedOut, "the server did not answer within `timeout`")
}

fn of_server(error: ServerError, when: When) -> Error {
    let ServerError { code, message: _, state } = error;
    let (kind, text) = match code {
        1153 | 1118 | 1301 => return too_large(),
        1044 | 1045 | 1049 | 1046 | 1142 | 1143 | 1227 | 1251 | 1370 | 1698 | 1862 => (
            kind_of_setting(when),
            "access denied: check user, password and database, and that the user may SELECT, INSERT, UPDATE \
             and DELETE on both tables",
        ),
        1146 => (
            kind_of_setting(when),
            "a table is missing: run `MysqlOptions::create` once, or what `MysqlOptions::ddl` prints",
        ),
        1048 | 1054 | 1136 | 1264 | 1364 | 1366 | 1406 => (
            kind_of_setting(when),
            "a table has other columns than this version: compare it with what `MysqlOptions::ddl` prints",
        ),
        1665 => (
            kind_of_setting(when),
            "the server can't log what was written: set `binlog_format` to ROW or MIXED",
        ),
        1040 | 1203 | 1226 => (
            ErrorKind::Unavailable,
            "the server has no connection left: raise its `max_connections`, or lower `connections` of the nodes",
        ),
        1290 | 1792 | 1836 => (
            ErrorKind::Unavailable,
            "the server is read-only: it is a replica, or the primary has moved and the name still leads here",
        ),
        1021 | 1114 => (ErrorKind::Unavailable, "the server's disk is full: make room; nothing was written"),
        1205 | 1213 => (
            ErrorKind::TimedOut,
            "other transactions kept the record locked: look for a long one in SHOW ENGINE INNODB STATUS",
        ),
        1317 | 1969 | 3024 => (ErrorKind::TimedOut, "the server ended the statement before it was done"),
        1047 | 1053 | 1077..=1080 | 1152 | 1158..=1161 | 1927 | 3032 | 3168 | 4031 => {
            (ErrorKind::Unavailable, "the server closed the connection or is going down")
        }
        _ => (ErrorKind::Unavailable, "the server refused the operation"),
    };
    failed(kind, text).with_source(Code { code, state })
}

fn of_network(error: IoError, when: When) -> Error {
    match error {
        #[cfg(feature = "tls")]
        IoError::Io(error) if is_of_tls(&error) => tls_failed(when).with_source(error),
        IoError::Io(error) => failed(
            ErrorKind::Unavailable,
            "cannot reach the server, or the connection was lost: see its log and the network",
        )
        .with_source(error),
        #[cfg(feature = "tls")]
        IoError::Tls(error) => tls_failed(when).with_source(error),
        #[cfg(not(feature = "tls"))]
        #[expect(unreachable_patterns, reason = "another crate may have enabled TLS in the client library")]
        _ => failed(kind_of_setting(when), "TLS with the server failed"),
    }
}

/// Reports whether the encryption failed, not what carries it.
#[cfg(feature = "tls")]
fn is_of_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>())
}

#[cfg(feature = "tls")]
fn tls_failed(when: When) -> Error {
    failed(kind_of_setting(when), "TLS with the server failed: check the certificates and the host's name")
}

/// These carry values of columns and bytes of packets, so they are not passed on.
fn of_client(error: &DriverError, when: When) -> Error {
    match error {
        DriverError::PacketTooLarge => too_large(),
        DriverError::NoClientSslFlagFromServer => failed(
            kind_of_setting(when),
            "the server does not speak TLS: set it up there, or leave `tls` off",
        ),
        DriverError::UnknownAuthPlugin { .. }
        | DriverError::MysqlOldPasswordDisabled
        | DriverError::CleartextPluginDisabled => failed(
            kind_of_setting(when),
            "the server asks for a kind of password check that the client does not have: set the user to \
             `caching_sha2_password`, `mysql_native_password` or `ed25519`",
        ),
        DriverError::PoolDisconnected => {
            failed(ErrorKind::Unavailable, "the pool was disconnected by the application")
        }
        _ => {
            failed(ErrorKind::Unavailable, "the connection was closed, or the server speaks another protocol")
        }
    }
}

/// `InvalidConfig` is told at start only: nobody waits for a setting to change while a request is answered.
fn kind_of_setting(when: When) -> ErrorKind {
    match when {
        When::AtStart => ErrorKind::InvalidConfig,
        When::Running => ErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    fn server(code: u16) -> Fault {
        let message = "Duplicate entry 'secret' for key 'PRIMARY'".to_owned();
        Fault::Mysql(mysql_async::Error::Server(ServerError { code, message, state: "HY000".into() }))
    }

    #[track_caller]
    fn check(code: u16, at_start: ErrorKind, running: ErrorKind, says: &str) {
        for (when, kind) in [(When::AtStart, at_start), (When::Running, running)] {
            let error = explain(server(code), when);
            assert_eq!(error.kind(), kind);
            let text = format!("{} {error:?}", chain(&error));
            assert!(text.contains(says), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn every_failure_of_the_server_has_a_kind_and_says_what_to_do() {
        use ErrorKind::{InvalidConfig, TimedOut, TooLarge, Unavailable};
        check(1040, Unavailable, Unavailable, "max_connections");
        check(1044, InvalidConfig, Unavailable, "access denied");
        check(1045, InvalidConfig, Unavailable, "access denied");
        check(1049, InvalidConfig, Unavailable, "database");
        check(1054, InvalidConfig, Unavailable, "columns");
        check(1062, Unavailable, Unavailable, "1062 (HY000)");
        check(1114, Unavailable, Unavailable, "disk is full");
        check(1118, TooLarge, TooLarge, "max_allowed_packet");
        check(1146, InvalidConfig, Unavailable, "MysqlOptions::create");
        check(1153, TooLarge, TooLarge, "max_allowed_packet");
        check(1205, TimedOut, TimedOut, "locked");
        check(1213, TimedOut, TimedOut, "locked");
        check(1053, Unavailable, Unavailable, "going down");
        check(1290, Unavailable, Unavailable, "read-only");
        check(1665, InvalidConfig, Unavailable, "binlog_format");
        check(1969, TimedOut, TimedOut, "ended the statement");
        check(1927, Unavailable, Unavailable, "closed the connection");
    }

    #[test]
    fn only_what_was_undone_is_done_again() {
        assert!(server(1213).is_undone() && server(1205).is_undone());
        assert!(!server(1062).is_undone() && !server(2013).is_undone());
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(!Fault::from(lost).is_undone());
    }

    #[test]
    fn a_connection_to_a_server_that_can_t_write_any_more_is_closed() {
        assert!(server(1290).spoils_the_connection() && server(1053).spoils_the_connection());
        assert!(!server(1062).spoils_the_connection() && !server(1213).spoils_the_connection());
        assert!(Fault::from(DriverError::ConnectionClosed).spoils_the_connection());
    }
}
