//! What failures mean for sessions, and what to do about them.

use std::io;
use std::sync::Arc;

use super::item::Unfit;
use super::reply::{Code, Unreadable};
use crate::error::{Error, ErrorKind};

/// The driver's name.
pub(in crate::store) const DRIVER: &str = "memcached";

/// Why a connection is of no use. One failure can belong to many calls, hence the `Arc`.
#[derive(Clone, Debug)]
pub(super) enum LinkError {
    /// It could not be opened.
    Refused(Arc<io::Error>),
    /// It was not open in time.
    ConnectTimedOut,
    /// It broke, or the server closed it.
    Broken(Arc<io::Error>),
    /// The server did not answer in time.
    TimedOut,
    /// The answers are not those to what was asked.
    OutOfStep,
    /// The server does not know what was asked.
    NotUnderstood,
    /// The server wants another user or password.
    NotLetIn,
    /// It was started without the tags of writes (`-C`).
    WithoutCas,
    /// Too many calls wait for it.
    Overloaded,
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Broken(Arc::new(error))
    }
}

impl From<Unreadable> for LinkError {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::NotUnderstood => Self::NotUnderstood,
            Unreadable::Garbled => Self::OutOfStep,
        }
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        use ErrorKind::{InvalidConfig, TimedOut, Unavailable};
        let (kind, message) = match &error {
            LinkError::Refused(_) => (
                Unavailable,
                "cannot connect to the server that has this session: look whether it runs, listens on that \
                 address and takes more connections (`-c`)",
            ),
            LinkError::ConnectTimedOut => {
                (TimedOut, "the server did not accept a connection within `connect_timeout`")
            }
            LinkError::Broken(_) => (Unavailable, "the server closed the connection"),
            LinkError::TimedOut => (TimedOut, "the server did not answer within `response_timeout`"),
            LinkError::OutOfStep => (
                Unavailable,
                "the server's answers do not fit the questions, so the connection was closed: look for a \
                 proxy in between, and whether this is memcached",
            ),
            LinkError::NotUnderstood => (
                InvalidConfig,
                "the server does not understand the meta commands: memcached 1.6 or later is needed, without \
                 a proxy that changes them",
            ),
            LinkError::NotLetIn => (InvalidConfig, "the server does not accept the user and password"),
            LinkError::WithoutCas => (
                InvalidConfig,
                "the server was started with `-C`: conditional writes need what that turns off",
            ),
            LinkError::Overloaded => (
                Unavailable,
                "too many calls wait for the server: it can't keep up with the requests, or is about to time out",
            ),
        };
        let mapped = failed(kind, message);
        match error {
            LinkError::Refused(cause) | LinkError::Broken(cause) => mapped.with_source(cause),
            _ => mapped,
        }
    }
}

/// Makes an error of this driver.
pub(in crate::store) fn failed(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).in_driver(DRIVER)
}

/// Makes an error about the settings.
pub(in crate::store) fn config_fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message.into()).in_driver(DRIVER)
}

/// Explains a record that can't be read.
pub(super) fn unfit(why: Unfit) -> Error {
    match why {
        Unfit::Damaged => {
            failed(ErrorKind::Corrupt, "the item of the record holds what this driver never writes")
        }
        Unfit::NewerFormat => failed(
            ErrorKind::NewerFormat,
            "the item of the record was written by a newer version of this driver: upgrade this node",
        ),
    }
}

/// Explains why the server did not do what always can be done.
pub(in crate::store) fn refused(code: Code) -> Error {
    match code {
        Code::TooLarge => too_large(),
        Code::NoMemory => failed(
            ErrorKind::Unavailable,
            "the server has no memory for the record, and has dropped the one before it: give it more (`-m`), \
             and let it evict (no `-M`)",
        ),
        _ => failed(ErrorKind::Unavailable, "the server could not do what it was asked to"),
    }
}

/// Explains a record that no item can hold.
pub(super) fn too_large() -> Error {
    failed(
        ErrorKind::TooLarge,
        "the record is larger than the server's items may be: start it with a larger `-I`, or keep less in \
         the session",
    )
}
