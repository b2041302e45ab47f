//! The directory: who may open it, and where each record, index entry and damaged file is in it.
//!
//! ```text
//! <root>/records/<abc>/<key>         a session file; <abc> are the first three digits of its key
//! <root>/records/<abc>/.<key>.<n>    a session file that is being written (see `record_file`)
//! <root>/users/<abc>/<user>/<key>    an empty file: this record is bound to this user
//! <root>/corrupt/<time>-<key>        a damaged session file that was set aside
//! ```
//!
//! 4,096 directories a level keep a million files at some 240 a directory, and a site with a hundred
//! sessions doesn't make thousands of directories for them: each is made when it is first needed.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::random;
use crate::store::{Durability, StoreKey, UserKey};

use super::error::{DRIVER, FileError, FileResult};

/// Digits of a name that choose its directory.
const FAN_OUT_DIGITS: usize = 3;

/// One of the 4,096 directories for records, by the number that the first digits of its keys are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RecordDir(u16);

impl RecordDir {
    /// Returns the directory of a record.
    pub(super) fn of(key: &StoreKey) -> Self {
        let [first, second, ..] = *key.as_bytes();
        Self(u16::from_be_bytes([first, second]) >> 4)
    }

    /// Reads the name of a directory.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let is_ours = name.len() == FAN_OUT_DIGITS && !name.starts_with('+');
        is_ours.then(|| u16::from_str_radix(name, 16).ok()).flatten().map(Self)
    }

    /// Returns the path of this directory.
    pub(super) fn path(self, root: &Root) -> PathBuf {
        root.records().join(format!("{:03x}", self.0))
    }
}
/// For the owner alone.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What group and others must not have.
const FOREIGN_BITS: u32 = 0o077;

/// Reading a file must not move its access time, where the deadline is kept (see [`super::stamp`]).
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_ATIME: i32 = libc::O_NOATIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_ATIME: i32 = 0;

/// A link in place of a file is not followed, and a pipe in place of one does not block.
const OPEN_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | NO_ATIME;

/// The directory of a store.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    pub(super) durability: Durability,
}

impl Root {
    /// Opens a directory, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// Of kind [`ErrorKind::InvalidConfig`] if it is not a directory or open to other users, of kind
    /// [`ErrorKind::Unavailable`] if it can't be made or written.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self> {
        make_dir(path, Parents::Make).map_err(FileError::io("make the directory of the session files"))?;
        let found =
            fs::metadata(path).map_err(FileError::io("look at the directory of the session files"))?;
        check_root(path, &found)?;
        let root = Self { path: path.to_path_buf(), durability };
        for part in [root.records(), root.users(), root.corrupt()] {
            make_dir(&part, Parents::MustExist)
                .map_err(FileError::io("make a directory for the session files"))?;
        }
        root.sync_dir(path)?;
        Ok(root)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    pub(super) fn corrupt(&self) -> PathBuf {
        self.path.join("corrupt")
    }

    fn users(&self) -> PathBuf {
        self.path.join("users")
    }

    /// Returns the directory in which a record is, and its path.
    pub(super) fn record(&self, key: &StoreKey) -> (PathBuf, PathBuf) {
        let name = key.to_hex();
        let mut dir = self.records();
        dir.push(&name[..FAN_OUT_DIGITS]);
        let path = dir.join(name);
        (dir, path)
    }

    /// Returns the path of a file for `key` that nobody has used before, beside its record.
    pub(super) fn unborn(&self, key: &StoreKey) -> PathBuf {
        let (dir, _) = self.record(key);
        dir.join(format!(".{}.{:016x}", key.to_hex(), random::unique()))
    }

    /// Returns the directory of a user's index entries.
    pub(super) fn user(&self, user: &UserKey) -> PathBuf {
        let name = user.to_hex();
        let mut dir = self.users();
        dir.push(&name[..FAN_OUT_DIGITS]);
        dir.push(name);
        dir
    }

    /// Makes the directory of a record, or a user's, and the one above it that fans out.
    ///
    /// Never the directory of the store: one that has vanished is a fault to report, not to paper over.
    pub(super) fn make_below(&self, dir: &Path) -> FileResult<()> {
        let above = dir.parent().unwrap_or(dir);
        if above.parent() != Some(self.path()) {
            make_dir(above, Parents::MustExist).map_err(|source| self.making_failed(source))?;
            self.sync_dir(above.parent().unwrap_or(above))?;
        }
        make_dir(dir, Parents::MustExist).map_err(|source| self.making_failed(source))?;
        self.sync_dir(above)
    }

    fn making_failed(&self, source: io::Error) -> FileError {
        match source.kind() {
            io::ErrorKind::NotFound => FileError::RootGone,
            _ => FileError::io("make a directory for session files")(source),
        }
    }

    /// Fails if the whole directory has vanished, so that an unmounted volume is not "no session".
    pub(super) fn check_present(&self) -> FileResult<()> {
        match fs::symlink_metadata(self.records()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FileError::RootGone),
            Err(error) => Err(FileError::io("look at the directory of the session files")(error)),
        }
    }

    /// Makes the entries of a directory survive the loss of power, if this store promises that.
    pub(super) fn sync_dir(&self, dir: &Path) -> FileResult<()> {
        if self.durability == Durability::Fsync {
            let sync = File::open(dir).and_then(|dir| dir.sync_all());
            sync.map_err(FileError::io("write a directory of session files to the disk"))?;
        }
        Ok(())
    }
}

/// Opens an existing file for reading, and for writing too if it is to be changed.
pub(super) fn open_file(path: &Path, access: Access) -> io::Result<File> {
    let write = access == Access::ReadWrite;
    OpenOptions::new().read(true).write(write).custom_flags(OPEN_FLAGS).open(path)
}

/// Makes a file, which must not be there yet.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(FILE_MODE).custom_flags(OPEN_FLAGS).open(path)
}

/// Makes an empty file unless it is there.
pub(super) fn mark_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW);
    options.open(path).map(drop)
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

/// Reports whether a path still names an open file: a file that was removed or replaced must not be
/// written to, because nobody would find it.
pub(super) fn names(path: &Path, open: &File) -> io::Result<bool> {
    let open = open.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(named.ino() == open.ino() && named.dev() == open.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parents {
    Make,
    MustExist,
}

fn make_dir(path: &Path, parents: Parents) -> io::Result<()> {
    let made = DirBuilder::new().recursive(parents == Parents::Make).mode(DIR_MODE).create(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn check_root(path: &Path, found: &Metadata) -> Result<()> {
    let fault = |message| Err(Error::new(ErrorKind::InvalidConfig, message).in_driver(DRIVER));
    let shown = path.display();
    if !found.is_dir() {
        return fault(format!("`{shown}` is not a directory; name one for the session files"));
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & FOREIGN_BITS != 0 {
        return fault(format!(
            "the directory of the session files is open to other users (mode {mode:04o}); \
             run `chmod 0700 {shown}`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    #[test]
    fn the_directory_is_made_with_its_parents_for_the_owner_alone() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("writable/sessions");
        let root = Root::open(&path, Durability::Process).expect("it is made");
        for dir in [path.parent().expect("a parent"), &path, &root.records(), &root.users(), &root.corrupt()]
        {
            assert_eq!(mode_of(dir), 0o700, "{}", dir.display());
        }
    }

    #[test]
    fn a_directory_that_others_can_read_or_write_is_refused_with_the_remedy() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        for mode in [0o755, 0o770, 0o701, 0o1777] {
            fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).expect("chmod works");
            let error = Root::open(temp.path(), Durability::Process).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{mode:o}");
            assert!(error.to_string().contains("chmod 0700"), "{error}");
        }
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = Root::open(file.path(), Durability::Process).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("not a directory"), "{error}");
    }

    #[test]
    fn the_directory_of_a_key_is_named_by_its_first_digits() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(&temp.path().join("sessions"), Durability::Process).expect("it opens");
        let key = StoreKey::from_bytes([0xab; 16]);
        assert_eq!(RecordDir::of(&key).path(&root), root.record(&key).0);
        assert_eq!(RecordDir::from_name("aba"), Some(RecordDir::of(&key)));
        for other in ["", "ab", "abab", "xyz", "+ab", "ä0"] {
            assert_eq!(RecordDir::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_that_vanished_is_not_made_again() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(&temp.path().join("sessions"), Durability::Process).expect("it opens");
        fs::remove_dir_all(root.records()).expect("it is removed");
        let (dir, _) = root.record(&StoreKey::from_bytes([7; 16]));
        assert!(matches!(root.make_below(&dir), Err(FileError::RootGone)));
        assert!(matches!(root.check_present(), Err(FileError::RootGone)));
    }
}
