//! Removing what PHP's collection would remove, a bounded number of files at a time.
//!
//! A call goes on where the last one of the same handle stopped, in the directory that it left open. PHP's
//! collection takes no lock; here a file is locked, and looked at again, before it goes: a session that somebody
//! works on right now stays.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::Timestamp;

use super::error::{FileError, FileResult};
use super::lock::{self, Locking};
use super::names::{Named, Names};
use super::record;
use super::walk::{self, Walk};

/// How many files a call looks at, at the least: a few milliseconds of work.
const VISITS: usize = 1_000;
/// How long damaged bytes are kept for an operator to look at.
const DAMAGED_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Where the last call stopped.
#[derive(Debug, Default)]
pub(super) struct Cursor(Mutex<Option<Walk>>);

/// What a call goes by.
pub(super) struct Purge<'a> {
    pub(super) names: &'a Names,
    pub(super) user: u32,
    pub(super) lifetime: Duration,
    pub(super) now: Timestamp,
}

impl Purge<'_> {
    /// Removes at most `limit` records whose time is over, and returns how many.
    pub(super) fn run(&self, cursor: &Cursor, limit: usize) -> FileResult<usize> {
        // Two purges at once through one handle make two walks instead of waiting for each other.
        let left_open = cursor.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut walk = match left_open.map_or_else(|| Walk::begin(self.names), Ok) {
            // As where a distribution keeps PHP's files, and removes them by a job of its own.
            Err(FileError::Unlistable) => return Ok(0),
            walk => walk?,
        };
        let mut removed = 0;
        let mut visits = VISITS.saturating_add(4 * limit.min(VISITS));
        while removed < limit && visits > 0 {
            let Some(path) = walk.next()? else { return Ok(removed) };
            visits -= 1;
            removed += usize::from(self.visit(&path)?);
        }
        *cursor.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(walk);
        Ok(removed)
    }

    /// Removes what is over, and reports whether it was a record.
    fn visit(&self, path: &Path) -> FileResult<bool> {
        let Some(named) = walk::named(self.names, path) else { return Ok(false) };
        let kept_for = match named {
            Named::Record(_) | Named::Unborn => self.lifetime,
            Named::Damaged => DAMAGED_KEPT,
        };
        // Gone since the directory was read, or none of ours.
        let Ok(found) = fs::symlink_metadata(path) else { return Ok(false) };
        if !found.is_file() || record::used_at(&found) + kept_for > self.now {
            return Ok(false);
        }
        if !matches!(named, Named::Record(_)) {
            let _ = fs::remove_file(path);
            return Ok(false);
        }
        match self.remove(path) {
            // One that can't be removed must not keep the others.
            Err(FileError::ForeignOwner | FileError::NoFile | FileError::Replaced) => Ok(false),
            removed => removed,
        }
    }

    fn remove(&self, path: &Path) -> FileResult<bool> {
        let Locking::Locked(locked) = lock::try_lock(path, self.user)? else { return Ok(false) };
        let found = locked.file.metadata().map_err(FileError::io("look at a session file"))?;
        if record::used_at(&found) + self.lifetime > self.now {
            return Ok(false);
        }
        locked.remove()
    }
}
