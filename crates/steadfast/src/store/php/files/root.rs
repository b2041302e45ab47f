//! The directory: made if it is not there, and proof that this process may work in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::random;

use super::error::{DRIVER, FileError};

/// The mode of a directory that is made, as CodeIgniter makes it.
const DIR_MODE: u32 = 0o700;
/// The user who may do everything, and whose files PHP takes from anybody's directory.
const SUPERUSER: u32 = 0;

/// Makes the directory unless it is there, and returns the user that this process makes files as.
///
/// # Errors
///
/// Of kind [`ErrorKind::InvalidConfig`] if it is not a directory or can't be written to.
pub(super) fn open(dir: &Path) -> Result<u32> {
    let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir);
    let fault = |message: String, source: io::Error| {
        Error::new(ErrorKind::InvalidConfig, message).in_driver(DRIVER).with_source(source)
    };
    let shown = dir.display();
    made.map_err(|source| {
        fault(format!("`save_path` names `{shown}`, which is no directory and can't be made one"), source)
    })?;
    own_user(dir).map_err(|source| {
        fault(
            format!(
                "`save_path` names `{shown}`, where this process can't make files; \
                 run it as the user that PHP runs as, or give that user the directory"
            ),
            source,
        )
    })
}

/// Returns whose a file is that this process makes. There is no other way to learn it without `unsafe`.
fn own_user(dir: &Path) -> io::Result<u32> {
    let path = dir.join(format!(".steadfast.{:016x}", random::unique()));
    let file = new_file(&path, 0o600)?;
    let user = file.metadata().map(|found| found.uid());
    fs::remove_file(&path)?;
    user
}

/// Makes a file, which must not be there yet.
pub(super) fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Opens the file of a record, to read and write it; `None` if there is none.
///
/// A link in its place is not followed, a pipe does not block, and a file of another user than `user` and root is
/// refused, as PHP does: in a directory that several users share, anybody may put a file there.
pub(super) fn open_file(path: &Path, user: u32) -> Result<Option<File>, FileError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if is_no_file(&error) => return Err(FileError::NoFile),
        Err(error) => return Err(FileError::io("open a session file")(error)),
    };
    let found = file.metadata().map_err(FileError::io("look at a session file"))?;
    if !found.is_file() {
        return Err(FileError::NoFile);
    }
    if user != SUPERUSER && found.uid() != user && found.uid() != SUPERUSER {
        return Err(FileError::ForeignOwner);
    }
    Ok(Some(file))
}

fn is_no_file(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EISDIR | libc::ELOOP | libc::ENOTDIR | libc::ENXIO | libc::EMLINK)
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_is_made_with_its_parents_for_the_owner_alone() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let dir = temp.path().join("writable/session");
        let user = open(&dir).expect("it is made");
        let found = fs::metadata(&dir).expect("it is there");
        assert_eq!((found.permissions().mode() & 0o7777, found.uid()), (0o700, user));
        assert_eq!(fs::read_dir(&dir).expect("it can be listed").count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_directory_that_php_uses_keeps_its_mode() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o1733)).expect("chmod works");
        open(temp.path()).expect("it can be used");
        let mode = fs::metadata(temp.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o1733);
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = open(file.path()).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("is no directory"), "{error}");
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("file");
        assert!(matches!(open_file(&path, 1), Ok(None)));
        std::os::unix::fs::symlink("elsewhere", &path).expect("it is linked");
        assert!(matches!(open_file(&path, 1), Err(FileError::NoFile)));
        assert!(matches!(open_file(temp.path(), 1), Err(FileError::NoFile)));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let owner = file.as_file().metadata().expect("it is there").uid();
        assert!(matches!(open_file(file.path(), owner), Ok(Some(_))));
        assert!(matches!(open_file(file.path(), SUPERUSER), Ok(Some(_))));
        // Root's files are taken from anybody's directory, so another owner is needed to be refused.
        if owner != SUPERUSER {
            assert!(matches!(open_file(file.path(), owner + 1), Err(FileError::ForeignOwner)));
        } else if std::os::unix::fs::chown(file.path(), Some(12_345), None).is_ok() {
            assert!(matches!(open_file(file.path(), 54_321), Err(FileError::ForeignOwner)));
        }
    }
}
