//! What is read from the file of a record and written to it, in which order.
//!
//! A record is rewritten in place: first the new bytes over the old ones, then the file is cut to their length.
//! `kill -9` in between leaves the new bytes with the end of the old ones behind them, and one in the middle of a
//! write of several pages leaves a mixture. PHP destroys such a session when it reads it; Rust sets it aside. The
//! order that PHP has, cut first, leaves an empty session instead, in which nobody notices the loss. A write that
//! fails, on a full disk, puts the old bytes back.

use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use crate::time::Timestamp;

use super::error::{FileError, FileResult};
use super::lock::LockedFile;
use super::{names, root};

/// The largest file that is read. PHP gives up at its `memory_limit`, which is some times that.
const MAX_SIZE: u64 = 16 << 20;

/// What a file holds, and when it was last used.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) payload: Bytes,
    pub(super) used_at: Timestamp,
}

/// Reads an open file from its beginning.
pub(super) fn read(file: &File) -> FileResult<Content> {
    let found = file.metadata().map_err(FileError::io("look at a session file"))?;
    if found.len() > MAX_SIZE {
        return Err(FileError::TooLarge);
    }
    let mut payload = vec![0; usize::try_from(found.len()).unwrap_or(0)];
    let length = read_into(file, &mut payload).map_err(FileError::io("read a session file"))?;
    payload.truncate(length);
    Ok(Content { payload: payload.into(), used_at: used_at(&found) })
}

/// Reads as much as there is, at the most `buffer`'s length.
fn read_into(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Reads a file that somebody else may be writing to; `None` as long as it looks as if they were.
///
/// A file without a byte may be one between the two steps of a write, or a session without a value: who cares waits
/// and reads again.
pub(super) fn peek(file: &File) -> FileResult<Option<Content>> {
    let look = || file.metadata().map_err(FileError::io("look at a session file"));
    let before = look()?;
    let content = read(file)?;
    let after = look()?;
    let same = |of: fn(&Metadata) -> i64| of(&before) == of(&after);
    let whole = content.payload.len() as u64 == after.len() && !content.payload.is_empty();
    Ok((whole && same(Metadata::mtime) && same(Metadata::mtime_nsec)).then_some(content))
}

/// Returns when the file was last used: PHP moves the time of modification, and nothing else tells it.
pub(super) fn used_at(found: &Metadata) -> Timestamp {
    let Ok(seconds) = u64::try_from(found.mtime()) else { return Timestamp::EPOCH };
    let micros = u64::try_from(found.mtime_nsec() / 1_000).unwrap_or(0);
    Timestamp::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// Moves the time of the last use.
pub(super) fn touch(file: &File, used_at: Timestamp) -> FileResult<()> {
    let at = UNIX_EPOCH + Duration::from_micros(used_at.as_micros());
    let times = FileTimes::new().set_modified(at).set_accessed(at);
    file.set_times(times).map_err(FileError::io("move the time of a session file"))
}

/// Makes the file of a record, which appears with all its bytes at once; `false` if there is one.
pub(super) fn create(path: &Path, mode: u32, content: &Content) -> FileResult<bool> {
    let unborn = names::unborn(path);
    let file = root::new_file(&unborn, mode).map_err(FileError::io("make a session file"))?;
    let written = file.write_all_at(&content.payload, 0).map_err(FileError::io("write a session file"));
    let linked = written.and_then(|()| touch(&file, content.used_at)).and_then(|()| {
        match fs::hard_link(&unborn, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(FileError::io("name a session file")(error)),
        }
    });
    // Whether it has its own name by now or never will.
    let _ = fs::remove_file(&unborn);
    linked
}

/// Renames what is in the place of a record to `.<name>.damaged`, where PHP never looks. One from before makes room.
pub(super) fn set_aside(path: &Path) -> FileResult<()> {
    match fs::rename(path, names::damaged(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::io("set a damaged session file aside")(error))
        }
        _ => Ok(()),
    }
}

impl LockedFile {
    /// Writes a record over the one that was read, which is put back if that fails; `false` if the file had lost its
    /// name, so that nothing was written that anybody will find.
    pub(super) fn write(&self, old: &Content, new: &Content) -> FileResult<bool> {
        if let Err(error) = self.overwrite(&new.payload) {
            let _ = self.overwrite(&old.payload);
            return Err(FileError::io("write a session file")(error));
        }
        touch(&self.file, new.used_at)?;
        self.is_named()
    }

    /// Moves the record away, unless the file has lost its name.
    pub(super) fn set_aside(&self) -> FileResult<()> {
        if self.is_named()? { set_aside(&self.path) } else { Ok(()) }
    }

    /// Deletes the record; `false` if the file had lost its name, which may be another one's by now.
    ///
    /// It is emptied first: PHP's own handler, having waited for the lock, reads the file that it has open, and would
    /// go on with what was in it.
    pub(super) fn remove(&self) -> FileResult<bool> {
        if !self.is_named()? {
            return Ok(false);
        }
        self.file.set_len(0).map_err(FileError::io("empty a session file"))?;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true).map_err(FileError::io("delete a session file")),
        }
    }

    fn overwrite(&self, payload: &[u8]) -> io::Result<()> {
        self.file.write_all_at(payload, 0)?;
        self.file.set_len(payload.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::lock;
    use super::*;

    fn content(payload: &'static str, seconds: u64) -> Content {
        let used_at = Timestamp::from_micros(seconds * 1_000_000);
        Content { payload: Bytes::from_static(payload.as_bytes()), used_at }
    }

    #[test]
    fn a_record_appears_whole_and_once() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("sess_a");
        assert!(create(&path, 0o600, &content("first", 1)).expect("it is made"));
        assert!(!create(&path, 0o600, &content("second", 2)).expect("it is taken"));
        assert_eq!(fs::read(&path).expect("it is there"), b"first");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(temp.path()).expect("it can be listed").count(), 1);
    }

    #[test]
    fn a_shorter_record_leaves_nothing_of_the_longer_one() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("sess_a");
        let (long, short) = (content("a long record", 1), content("short", 2));
        assert!(create(&path, 0o600, &long).expect("it is made"));
        let locked = lock::lock(&path, 0).expect("it can be locked").expect("it is there");
        assert!(locked.write(&long, &short).expect("it is written"));
        let read = read(&locked.file).expect("it can be read");
        assert_eq!((&read.payload[..], read.used_at), (&b"short"[..], short.used_at));
    }

    #[test]
    fn a_write_to_a_file_without_a_name_does_not_count() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("sess_a");
        let old = content("old", 1);
        assert!(create(&path, 0o600, &old).expect("it is made"));
        let locked = lock::lock(&path, 0).expect("it can be locked").expect("it is there");
        fs::remove_file(&path).expect("it is removed");
        assert!(!locked.write(&old, &content("new", 2)).expect("it is written"));
        assert!(!path.exists());
    }

    #[test]
    fn an_empty_file_and_one_that_changes_are_not_settled() {
        let file = tempfile::tempfile().expect("a temporary file");
        assert!(peek(&file).expect("it can be read").is_none());
        file.write_all_at(b"a", 0).expect("it is written");
        assert!(peek(&file).expect("it can be read").is_some());
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(MAX_SIZE + 1).expect("it grows");
        assert!(matches!(read(&file), Err(FileError::TooLarge)));
    }
}
