//! The file of a record and PHP's lock on it: an exclusive `flock`, from before the first byte is read to after
//! the last one is written.
//!
//! The kernel keeps the lock with the open file, so two handles of one process exclude each other as two processes
//! do, and drops it when the process ends.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{FileError, FileResult};
use super::root;

/// How often a file may be replaced by another one while it is being locked.
const REPLACED_AT_MOST: u32 = 16;

/// The file of a record, open and locked. Dropped, it is unlocked.
pub(super) struct LockedFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// The path has the session's id, so it is not shown.
impl fmt::Debug for LockedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedFile(..)")
    }
}

/// What came of trying to lock the file of a record.
#[derive(Debug)]
pub(super) enum Locking {
    Locked(LockedFile),
    /// Somebody else holds the lock.
    Busy,
    /// There is no file.
    Missing,
}

/// Locks the file at `path` without waiting.
pub(super) fn try_lock(path: &Path, user: u32) -> FileResult<Locking> {
    for _ in 0..REPLACED_AT_MOST {
        let Some(file) = root::open_file(path, user)? else { return Ok(Locking::Missing) };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Locking::Busy),
            Err(TryLockError::Error(error)) => return Err(FileError::io("lock a session file")(error)),
        }
        let locked = LockedFile { file, path: path.to_path_buf() };
        if locked.is_named()? {
            return Ok(Locking::Locked(locked));
        }
    }
    Err(FileError::Replaced)
}

/// Locks the file at `path`, and waits in the kernel's queue for as long as it takes; `None` if there is none.
pub(super) fn lock(path: &Path, user: u32) -> FileResult<Option<LockedFile>> {
    for _ in 0..REPLACED_AT_MOST {
        let Some(file) = root::open_file(path, user)? else { return Ok(None) };
        while let Err(error) = file.lock() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(FileError::io("lock a session file")(error));
            }
        }
        let locked = LockedFile { file, path: path.to_path_buf() };
        if locked.is_named()? {
            return Ok(Some(locked));
        }
    }
    Err(FileError::Replaced)
}

impl LockedFile {
    /// Reports whether the path still names this file.
    ///
    /// PHP deletes without the lock, so it may not, at any time: what is read from a file without a name is
    /// nobody's session any more, and what is written to it nobody will find.
    pub(super) fn is_named(&self) -> FileResult<bool> {
        let look = || {
            let open = self.file.metadata()?;
            match fs::symlink_metadata(&self.path) {
                Ok(named) => Ok(named.ino() == open.ino() && named.dev() == open.dev()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        };
        look().map_err(FileError::io("look at a session file"))
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started may have a copy of the handle for a moment.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root may lock anybody's files.
    const ROOT: u32 = 0;

    #[test]
    fn a_locked_file_is_busy_until_it_is_let_go() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("file");
        assert!(matches!(try_lock(&path, ROOT), Ok(Locking::Missing)));
        fs::write(&path, b"").expect("it is written");
        let held = lock(&path, ROOT).expect("it can be locked");
        assert!(matches!(try_lock(&path, ROOT), Ok(Locking::Busy)));
        drop(held);
        assert!(matches!(try_lock(&path, ROOT), Ok(Locking::Locked(_))));
    }

    #[test]
    fn a_file_that_lost_its_name_is_noticed() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("file");
        fs::write(&path, b"").expect("it is written");
        let held = lock(&path, ROOT).expect("it can be locked").expect("it is there");
        assert!(held.is_named().expect("it can be told"));
        fs::remove_file(&path).expect("it is removed");
        assert!(!held.is_named().expect("it can be told"));
        fs::write(&path, b"").expect("another one is written");
        assert!(!held.is_named().expect("it can be told"));
    }
}
