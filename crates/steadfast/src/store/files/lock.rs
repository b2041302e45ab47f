//! The lock of a session file: one writer at a time, for one operation.
//!
//! It is an advisory lock (`flock`) on the file itself, which the kernel drops when its holder dies. It is
//! held for the few microseconds of an operation and never while a handler runs: that is what the *lease*
//! is for, which is data in the file. Nobody waits in the kernel for it: whoever finds it taken gets
//! [`FileError::Contended`] and tries again later, so a stopped process can't pile up threads.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::error::{FileError, FileResult};
use super::root::{self, Access};

/// How often a file may be replaced by another while it is being locked.
const REPLACED_AT_MOST: u32 = 16;

/// Opens the file at `path` and locks it; `None` if there is none.
///
/// A file can be removed or replaced between opening and locking, so the lock counts only if the path
/// still names the file: a writer that went on with the old one would bring back a deleted record in a
/// file that nobody finds, or lose its own write.
pub(super) fn open(path: &Path) -> FileResult<Option<File>> {
    for _ in 0..REPLACED_AT_MOST {
        let Some(file) = existing(root::open_file(path, Access::ReadWrite))? else { return Ok(None) };
        try_lock(&file)?;
        if root::names(path, &file).map_err(FileError::io("look at a session file"))? {
            return Ok(Some(file));
        }
    }
    Err(FileError::Contended)
}

/// Turns the outcome of opening a file into what it means for the record.
pub(super) fn existing(opened: io::Result<File>) -> FileResult<Option<File>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Something that is no file is in its place: a directory, a link, a pipe, a socket.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EISDIR | libc::ELOOP | libc::ENOTDIR | libc::ENXIO | libc::EMLINK)
            ) =>
        {
            Err(FileError::Damaged)
        }
        Err(error) => Err(FileError::io("open a session file")(error)),
    }
}

/// Locks a file for this handle alone.
pub(super) fn try_lock(file: &File) -> FileResult<()> {
    taken(file.try_lock())
}

/// Locks a file together with others who share it.
pub(super) fn try_lock_shared(file: &File) -> FileResult<()> {
    taken(file.try_lock_shared())
}

fn taken(locked: Result<(), TryLockError>) -> FileResult<()> {
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FileError::Contended),
        Err(TryLockError::Error(error)) => Err(FileError::io("lock a session file")(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_locked_file_is_contended_until_it_is_closed() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("file");
        fs::write(&path, b"").expect("it is written");
        let held = open(&path).expect("it can be locked");
        assert!(matches!(open(&path), Err(FileError::Contended)));
        drop(held);
        assert!(matches!(open(&path), Ok(Some(_))));
    }

    #[test]
    fn a_file_that_is_not_there_is_missing_and_what_is_no_file_is_damage() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        assert!(matches!(open(&temp.path().join("missing")), Ok(None)));
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path().join("elsewhere"), &link).expect("it is linked");
        assert!(matches!(open(&link), Err(FileError::Damaged)));
        assert!(matches!(open(temp.path()), Err(FileError::Damaged)));
    }
}
