//! What each operation does to the files, as one synchronous step.
//!
//! A step never waits: where it finds a lock taken it has changed nothing and ends with
//! [`FileError::Contended`](super::error::FileError::Contended). Nothing can stop it half way but the end
//! of the process, so a dropped future leaves nothing half done.

use std::sync::Arc;

use crate::store::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Record, Renewed,
    Replaced, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::{Clock, Timestamp};

use super::error::FileResult;
use super::index::{self, Binding};
use super::purge::{self, Cursor};
use super::record_file::{self, LockedRecord};
use super::root::Root;
use super::snapshot::Snapshot;
use super::wire::{Held, Moving};
use super::{aside, walk};

/// A directory of session files and the clock of its deadlines.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) root: Root,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cursor: Cursor,
}

impl Files {
    pub(super) fn load(&self, key: &StoreKey) -> FileResult<Loaded> {
        let loaded = record_file::load(&self.root, key)?;
        Ok(loaded.map_or(Loaded::Missing, |snapshot| Loaded::Found(self.found(snapshot.record))))
    }

    pub(super) fn acquire(&self, key: &StoreKey, lease: Lease) -> FileResult<Acquired> {
        let Some(locked) = LockedRecord::open(&self.root, key)? else { return Ok(Acquired::Missing) };
        let Snapshot { at, record, .. } = locked.read()?;
        let now = self.clock.now();
        if at.moving.lease.is_some_and(|held| held.token != lease.token && held.until > now) {
            return Ok(Acquired::Busy);
        }
        locked.write_lease(&at, Some(started(lease, now)))?;
        Ok(Acquired::Held(self.found(record)))
    }

    pub(super) fn create(&self, key: &StoreKey, record: &Record) -> FileResult<Created> {
        let _binding = self.bind(key, None, record)?;
        match record_file::create(&self.root, key, record)? {
            true => Ok(Created::Stored),
            false => Ok(Created::IdTaken),
        }
    }

    pub(super) fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> FileResult<Updated> {
        let Some(locked) = LockedRecord::open(&self.root, key)? else { return Ok(Updated::Missing) };
        let found = locked.read()?;
        if found.record.version != seen {
            return Ok(Updated::Stale);
        }
        let lease = after(found.at.moving.lease, lease, self.clock.now());
        self.overwrite(key, &locked, &found, record, lease)?;
        Ok(Updated::Stored)
    }

    /// Stores the new record, and updates the old one to `predecessor`, or deletes it if that is none.
    ///
    /// The new record comes first: a crash before the old one is changed leaves a record that nobody has
    /// the key of, and no session is lost.
    pub(super) fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Option<&Record>,
        new: &StoreKey,
        record: &Record,
    ) -> FileResult<Replaced> {
        let Some(locked) = LockedRecord::open(&self.root, old)? else { return Ok(Replaced::Missing) };
        let found = locked.read()?;
        if found.record.version != seen {
            return Ok(Replaced::Stale);
        }
        // Before the first change, so that a taken lock ends the step while nothing is done.
        let _binding = match predecessor {
            Some(record) => self.bind(old, found.record.user, record)?,
            None => None,
        };
        if self.create(new, record)? == Created::IdTaken {
            return Ok(Replaced::IdTaken);
        }
        let replaced = match predecessor {
            Some(record) => self.overwrite(old, &locked, &found, record, None),
            None => self.remove(old, &locked, found.record.user),
        };
        if let Err(error) = replaced {
            let _ = self.delete(new, None);
            return Err(error);
        }
        Ok(Replaced::Stored)
    }

    pub(super) fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> FileResult<Touched> {
        let Some(locked) = LockedRecord::open(&self.root, key)? else { return Ok(Touched::Missing) };
        let at = locked.position()?;
        locked.write_deadline(&at, Moving { expires_at, ..at.moving })?;
        Ok(Touched::Moved)
    }

    pub(super) fn renew(&self, key: &StoreKey, lease: Lease) -> FileResult<Renewed> {
        let Some(locked) = LockedRecord::open(&self.root, key)? else { return Ok(Renewed::Lost) };
        let at = locked.position()?;
        let now = self.clock.now();
        if !at.moving.lease.is_some_and(|held| held.token == lease.token && held.until > now) {
            return Ok(Renewed::Lost);
        }
        locked.write_lease(&at, Some(started(lease, now)))?;
        Ok(Renewed::Extended)
    }

    pub(super) fn release(&self, key: &StoreKey, token: LeaseToken) -> FileResult<()> {
        let Some(locked) = LockedRecord::open(&self.root, key)? else { return Ok(()) };
        let at = locked.position()?;
        if at.moving.lease.is_some_and(|held| held.token == token) {
            locked.write_lease(&at, None)?;
        }
        Ok(())
    }

    /// Reports whether somebody holds the lease of a record, as far as a reader without the lock can tell.
    pub(super) fn is_leased(&self, key: &StoreKey) -> FileResult<bool> {
        let lease = record_file::peek_lease(&self.root, key)?;
        Ok(lease.is_some_and(|held| held.until > self.clock.now()))
    }

    pub(super) fn delete(&self, key: &StoreKey, seen: Option<Version>) -> FileResult<Deleted> {
        let Some(locked) = LockedRecord::open(&self.root, key)? else { return Ok(Deleted::Missing) };
        let Snapshot { record, .. } = locked.read()?;
        if seen.is_some_and(|seen| seen != record.version) {
            return Ok(Deleted::Stale);
        }
        self.remove(key, &locked, record.user)?;
        Ok(Deleted::Gone)
    }

    pub(super) fn set_aside(&self, key: &StoreKey) -> FileResult<()> {
        aside::set_aside(&self.root, key, self.clock.now())
    }

    pub(super) fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> FileResult<Vec<Listed>> {
        index::list(&self.root, user, after, limit)
    }

    pub(super) fn purge(&self, limit: usize) -> FileResult<usize> {
        purge::purge(&self.root, &self.cursor, limit, self.clock.now())
    }

    pub(super) fn count(&self) -> FileResult<u64> {
        walk::count(&self.root)
    }

    pub(super) fn page(&self, after: Option<&StoreKey>, limit: usize) -> FileResult<Vec<Listed>> {
        walk::page(&self.root, after, limit)
    }

    fn overwrite(
        &self,
        key: &StoreKey,
        locked: &LockedRecord<'_>,
        found: &Snapshot,
        record: &Record,
        lease: Option<Held>,
    ) -> FileResult<()> {
        let before = found.record.user;
        let binding = self.bind(key, before, record)?;
        locked.write(&found.at, record, lease)?;
        drop(binding);
        if let Some(user) = before.filter(|_| before != record.user) {
            index::clean(&self.root, &user, key);
        }
        Ok(())
    }

    fn remove(&self, key: &StoreKey, locked: &LockedRecord<'_>, user: Option<UserKey>) -> FileResult<()> {
        locked.remove()?;
        if let Some(user) = user {
            index::clean(&self.root, &user, key);
        }
        Ok(())
    }

    /// Makes the index entry of a record whose user is not the one it is bound to so far.
    fn bind(&self, key: &StoreKey, before: Option<UserKey>, record: &Record) -> FileResult<Option<Binding>> {
        match record.user {
            Some(user) if before != Some(user) => index::bind(&self.root, &user, key).map(Some),
            _ => Ok(None),
        }
    }

    fn found(&self, record: Record) -> Found {
        Found { record, now: self.clock.now() }
    }
}

fn started(lease: Lease, now: Timestamp) -> Held {
    Held { token: lease.token, until: now + lease.ttl }
}

/// Returns what a write leaves of the lease that it finds.
fn after(found: Option<Held>, end: LeaseEnd, now: Timestamp) -> Option<Held> {
    let held = found?;
    match end {
        LeaseEnd::Release(token) if token == held.token => None,
        LeaseEnd::Renew(lease) if lease.token == held.token && held.until > now => Some(started(lease, now)),
        LeaseEnd::None | LeaseEnd::Release(_) | LeaseEnd::Renew(_) => Some(held),
    }
}
