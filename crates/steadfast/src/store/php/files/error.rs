//! What can go wrong with PHP's session files, and which kind of error the driver reports it as.

use std::io;

use crate::error::{Error, ErrorKind};

pub(super) const DRIVER: &str = "files";

pub(super) type FileResult<T> = Result<T, FileError>;

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("another request held the session file for longer than `lock_wait`")]
    Busy,
    #[error("a session file was replaced again and again while it was to be locked")]
    Replaced,
    #[error("something that is no file is in the place of a session file")]
    NoFile,
    #[error(
        "a session file belongs to another user; run PHP and this server as the same one, and `chown` the files"
    )]
    ForeignOwner,
    #[error("a session file is larger than 16 MiB")]
    TooLarge,
    #[error("a record without PHP's name was asked for; these files are for the layouts of PHP alone")]
    Unnamed,
    #[error("PHP's own session files are not bound to addresses; take the address out of the policy")]
    Addressed,
    #[error("the addresses in the names of these session files are digests, so sessions can't be listed")]
    AddressesHidden,
    #[error("session files keep no index of users")]
    NoIndex,
    #[error(
        "the directory of the session files can't be listed; give the server's user the right to read it"
    )]
    Unlistable,
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
            Self::Busy => ErrorKind::Busy,
            Self::NoFile => ErrorKind::Corrupt,
            Self::TooLarge => ErrorKind::TooLarge,
            Self::Unnamed | Self::Addressed => ErrorKind::InvalidConfig,
            Self::AddressesHidden | Self::NoIndex | Self::Unlistable => ErrorKind::Unsupported,
            Self::Replaced | Self::ForeignOwner | Self::Io { .. } | Self::Pool { .. } => {
                ErrorKind::Unavailable
            }
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        let converted = Self::new(error.kind(), error.to_string()).in_driver(DRIVER);
        match error {
            FileError::Io { source, .. } => converted.with_source(source),
            FileError::Pool { source } => converted.with_source(source),
            _ => converted,
        }
    }
}

/// Says what an operator can do about a failed system call.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or raise the quota: what was stored is unchanged"
        }
        io::ErrorKind::FileTooLarge => "; raise the process's limit on the size of files (ulimit -f)",
        io::ErrorKind::ReadOnlyFilesystem => "; mount the file system for writing",
        io::ErrorKind::NotFound => {
            "; the directory is gone, or one of its levels was never made: PHP does not make them either"
        }
        io::ErrorKind::PermissionDenied => {
            "; run PHP and this server as the same user, who must own the directory or may write to it"
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
        assert!(error.to_string().starts_with("files: cannot write a session file; free some space"));
        assert!(std::error::Error::source(&error).is_some());
        let busy = Error::from(FileError::Busy);
        assert_eq!((busy.kind(), busy.driver()), (ErrorKind::Busy, Some(DRIVER)));
    }
}
