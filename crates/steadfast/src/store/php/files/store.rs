//! The driver: each operation as a step on the right thread, under the right lock.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::random;
use crate::store::files::Io;
use crate::store::php::Site;
use crate::store::php::held::{HeldLocks, Taken};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

use super::config::PhpFilesOptions;
use super::error::{DRIVER, FileError, FileResult};
use super::lock::{LockedFile, Locking};
use super::operations::{Files, Peeked};
use super::queue::Queue;

/// How long a reader waits for what looks like the middle of a write, and how long between two looks. PHP writes
/// within microseconds of cutting the file, unless it was interrupted just then.
const SETTLE_WITHIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How often a lock is tried by whoever has no place in the kernel's queue, because too many wait there.
const POLL: Duration = Duration::from_millis(20);
/// How soon after each other locks whose time is over are given back.
const REAP: Duration = Duration::from_millis(50);

/// Keeps records in the session files of CodeIgniter or PHP, which go on using them.
///
/// A clone is another handle to the same directory. See [the module](super) for what it promises.
#[derive(Clone)]
pub struct PhpFiles(Arc<Shared>);

struct Shared {
    files: Files,
    held: HeldLocks<Arc<LockedFile>>,
    queue: Queue,
    io: Io,
    lock_wait: Duration,
    /// Whether a task gives back the locks whose time is over.
    reaping: AtomicBool,
}

/// What an operation waits for, which decides on the thread it runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// For the page cache alone.
    Briefly,
    /// For many files.
    ForWalk,
}

/// The lock that a call works under.
enum Hold<'a> {
    /// That of a lease.
    Lease(Taken<'a, Arc<LockedFile>>),
    /// One that ends with the call.
    Call(Arc<LockedFile>),
}

impl PhpFiles {
    /// Returns the default settings for a site, to change some and then open a directory.
    pub fn options(site: Site) -> PhpFilesOptions {
        PhpFilesOptions::new(site)
    }

    pub(super) fn new(files: Files, io: Io, lock_wait: Duration) -> Self {
        Self(Arc::new(Shared {
            files,
            held: HeldLocks::default(),
            queue: Queue::default(),
            io,
            lock_wait,
            reaping: AtomicBool::new(false),
        }))
    }

    /// Runs a step on the thread that it belongs to.
    async fn run<T: Send + 'static>(
        &self,
        waits: Waits,
        step: impl FnOnce(&Files) -> FileResult<T> + Send + 'static,
    ) -> FileResult<T> {
        if waits == Waits::Briefly && self.0.io == Io::Inline {
            return step(&self.0.files);
        }
        let shared = Arc::clone(&self.0);
        let task = tokio::task::spawn_blocking(move || step(&shared.files));
        task.await.unwrap_or_else(|source| Err(FileError::Pool { source }))
    }

    /// Tries to take a lock: the one that was won by waiting, or the file's own.
    async fn try_lock(&self, key: &StoreKey) -> FileResult<Locking> {
        if let Some(won) = self.0.queue.take(key)
            && won.is_named()?
        {
            return Ok(Locking::Locked(won));
        }
        let key = *key;
        self.run(Waits::Briefly, move |files| files.try_lock(&key)).await
    }

    /// Takes a lock for one call, and waits for it for a bounded time; `None` if there is no record.
    async fn lock(&self, key: &StoreKey) -> FileResult<Option<Hold<'_>>> {
        let end = Instant::now() + self.0.lock_wait;
        loop {
            match self.try_lock(key).await? {
                Locking::Locked(locked) => return Ok(Some(Hold::Call(Arc::new(locked)))),
                Locking::Missing => return Ok(None),
                Locking::Busy => {}
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FileError::Busy);
            }
            self.wait_for(key, left).await;
        }
    }

    /// Takes the lock of a lease, or else one for this call.
    async fn hold<'a>(
        &'a self,
        key: &StoreKey,
        of_lease: Option<Taken<'a, Arc<LockedFile>>>,
    ) -> FileResult<Option<Hold<'a>>> {
        match of_lease {
            Some(taken) => Ok(Some(Hold::Lease(taken))),
            None => self.lock(key).await,
        }
    }

    /// Returns when the lock of a record may be free, after `wait` at the latest.
    async fn wait_for(&self, key: &StoreKey, wait: Duration) {
        let Ok(path) = self.0.files.path(key) else { return };
        if let Some(waiter) = self.0.queue.join(key, path, self.0.files.user) {
            return waiter.decided(wait).await;
        }
        let end = Instant::now() + wait;
        while matches!(self.try_lock(key).await, Ok(Locking::Busy)) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(random::jittered(POLL).min(left)).await;
        }
    }

    /// Sees to it that locks are given back when their time is over.
    fn start_reaping(&self) {
        if !self.0.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(&self.0)));
        }
    }
}

/// Says that locks are given back. Dropped, by the end of its runtime too, it lets another task start.
struct Reaping(Weak<Shared>);

impl Drop for Reaping {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.reaping.store(false, Ordering::Release);
        }
    }
}

async fn reap(store: Weak<Shared>) {
    let next_end = || store.upgrade().and_then(|shared| shared.held.next_end());
    loop {
        let reaping = Reaping(Weak::clone(&store));
        while let Some(end) = next_end() {
            tokio::time::sleep_until(end.max(Instant::now() + REAP)).await;
            if let Some(shared) = store.upgrade() {
                drop(shared.held.take_overdue());
            }
        }
        drop(reaping);
        // One may have been taken since the last look, by somebody who saw this task running.
        let Some(shared) = store.upgrade() else { return };
        if shared.held.next_end().is_none() || shared.reaping.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

impl Hold<'_> {
    fn file(&mut self) -> Arc<LockedFile> {
        match self {
            Self::Lease(taken) => Arc::clone(taken.lock()),
            Self::Call(locked) => Arc::clone(locked),
        }
    }

    /// Goes on holding the lock if it is that of a lease.
    fn keep(self) {
        if let Self::Lease(taken) = self {
            taken.keep();
        }
    }
}

impl fmt::Debug for PhpFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { files, held, io, lock_wait, queue: _, reaping: _ } = &*self.0;
        f.debug_struct("PhpFiles")
            .field("dir", &files.names.dir())
            .field("held", held)
            .field("io", io)
            .field("lock_wait", lock_wait)
            .finish_non_exhaustive()
    }
}

impl Store for PhpFiles {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.0.files.clock.now())
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let (key, end) = (*key, Instant::now() + SETTLE_WITHIN);
        loop {
            let final_try = Instant::now() >= end;
            match self.run(Waits::Briefly, move |files| files.peek(&key, final_try)).await? {
                Peeked::Found(found) => return Ok(Loaded::Found(found)),
                Peeked::Missing => return Ok(Loaded::Missing),
                Peeked::Unsettled => tokio::time::sleep(random::jittered(LOOK_AGAIN)).await,
            }
        }
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        drop(self.0.held.take_overdue());
        let locked = match self.0.held.take(key, lease.token) {
            Some(again) => again.end(),
            None if self.0.held.has(key) => return Ok(Acquired::Busy),
            None => match self.try_lock(key).await? {
                Locking::Locked(locked) => Arc::new(locked),
                Locking::Busy => return Ok(Acquired::Busy),
                Locking::Missing => return Ok(Acquired::Missing),
            },
        };
        let file = Arc::clone(&locked);
        let found = self.run(Waits::Briefly, move |files| files.read(&file)).await?;
        let Some(found) = found else { return Ok(Acquired::Missing) };
        self.0.held.insert(*key, lease, locked);
        self.start_reaping();
        Ok(Acquired::Held(found))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let (key, record) = (*key, record.clone());
        let created = self.run(Waits::Briefly, move |files| files.create(&key, &record)).await?;
        Ok(if created { Created::Stored } else { Created::IdTaken })
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let of_lease = match lease {
            LeaseEnd::None => None,
            LeaseEnd::Release(token) | LeaseEnd::Renew(Lease { token, .. }) => self.0.held.take(key, token),
        };
        let Some(mut hold) = self.hold(key, of_lease).await? else { return Ok(Updated::Missing) };
        let (file, record) = (hold.file(), record.clone());
        let updated = self.run(Waits::Briefly, move |files| files.update(&file, seen, &record)).await;
        match (&updated, lease) {
            (Ok(Updated::Missing), _) | (Ok(Updated::Stored), LeaseEnd::Release(_)) => drop(hold),
            (Ok(Updated::Stored), LeaseEnd::Renew(lease)) => {
                self.0.held.renew(key, lease);
                hold.keep();
            }
            _ => hold.keep(),
        }
        updated.map_err(Error::from)
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let hold = self.hold(old, self.0.held.take_any(old)).await?;
        let Some(mut hold) = hold else { return Ok(Replaced::Missing) };
        let (file, new, record) = (hold.file(), *new, record.clone());
        let predecessor = match predecessor {
            Predecessor::Delete => None,
            Predecessor::Update(record) => Some(record.clone()),
        };
        let replace = move |files: &Files| files.replace(&file, seen, predecessor.as_ref(), &new, &record);
        let replaced = self.run(Waits::Briefly, replace).await;
        match replaced {
            Ok(Replaced::Stored | Replaced::Missing) => drop(hold),
            _ => hold.keep(),
        }
        replaced.map_err(Error::from)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let key = *key;
        Ok(self.run(Waits::Briefly, move |files| files.touch(&key, expires_at)).await?)
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        if !self.0.held.renew(key, lease) {
            return Ok(Renewed::Lost);
        }
        // While a call works under the lock, that call finds out whether the record is still there.
        let Some(mut taken) = self.0.held.take(key, lease.token) else { return Ok(Renewed::Extended) };
        let file = Arc::clone(taken.lock());
        if !self.run(Waits::Briefly, move |_| file.is_named()).await? {
            return Ok(Renewed::Lost);
        }
        taken.keep();
        Ok(Renewed::Extended)
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        drop(self.0.held.take(key, token));
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        self.wait_for(key, wait).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let hold = self.hold(key, self.0.held.take_any(key)).await?;
        let Some(mut hold) = hold else { return Ok(Deleted::Missing) };
        let file = hold.file();
        let deleted = self.run(Waits::Briefly, move |files| files.delete(&file, seen)).await;
        match deleted {
            Ok(Deleted::Gone | Deleted::Missing) => drop(hold),
            _ => hold.keep(),
        }
        deleted.map_err(Error::from)
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let stored = *key;
        match self.hold(key, self.0.held.take_any(key)).await {
            Ok(Some(mut hold @ Hold::Lease(_))) => {
                let file = hold.file();
                Ok(self.run(Waits::Briefly, move |_| file.set_aside()).await?)
            }
            // Without the lock nobody here has looked at what is there now; a file has nothing that this can't read.
            Ok(Some(Hold::Call(_)) | None) => Ok(()),
            // There is no file, so there is nothing to lock either.
            Err(FileError::NoFile) => {
                Ok(self.run(Waits::Briefly, move |files| files.set_obstacle_aside(&stored)).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn of_user(&self, _: &UserKey, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        Err(FileError::NoIndex.into())
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        Ok(self.run(Waits::ForWalk, move |files| files.purge(limit.get())).await?)
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.run(Waits::ForWalk, Files::count).await?)
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let after = after.copied();
        Ok(self.run(Waits::ForWalk, move |files| files.page(after.as_ref(), limit.get())).await?)
    }

    /// Nothing: PHP seals no records, so a start has no keys to try, and need not read a whole directory for it.
    async fn sample(&self, _: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(Vec::new())
    }
}
