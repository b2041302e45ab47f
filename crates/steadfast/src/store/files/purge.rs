//! Removing expired records, a bounded number of files at a time.
//!
//! A call goes on where the last one of the same handle stopped, and decides by the [`stamp`]
//! of each file: a live record costs one `stat`, an expired one is locked, looked into and removed.

use std::fs::{self, DirEntry};
use std::sync::{Mutex, PoisonError};

use crate::random;
use crate::store::StoreKey;
use crate::time::Timestamp;

use super::error::{FileError, FileResult};
use super::record_file::LockedRecord;
use super::root::{RecordDir, Root};
use super::{aside, index, lock, stamp, walk};

/// How many files a call looks at, at least: a few milliseconds of work.
const VISITS: usize = 1_000;
/// How many visits reading a directory counts as, by its cost.
const VISITS_PER_DIR: usize = 4;

/// Where the last call stopped.
#[derive(Debug, Default)]
pub(super) struct Cursor(Mutex<Sweep>);

/// One way through all directories: those still to be visited, the next one last.
#[derive(Debug, Default)]
struct Sweep {
    dirs: Vec<RecordDir>,
    /// The last file that was visited in the next directory.
    after: Option<String>,
}

/// Removes at most `limit` records whose deadline has passed, and returns how many.
pub(super) fn purge(root: &Root, cursor: &Cursor, limit: usize, now: Timestamp) -> FileResult<usize> {
    // Two purges at once through one handle make two sweeps instead of waiting for each other.
    let mut sweep = std::mem::take(&mut *cursor.0.lock().unwrap_or_else(PoisonError::into_inner));
    let mut call = Call { root, now, left: limit, visits: VISITS.saturating_add(4 * limit.min(VISITS)) };
    let swept = call.run(&mut sweep);
    *cursor.0.lock().unwrap_or_else(PoisonError::into_inner) = sweep;
    swept.map(|()| limit - call.left)
}

/// What one call may still do.
struct Call<'a> {
    root: &'a Root,
    now: Timestamp,
    left: usize,
    visits: usize,
}

impl Call<'_> {
    /// Ends the sweep that was begun and then, if there is work left to do, makes a whole new one.
    fn run(&mut self, sweep: &mut Sweep) -> FileResult<()> {
        self.finish(sweep)?;
        if self.may_go_on() {
            *sweep = begin(self.root)?;
            self.finish(sweep)?;
        }
        Ok(())
    }

    fn may_go_on(&self) -> bool {
        self.left > 0 && self.visits > 0
    }

    fn finish(&mut self, sweep: &mut Sweep) -> FileResult<()> {
        while self.may_go_on() {
            let Some(dir) = sweep.dirs.last() else { break };
            self.visits = self.visits.saturating_sub(VISITS_PER_DIR);
            let mut entries: Vec<(String, DirEntry)> = walk::entries(&dir.path(self.root))?
                .unwrap_or_default()
                .into_iter()
                .filter_map(|entry| entry.file_name().into_string().ok().map(|name| (name, entry)))
                .filter(|(name, _)| sweep.after.as_ref().is_none_or(|after| name > after))
                .collect();
            entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            if !self.visit_all(entries, &mut sweep.after)? {
                break;
            }
            sweep.after = None;
            sweep.dirs.pop();
        }
        Ok(())
    }

    /// Visits files and notes the last one, also if it fails: one bad file must not stop every later call
    /// at the same place. Returns whether it came to the end.
    fn visit_all(
        &mut self,
        entries: Vec<(String, DirEntry)>,
        after: &mut Option<String>,
    ) -> FileResult<bool> {
        for (name, entry) in entries {
            if !self.may_go_on() {
                return Ok(false);
            }
            self.visits -= 1;
            match (after.insert(name), walk::key_of(&entry)) {
                (_, Some(key)) => self.visit(&key, &entry)?,
                (name, None) => remove_unborn(&entry, name),
            }
        }
        Ok(true)
    }

    fn visit(&mut self, key: &StoreKey, entry: &DirEntry) -> FileResult<()> {
        // Gone since the directory was read.
        let Ok(found) = entry.metadata() else { return Ok(()) };
        if stamp::get(&found) > self.now {
            return Ok(());
        }
        let removed = match remove_expired(self.root, key, self.now) {
            Err(FileError::Damaged) => aside::set_aside(self.root, key, self.now).map(|()| false),
            removed => removed,
        };
        match removed {
            Ok(removed) => self.left -= usize::from(removed),
            // A record that somebody works on right now can wait for the next sweep.
            Err(FileError::Contended | FileError::NewerFormat) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Starts a sweep at a random directory, so that several processes don't follow each other.
fn begin(root: &Root) -> FileResult<Sweep> {
    let mut dirs = walk::record_dirs(root)?;
    if let Some(start) = usize::try_from(random::unique()).unwrap_or(0).checked_rem(dirs.len()) {
        dirs.rotate_left(start);
    }
    Ok(Sweep { dirs, after: None })
}

fn remove_expired(root: &Root, key: &StoreKey, now: Timestamp) -> FileResult<bool> {
    let Some(locked) = LockedRecord::open(root, key)? else { return Ok(false) };
    let at = locked.position()?;
    if at.moving.expires_at > now {
        locked.stamp(&at.moving)?;
        return Ok(false);
    }
    locked.remove()?;
    if let Some(user) = at.user {
        index::clean(root, &user, key);
    }
    Ok(true)
}

/// Removes what a crash left of a file that never got its name. One in work is locked.
fn remove_unborn(entry: &DirEntry, name: &str) {
    if name.starts_with('.')
        && let Ok(Some(_locked)) = lock::open(&entry.path())
    {
        let _ = fs::remove_file(entry.path());
    }
}
