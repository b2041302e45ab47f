//! What each operation does to the files, as one synchronous step.
//!
//! A step never waits for a lock: it is given the locked file, or finds out that there is none to be had. Nothing
//! can stop it half way but the end of the process, so a dropped future leaves nothing half done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{Deleted, Found, Listed, Record, Replaced, StoreKey, Touched, Updated, Version};
use crate::time::{Clock, Timestamp};

use super::error::{FileError, FileResult};
use super::lock::{self, LockedFile, Locking};
use super::names::Names;
use super::purge::{Cursor, Purge};
use super::record::{self, Content};
use super::{root, walk};

/// The session files of a site.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) names: Names,
    /// The mode of a new file.
    pub(super) mode: u32,
    /// The user that this process makes files as.
    pub(super) user: u32,
    /// How long an unused session is kept.
    pub(super) lifetime: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cursor: Cursor,
}

/// What a reading without the lock found.
pub(super) enum Peeked {
    Found(Found),
    Missing,
    /// Somebody holds the lock and may be writing right now.
    Unsettled,
}

impl Files {
    pub(super) fn path(&self, key: &StoreKey) -> FileResult<PathBuf> {
        self.names.path(key)
    }

    pub(super) fn try_lock(&self, key: &StoreKey) -> FileResult<Locking> {
        lock::try_lock(&self.path(key)?, self.user)
    }

    /// Reads a record without waiting for whoever holds its lock: then only what looks settled, unless it is the
    /// `final_try`.
    pub(super) fn peek(&self, key: &StoreKey, final_try: bool) -> FileResult<Peeked> {
        let path = self.path(key)?;
        let Some(file) = root::open_file(&path, self.user)? else { return Ok(Peeked::Missing) };
        // Shared with other readers; a writer has it for itself alone.
        if file.try_lock_shared().is_ok() {
            let read = self.read(&LockedFile { file, path })?;
            return Ok(read.map_or(Peeked::Missing, Peeked::Found));
        }
        let content = match record::peek(&file)? {
            Some(content) => content,
            None if final_try => record::read(&file)?,
            None => return Ok(Peeked::Unsettled),
        };
        Ok(Peeked::Found(self.found(content)))
    }

    /// Reads a record under its lock; `None` if PHP deleted it meanwhile.
    pub(super) fn read(&self, locked: &LockedFile) -> FileResult<Option<Found>> {
        let content = record::read(&locked.file)?;
        Ok(locked.is_named()?.then(|| self.found(content)))
    }

    pub(super) fn create(&self, key: &StoreKey, record: &Record) -> FileResult<bool> {
        record::create(&self.path(key)?, self.mode, &self.content(record))
    }

    pub(super) fn update(&self, locked: &LockedFile, seen: Version, record: &Record) -> FileResult<Updated> {
        let old = match self.seen(locked, seen)? {
            Seen::Same(old) => old,
            Seen::Other => return Ok(Updated::Stale),
            Seen::Nothing => return Ok(Updated::Missing),
        };
        let stored = locked.write(&old, &self.content(record))?;
        Ok(if stored { Updated::Stored } else { Updated::Missing })
    }

    /// Stores the new record, and updates the old one to `predecessor`, or deletes it if that is none.
    ///
    /// The new record comes first: a crash before the old one is changed leaves a record whose id nobody has, and no
    /// session is lost.
    pub(super) fn replace(
        &self,
        locked: &LockedFile,
        seen: Version,
        predecessor: Option<&Record>,
        new: &StoreKey,
        record: &Record,
    ) -> FileResult<Replaced> {
        let old = match self.seen(locked, seen)? {
            Seen::Same(old) => old,
            Seen::Other => return Ok(Replaced::Stale),
            Seen::Nothing => return Ok(Replaced::Missing),
        };
        if !self.create(new, record)? {
            return Ok(Replaced::IdTaken);
        }
        let replaced = match predecessor {
            Some(record) => locked.write(&old, &self.content(record)),
            None => locked.remove(),
        };
        if let Ok(true) = replaced {
            return Ok(Replaced::Stored);
        }
        // Nobody has its id.
        if let Locking::Locked(new) = self.try_lock(new)? {
            new.remove()?;
        }
        replaced.map(|_| Replaced::Missing)
    }

    pub(super) fn delete(&self, locked: &LockedFile, seen: Option<Version>) -> FileResult<Deleted> {
        if let Some(seen) = seen {
            match self.seen(locked, seen)? {
                Seen::Same(_) => {}
                Seen::Other => return Ok(Deleted::Stale),
                Seen::Nothing => return Ok(Deleted::Missing),
            }
        }
        Ok(if locked.remove()? { Deleted::Gone } else { Deleted::Missing })
    }

    pub(super) fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> FileResult<Touched> {
        let Some(file) = root::open_file(&self.path(key)?, self.user)? else { return Ok(Touched::Missing) };
        record::touch(&file, expires_at - self.lifetime)?;
        Ok(Touched::Moved)
    }

    /// Moves away what is no file but in the place of one: a link, a directory.
    pub(super) fn set_obstacle_aside(&self, key: &StoreKey) -> FileResult<()> {
        record::set_aside(&self.path(key)?)
    }

    pub(super) fn purge(&self, limit: usize) -> FileResult<usize> {
        let Self { names, user, lifetime, .. } = self;
        Purge { names, user: *user, lifetime: *lifetime, now: self.clock.now() }.run(&self.cursor, limit)
    }

    pub(super) fn count(&self) -> FileResult<u64> {
        walk::count(&self.names)
    }

    /// Lists records. What is gone since its name was read, and what is no file, is left out.
    pub(super) fn page(&self, after: Option<&StoreKey>, limit: usize) -> FileResult<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut after = after.copied();
        while listed.len() < limit {
            let keys = walk::keys(&self.names, after.as_ref(), limit)?;
            let Some(last) = keys.last() else { break };
            after = Some(*last);
            for key in keys {
                match self.peek(&key, true) {
                    Ok(Peeked::Found(found)) if listed.len() < limit => {
                        listed.push(Listed { key, record: found.record });
                    }
                    Ok(_) | Err(FileError::NoFile | FileError::ForeignOwner | FileError::TooLarge) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(listed)
    }

    /// Compares what is there now with what was seen.
    fn seen(&self, locked: &LockedFile, seen: Version) -> FileResult<Seen> {
        let content = record::read(&locked.file)?;
        Ok(match () {
            () if !locked.is_named()? => Seen::Nothing,
            () if Version::of_content(&content.payload) == seen => Seen::Same(content),
            () => Seen::Other,
        })
    }

    fn content(&self, record: &Record) -> Content {
        Content { payload: record.payload.clone(), used_at: record.expires_at - self.lifetime }
    }

    fn found(&self, content: Content) -> Found {
        let Content { payload, used_at } = content;
        let version = Version::of_content(&payload);
        let record = Record { payload, version, expires_at: used_at + self.lifetime, user: None };
        Found { record, now: self.clock.now() }
    }
}

/// What is there, compared with what was seen.
enum Seen {
    Same(Content),
    Other,
    Nothing,
}
