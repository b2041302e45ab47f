//! The driver: each operation as a step on the right thread, tried again while a lock is taken.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Result;
use crate::random;
use crate::store::{
    Acquired, Created, Deleted, Durability, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::{Clock, Timestamp};

use super::config::{FilesOptions, Io};
use super::error::{DRIVER, FileError, FileResult};
use super::operations::Files;
use super::purge::Cursor;
use super::root::Root;

/// How long an operation tries to get the lock of a file before it fails. A lock is held for
/// microseconds, or for one write to the disk; a longer wait means a process that was stopped.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How often a lock is tried at once, with other tasks in between, before the operation sleeps.
const HOT_TRIES: u32 = 8;
/// The first and the longest sleep between two tries, before jitter.
const BACKOFF: Duration = Duration::from_micros(200);
const LONGEST_BACKOFF: Duration = Duration::from_millis(5);
/// How many times longer than the first one the pauses of a waiter become.
const SLOWEST_POLL: u32 = 4;
/// Among how many wakers the keys are spread. Two keys that share one wake each other for nothing.
const WAKERS: usize = 64;

/// Keeps each record in a file of its own, in a directory that several processes can share.
///
/// A clone is another handle to the same directory. See [the module](super) for what it promises.
///
/// # Examples
///
/// ```
/// use steadfast::store::{Loaded, Store, StoreKey};
/// use steadfast::store::files::FilesStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> steadfast::Result<()> {
/// # let temp = tempfile::tempdir().expect("a temporary directory");
/// # let path = temp.path().join("sessions");
/// let store = FilesStore::open(path)?;
/// assert_eq!(store.load(&StoreKey::from_bytes([7; 16])).await?, Loaded::Missing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FilesStore(Arc<Shared>);

struct Shared {
    files: Files,
    poll_interval: Duration,
    io: Io,
    wakers: [Notify; WAKERS],
}

/// What an operation waits for, which decides on the thread it runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// For the page cache alone.
    Briefly,
    /// For the disk, if writes are to survive the loss of power.
    ForDisk,
    /// For many files.
    ForWalk,
}

impl FilesStore {
    /// Opens a directory with the default settings, and makes it, for its owner alone, if it is not there.
    ///
    /// # Errors
    ///
    /// As [`FilesOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Returns the default settings, to change some and then open a directory.
    pub fn options() -> FilesOptions {
        FilesOptions::new()
    }

    pub(super) fn new(root: Root, clock: Arc<dyn Clock>, poll_interval: Duration, io: Io) -> Self {
        let files = Files { root, clock, cursor: Cursor::default() };
        let wakers = std::array::from_fn(|_| Notify::new());
        Self(Arc::new(Shared { files, poll_interval, io, wakers }))
    }

    /// Runs a step, again and again while it finds a lock taken, for a bounded time.
    async fn run<T: Send + 'static>(
        &self,
        waits: Waits,
        step: impl Fn(&Files) -> FileResult<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let step = Arc::new(step);
        let mut patience = Patience::new();
        loop {
            let done = if self.0.runs_inline(waits) {
                step(&self.0.files)
            } else {
                let (shared, step) = (Arc::clone(&self.0), Arc::clone(&step));
                let task = tokio::task::spawn_blocking(move || step(&shared.files));
                task.await.unwrap_or_else(|source| Err(FileError::Pool { source }))
            };
            match done {
                Err(FileError::Contended) if patience.lasts().await => {}
                done => return done.map_err(Into::into),
            }
        }
    }

    fn waker(&self, key: &StoreKey) -> &Notify {
        &self.0.wakers[usize::from(key.as_bytes()[0]) % WAKERS]
    }

    fn wake(&self, key: &StoreKey) {
        self.waker(key).notify_waiters();
    }
}

impl Shared {
    fn runs_inline(&self, waits: Waits) -> bool {
        let durable = self.files.root.durability == Durability::Fsync;
        match waits {
            Waits::ForWalk => false,
            Waits::ForDisk if durable => false,
            Waits::ForDisk | Waits::Briefly => self.io == Io::Inline,
        }
    }
}

impl fmt::Debug for FilesStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { files, poll_interval, io, wakers: _ } = &*self.0;
        f.debug_struct("FilesStore")
            .field("root", &files.root.path())
            .field("durability", &files.root.durability)
            .field("poll_interval", poll_interval)
            .field("io", io)
            .finish_non_exhaustive()
    }
}

impl Store for FilesStore {
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
        let key = *key;
        self.run(Waits::Briefly, move |files| files.load(&key)).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let key = *key;
        self.run(Waits::Briefly, move |files| files.acquire(&key, lease)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let (key, record) = (*key, record.clone());
        self.run(Waits::ForDisk, move |files| files.create(&key, &record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let (stored, record) = (*key, record.clone());
        let updated =
            self.run(Waits::ForDisk, move |files| files.update(&stored, seen, &record, lease)).await;
        self.wake(key);
        updated
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let (stored, new, record) = (*old, *new, record.clone());
        let predecessor = match predecessor {
            Predecessor::Delete => None,
            Predecessor::Update(record) => Some(record.clone()),
        };
        let replace = move |files: &Files| files.replace(&stored, seen, predecessor.as_ref(), &new, &record);
        let replaced = self.run(Waits::ForDisk, replace).await;
        self.wake(old);
        replaced
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let key = *key;
        self.run(Waits::ForDisk, move |files| files.touch(&key, expires_at)).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let key = *key;
        self.run(Waits::Briefly, move |files| files.renew(&key, lease)).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        let stored = *key;
        let released = self.run(Waits::Briefly, move |files| files.release(&stored, token)).await;
        self.wake(key);
        released
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        let end = Instant::now() + wait;
        let mut pause = self.0.poll_interval;
        // Registered before the first look, so that a release in between is not missed.
        let mut woken = pin!(self.waker(key).notified());
        woken.as_mut().enable();
        let key = *key;
        // After an error it is for the next acquire to report it; waiting hides nothing.
        while self.run(Waits::Briefly, move |files| files.is_leased(&key)).await.unwrap_or(true) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || tokio::time::timeout(jitter(pause).min(left), woken.as_mut()).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(self.0.poll_interval * SLOWEST_POLL);
        }
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let stored = *key;
        let deleted = self.run(Waits::ForDisk, move |files| files.delete(&stored, seen)).await;
        self.wake(key);
        deleted
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let key = *key;
        self.run(Waits::ForWalk, move |files| files.set_aside(&key)).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        let (user, after) = (*user, after.copied());
        self.run(Waits::ForWalk, move |files| files.of_user(&user, after.as_ref(), limit.get())).await
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.run(Waits::ForWalk, move |files| files.purge(limit.get())).await
    }

    async fn count(&self) -> Result<u64> {
        self.run(Waits::ForWalk, Files::count).await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let after = after.copied();
        self.run(Waits::ForWalk, move |files| files.page(after.as_ref(), limit.get())).await
    }
}

/// How an operation waits for a lock: first it only lets other tasks run, then it sleeps, then it gives up.
struct Patience {
    tries: u32,
    pause: Duration,
    end: Option<Instant>,
}

impl Patience {
    fn new() -> Self {
        Self { tries: 0, pause: BACKOFF, end: None }
    }

    /// Waits before the next try; `false` if there should be none.
    async fn lasts(&mut self) -> bool {
        self.tries += 1;
        if self.tries <= HOT_TRIES {
            tokio::task::yield_now().await;
            return true;
        }
        if Instant::now() > *self.end.get_or_insert_with(|| Instant::now() + LOCK_PATIENCE) {
            return false;
        }
        tokio::time::sleep(jitter(self.pause)).await;
        self.pause = (self.pause * 2).min(LONGEST_BACKOFF);
        true
    }
}

/// Returns between one half and all of a pause, so that waiters don't come back together.
fn jitter(pause: Duration) -> Duration {
    let half = pause / 2;
    half + half.mul_f64((random::unique() >> 11) as f64 / (1_u64 << 53) as f64)
}
