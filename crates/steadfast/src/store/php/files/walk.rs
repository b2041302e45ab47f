//! Going through the files of a directory, and of its levels, as they come.

use std::collections::BTreeSet;
use std::fs::{self, ReadDir};
use std::io;
use std::path::PathBuf;

use crate::store::StoreKey;

use super::error::{FileError, FileResult};
use super::names::{Named, Names};

/// A way through all the files that are ours or PHP's, with one open directory a level.
#[derive(Debug)]
pub(super) struct Walk {
    open: Vec<ReadDir>,
    depth: usize,
}

impl Walk {
    /// Begins at the top.
    pub(super) fn begin(names: &Names) -> FileResult<Self> {
        let top = fs::read_dir(names.dir()).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => FileError::Unlistable,
            _ => FileError::io("list session files")(error),
        })?;
        Ok(Self { open: vec![top], depth: names.depth() })
    }

    /// Returns the next file, whatever it is; `None` at the end.
    pub(super) fn next(&mut self) -> FileResult<Option<PathBuf>> {
        while let Some(dir) = self.open.last_mut() {
            let Some(entry) = dir.next() else {
                self.open.pop();
                continue;
            };
            let path = entry.map_err(FileError::io("list session files"))?.path();
            if self.open.len() > self.depth {
                return Ok(Some(path));
            }
            // What is no level, or can't be entered, holds no records.
            self.open.extend(fs::read_dir(&path));
        }
        Ok(None)
    }
}

/// Returns what a path in the directory stands for.
pub(super) fn named(names: &Names, path: &std::path::Path) -> Option<Named> {
    names.read(path.file_name()?.to_str()?)
}

/// Counts the records.
pub(super) fn count(names: &Names) -> FileResult<u64> {
    let mut walk = Walk::begin(names)?;
    let mut count = 0;
    while let Some(path) = walk.next()? {
        count += u64::from(matches!(named(names, &path), Some(Named::Record(_))));
    }
    Ok(count)
}

/// Returns the first keys after a key, in order, at most `limit` of them. Names come in no order, so all are read.
pub(super) fn keys(names: &Names, after: Option<&StoreKey>, limit: usize) -> FileResult<Vec<StoreKey>> {
    if names.are_addressed() {
        return Err(FileError::AddressesHidden);
    }
    let mut walk = Walk::begin(names)?;
    let mut first = BTreeSet::new();
    while let Some(path) = walk.next()? {
        if let Some(Named::Record(Some(key))) = named(names, &path)
            && after.is_none_or(|after| key > *after)
        {
            first.insert(key);
            if first.len() > limit {
                first.pop_last();
            }
        }
    }
    Ok(first.into_iter().collect())
}
