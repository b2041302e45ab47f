//! The one error type: a kind to decide by, what failed in words, and the cause behind it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is: the part to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Settings that can't work, all named. At start only.
    InvalidConfig,
    /// The store could not be reached or refused to work; the effect of a write is unknown.
    Unavailable,
    /// The store did not answer in time; the effect of a write is unknown.
    TimedOut,
    /// Another request held the session for longer than `lock_wait`.
    Busy,
    /// The session was changed by someone else meanwhile and the changes could not be joined.
    Stale,
    /// The session was replaced by a sign-in or sign-out meanwhile; nothing was written.
    Superseded,
    /// The session ended meanwhile (sign-out, revocation, expiry); nothing was written.
    Missing,
    /// A write after the session was closed or the response head was sent.
    Closed,
    /// The stored record is damaged. It has been set aside.
    Corrupt,
    /// The stored record was written by a newer version of this library; it is left as it is.
    NewerFormat,
    /// The stored record is sealed under a key that this node does not have; it is left as it is.
    KeyMissing,
    /// The stored record was changed, moved or put there by somebody without a key; it is left as it is.
    Forged,
    /// The record, a key or the number of keys would be larger than the limit.
    TooLarge,
    /// A value could not be encoded or is not of the type that was asked for.
    Codec,
    /// The adaptor was not set up: no layer, or no peer address although one is needed.
    NotSetUp,
    /// The driver can't do this at all: a session that travels in cookies can't be listed, locked or revoked.
    Unsupported,
}

impl ErrorKind {
    /// Returns the kind's name as it appears in metrics, events and the probe's answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidConfig => "invalid_config",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Missing => "missing",
            Self::Closed => "closed",
            Self::Corrupt => "corrupt",
            Self::NewerFormat => "newer_format",
            Self::KeyMissing => "key_missing",
            Self::Forged => "forged",
            Self::TooLarge => "too_large",
            Self::Codec => "codec",
            Self::NotSetUp => "not_set_up",
            Self::Unsupported => "unsupported",
        }
    }

    /// Returns the HTTP status that an adaptor answers with: 503 where another try can help, 409 where
    /// the request lost against another one, 500 where the application or its set-up is at fault.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Unavailable
            | Self::TimedOut
            | Self::Busy
            | Self::Corrupt
            | Self::NewerFormat
            | Self::KeyMissing
            | Self::Forged => 503,
            Self::Stale | Self::Superseded | Self::Missing => 409,
            Self::InvalidConfig
            | Self::Closed
            | Self::TooLarge
            | Self::Codec
            | Self::NotSetUp
            | Self::Unsupported => 500,
        }
    }

    /// Reports whether the same request, sent again, may well succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::TimedOut | Self::Busy | Self::Stale)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something failed. One word wide; never carries an id, a key, a secret or a value.
///
/// `Display` says what this layer knows; the cause is in [`source`](StdError::source), and [`chain`]
/// prints both.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    driver: Option<&'static str>,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of a kind with a message that says what failed and what to do.
    ///
    /// The message must not contain an id, a key, a secret or a value.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, driver: None, message: message.into(), source: None }))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the driver in which it happened.
    #[must_use]
    pub fn in_driver(mut self, driver: &'static str) -> Self {
        self.0.driver = Some(driver);
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the driver in which it happened, if it happened in one.
    #[must_use]
    pub fn driver(&self) -> Option<&'static str> {
        self.0.driver
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(driver) = self.0.driver {
            write!(f, "{driver}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, driver, message, source } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("driver", driver)
            .field("message", message)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Prints an error with all its causes, for logs: `what failed: why: because`.
///
/// # Examples
///
/// ```
/// use steadfast::{Error, ErrorKind, chain};
///
/// let io = std::io::Error::other("disk full");
/// let error = Error::new(ErrorKind::Unavailable, "cannot write the session file").with_source(io);
/// assert_eq!(error.to_string(), "cannot write the session file");
/// assert_eq!(chain(&error).to_string(), "cannot write the session file: disk full");
/// ```
pub fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + 'a {
    struct Chain<'a>(&'a (dyn StdError + 'static));
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        }
    }
    Chain(error)
}
