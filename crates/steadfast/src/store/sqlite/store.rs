//! The store: calls become jobs.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::config::SqliteOptions;
use super::db::Db;
use super::error::{DRIVER, failed};
use super::job::{IfDropped, Jobs, call};
use super::writer::Counters;
use super::{file, readers, writer, writes};
use crate::error::{ErrorKind, Result};
use crate::random::jittered;
use crate::store::waits::{Ticket, Waits};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::{Clock, Timestamp};

/// Pauses between two looks at a lease that another process may end: short at first, then longer.
const FIRST_POLL: Duration = Duration::from_millis(5);
const LAST_POLL: Duration = Duration::from_millis(20);

/// Keeps records in a SQLite database, which several processes of one machine can share.
///
/// A clone is another handle to the same threads. They end when the last handle is dropped, after all
/// that was asked of them is done.
///
/// # Cancel safety
///
/// A call whose future is dropped still happens once it has been polled, except an `acquire` whose turn
/// had not come.
///
/// # Examples
///
/// ```
/// use steadfast::store::sqlite::SqliteStore;
/// use steadfast::store::{Loaded, Store, StoreKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions.db");
/// let store = SqliteStore::open(path)?;
/// assert_eq!(store.load(&StoreKey::from_bytes([0; 16])).await?, Loaded::Missing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

/// What a store has written since it was opened, by [`SqliteStore::statistics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Calls that were committed. `load`, lists and `count` are none.
    pub operations: u64,
    /// Transactions in which they were committed: fewer than calls when many come at once.
    pub transactions: u64,
}

struct Shared {
    writes: Arc<Jobs>,
    reads: Arc<Jobs>,
    waits: Waits,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens a database with the default settings, and creates what is missing.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Returns settings to change before [`SqliteOptions::open`].
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    /// Counts what was written through this store, for metrics: the ratio is the size of the groups.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            operations: self.shared.counters.operations.load(Ordering::Relaxed),
            transactions: self.shared.counters.transactions.load(Ordering::Relaxed),
        }
    }

    /// Opens the connections and starts their threads. The settings were checked.
    pub(super) fn start(options: &SqliteOptions, path: &Path) -> Result<Self> {
        let path = file::absolute(path)?;
        // Made first: when a later step fails, dropping it ends the threads that run already.
        let shared = Shared {
            writes: Arc::new(Jobs::new()),
            reads: Arc::new(Jobs::new()),
            waits: Waits::default(),
            counters: Arc::default(),
            clock: Arc::clone(&options.clock),
        };
        let db = Db::new(file::open_writer(&path, options)?, Arc::clone(&options.clock));
        let (jobs, counters) = (Arc::clone(&shared.writes), Arc::clone(&shared.counters));
        let busy_timeout = options.busy_timeout;
        spawn("steadfast-sqlite-writer", move || writer::run(&db, &jobs, &counters, busy_timeout))?;
        for _ in 0..options.readers {
            let db = Db::new(file::open_reader(&path, options)?, Arc::clone(&options.clock));
            let jobs = Arc::clone(&shared.reads);
            spawn("steadfast-sqlite-reader", move || readers::run(&db, &jobs))?;
        }
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) async fn read<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Db) -> rusqlite::Result<T> + Send + 'static,
    {
        call(&self.shared.reads, IfDropped::Forget, operation).await
    }

    pub(super) async fn write<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Db) -> rusqlite::Result<T> + Send + 'static,
    {
        call(&self.shared.writes, IfDropped::Run, operation).await
    }

    /// Returns when the lease was ended in this process or is seen to be free.
    async fn lease_is_free(&self, key: StoreKey, ticket: &Ticket<'_>) {
        let mut pause = FIRST_POLL;
        loop {
            if tokio::time::timeout(jittered(pause), ticket.released()).await.is_ok() {
                return;
            }
            // An error is left to the acquire that follows.
            if !matches!(self.read(move |db| db.is_leased(&key)).await, Ok(true)) {
                return;
            }
            pause = LAST_POLL.min(pause * 2);
        }
    }
}

impl Store for SqliteStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.shared.clock.now())
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let key = *key;
        self.read(move |db| db.load(&key)).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let key = *key;
        // A lease that nobody knows of would keep others waiting until its time is over.
        call(&self.shared.writes, IfDropped::Forget, move |db| db.acquire(&key, lease)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let (key, record) = (*key, record.clone());
        self.write(move |db| db.create(&key, &record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let (its_key, record) = (*key, record.clone());
        let updated = self.write(move |db| db.update(&its_key, seen, &record, lease)).await?;
        if matches!(lease, LeaseEnd::Release(_)) {
            self.shared.waits.wake(key);
        }
        Ok(updated)
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let (its_key, new, record) = (*old, *new, record.clone());
        let frozen = match predecessor {
            Predecessor::Delete => None,
            Predecessor::Update(frozen) => Some(frozen.clone()),
        };
        let replaced = self.write(move |db| {
            let predecessor = frozen.as_ref().map_or(Predecessor::Delete, Predecessor::Update);
            db.replace(&its_key, seen, &predecessor, &new, &record)
        });
        let replaced = replaced.await?;
        self.shared.waits.wake(old);
        Ok(replaced)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let key = *key;
        self.write(move |db| db.touch(&key, expires_at)).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let key = *key;
        self.write(move |db| db.renew(&key, lease)).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        let its_key = *key;
        self.write(move |db| db.release(&its_key, token)).await?;
        self.shared.waits.wake(key);
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        let ticket = self.shared.waits.join(*key);
        // Both ends of the wait are followed by another acquire.
        let _ = tokio::time::timeout(wait, self.lease_is_free(*key, &ticket)).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let its_key = *key;
        let deleted = self.write(move |db| db.delete(&its_key, seen)).await?;
        self.shared.waits.wake(key);
        Ok(deleted)
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let its_key = *key;
        self.write(move |db| db.set_aside(&its_key)).await?;
        self.shared.waits.wake(key);
        Ok(())
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        let (user, after) = (*user, after.copied());
        self.read(move |db| db.of_user(&user, after.as_ref(), limit)).await
    }

    /// Deletes in transactions of a few records, so that other writers come in between.
    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        let mut deleted = 0;
        while deleted < limit.get() {
            let wanted = (limit.get() - deleted).min(writes::PURGE_BATCH);
            let now_deleted = self.write(move |db| db.purge(wanted)).await?;
            deleted += now_deleted;
            if now_deleted < wanted {
                break;
            }
        }
        Ok(deleted)
    }

    async fn count(&self) -> Result<u64> {
        self.read(Db::count).await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let after = after.copied();
        self.read(move |db| db.page(after.as_ref(), limit)).await
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.writes.close();
        self.reads.close();
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { writes, reads, waits, counters, clock } = &*self.shared;
        f.debug_struct("SqliteStore")
            .field("writes", writes)
            .field("reads", reads)
            .field("waits", waits)
            .field("counters", counters)
            .field("clock", clock)
            .finish()
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(|e| {
        failed(ErrorKind::Unavailable, "cannot start a thread: the machine's limit is reached").with_source(e)
    })
}
