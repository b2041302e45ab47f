//! Going through the records in the order of their keys, with one directory in memory at a time.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use crate::store::{Listed, StoreKey};

use super::error::{FileError, FileResult};
use super::record_file;
use super::root::{RecordDir, Root};

/// Lists the directories that hold records, in order.
pub(super) fn record_dirs(root: &Root) -> FileResult<Vec<RecordDir>> {
    let entries = entries(&root.records())?.ok_or(FileError::RootGone)?;
    let dir_of = |entry: &DirEntry| RecordDir::from_name(entry.file_name().to_str()?);
    let mut dirs: Vec<RecordDir> = entries.iter().filter_map(dir_of).collect();
    dirs.sort_unstable();
    Ok(dirs)
}

/// Lists the keys that name a file in a directory, in order; none if there is no such directory.
pub(super) fn keys_in(dir: &Path) -> FileResult<Vec<StoreKey>> {
    let entries = entries(dir)?.unwrap_or_default();
    let mut keys: Vec<StoreKey> = entries.iter().filter_map(key_of).collect();
    keys.sort_unstable();
    Ok(keys)
}

/// Reads the key from the name of an entry.
pub(super) fn key_of(entry: &DirEntry) -> Option<StoreKey> {
    StoreKey::from_hex(entry.file_name().to_str()?)
}

/// Reads a directory; `None` if there is none.
pub(super) fn entries(dir: &Path) -> FileResult<Option<Vec<DirEntry>>> {
    match fs::read_dir(dir).and_then(Iterator::collect) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(FileError::io("list session files")(error)),
    }
}

/// Counts the records.
pub(super) fn count(root: &Root) -> FileResult<u64> {
    let mut count = 0;
    for dir in record_dirs(root)? {
        let entries = entries(&dir.path(root))?.unwrap_or_default();
        count += entries.iter().filter_map(key_of).count() as u64;
    }
    Ok(count)
}

/// Lists records after a key. One that is damaged, or of a newer format, is left out.
pub(super) fn page(root: &Root, after: Option<&StoreKey>, limit: usize) -> FileResult<Vec<Listed>> {
    let mut listed = Vec::new();
    let first = after.map(RecordDir::of);
    for dir in record_dirs(root)? {
        if first.is_some_and(|first| dir < first) {
            continue;
        }
        for key in keys_in(&dir.path(root))? {
            if after.is_some_and(|after| key <= *after) {
                continue;
            }
            match record_file::load(root, &key) {
                Ok(Some(snapshot)) => listed.push(Listed { key, record: snapshot.record }),
                Ok(None) | Err(FileError::Damaged | FileError::NewerFormat) => {}
                Err(error) => return Err(error),
            }
            if listed.len() == limit {
                return Ok(listed);
            }
        }
    }
    Ok(listed)
}
