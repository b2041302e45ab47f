//! What can go wrong with session files, and which kind of error the driver reports it as.

use std::io;

use crate::error::{Error, ErrorKind};

pub(super) const DRIVER: &str = "files";

pub(super) type FileResult<T> = Result<T, FileError>;

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// Another handle holds the lock of a file right now. The driver tries again; see [`super::store`].
    #[error("session files stayed locked by other processes for too long; is one of them stopped?")]
    Contended,
    #[error("a session file is damaged")]
    Damaged,
    #[error("a session file was written by a newer version of this library; update this process")]
    NewerFormat,
    #[error("the record is larger than a session file can hold")]
    TooLarge,
    #[error("the directory of the session files is gone: was it removed, or its volume unmounted?")]
    RootGone,
    #[error("cannot {action}{hint}", hint = hint(source))]
    Io {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the pool of blocking tasks ended before the operation did")]
    Pool {
        #[source]
        source: tokio::task::JoinError,
    },
}

impl FileError {
    /// Returns what turns an `io::Error` into this, for `map_err`.
    pub(super) fn io(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Contended => ErrorKind::TimedOut,
            Self::Damaged => ErrorKind::Corrupt,
            Self::NewerFormat => ErrorKind::NewerFormat,
            Self::TooLarge => ErrorKind::TooLarge,
            Self::RootGone | Self::Io { .. } | Self::Pool { .. } => ErrorKind::Unavailable,
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        let converted = Self::new(error.kind(), error.to_string()).in_driver(DRIVER);
        match error {
            FileError::Io { source, .. } => converted.with_source(source),
            FileError::Pool { source } => converted.with_source(source),
            FileError::Contended
            | FileError::Damaged
            | FileError::NewerFormat
            | FileError::TooLarge
            | FileError::RootGone => converted,
        }
    }
}

/// Says what an operator can do about a failed system call.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or raise the quota: nothing that was stored is lost"
        }
        io::ErrorKind::FileTooLarge => "; raise the process's limit on the size of files (ulimit -f)",
        io::ErrorKind::ReadOnlyFilesystem => "; mount the file system for writing",
        io::ErrorKind::PermissionDenied => {
            "; the directory and its files must belong to the user that the server runs as"
        }
        _ if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
            "; raise the limit on open files (ulimit -n)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_and_keeps_its_cause() {
        let full = FileError::io("write a session file")(io::ErrorKind::StorageFull.into());
        let error = Error::from(full);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.driver(), Some(DRIVER));
        assert!(error.to_string().starts_with("files: cannot write a session file; free some space"));
        assert!(std::error::Error::source(&error).is_some());
    }
}
