//! The `memory` driver: records in this process, gone when it ends.
//!
//! Choose it for tests, for development, and for a single process whose sessions may end with it. For
//! several processes, or for sessions that outlive a restart, choose `files`, `sqlite` or a networked
//! driver.
//!
//! # What it guarantees
//!
//! - Every call finishes at its first poll, except [`released`](Store::released), which waits to be woken.
//! - All handles (clones) see each write at once; both sides of a [`replace`](Store::replace) and the
//!   index entries change in the same step as their records.
//! - A load copies no payload and holds up only writers of the same 256th of the keys.
//! - It keeps no more than its records: nothing in the background, no log, no history. A record costs its
//!   payload and 160 to 280 bytes (its tables grow by doubling); one that is bound to a user, 50 more.
//!
//! # What it does not
//!
//! - It keeps nothing for an operator: [`set_aside`](Store::set_aside) drops the record.
//! - It sets no limit on the number of records. What expires is freed by [`purge`](Store::purge) only.

mod released;
mod shard;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::error::Result;
use crate::time::{Clock, SystemClock, Timestamp};

use shard::Shard;

/// How many shards there are: one for each first byte of a key, so that shards are in the order of keys.
///
/// Enough that cores rarely meet at one, and that a sweep through one of them is short.
const SHARDS: usize = 256;

/// How many records a purge looks at for each one it may delete.
const LOOKED_AT_PER_PURGED: usize = 16;

/// Keeps records in this process. A clone is another handle to the same records.
///
/// # Examples
///
/// ```
/// use steadfast::store::memory::MemoryStore;
/// use steadfast::store::{Loaded, Store, StoreKey};
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = MemoryStore::new();
/// let key = StoreKey::from_bytes([7; 16]);
/// assert_eq!(store.load(&key).await?, Loaded::Missing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    shards: Box<[Slot]>,
    /// The shard at which the next purge goes on.
    sweep: AtomicUsize,
}

/// A shard on cache lines of its own, so that cores don't slow each other down at neighbouring ones.
#[derive(Default)]
#[repr(align(64))]
struct Slot(Mutex<Shard>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        // Nothing that can panic runs between two changes of a shard, so a poisoned one is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// Makes an empty store that goes by the clock of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// Makes an empty store that goes by a clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let shards = std::iter::repeat_with(Slot::default).take(SHARDS).collect();
        Self(Arc::new(Inner { clock, shards, sweep: AtomicUsize::new(0) }))
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        self.0.shards[shard_of(key)].lock()
    }

    /// Returns the shards from the one that can hold keys after `after` to the last.
    fn shards_after(&self, after: Option<&StoreKey>) -> &[Slot] {
        &self.0.shards[after.map_or(0, shard_of)..]
    }

    fn replace_now(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: &Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Replaced {
        let (from, to) = (shard_of(old), shard_of(new));
        if from == to {
            let mut shard = self.0.shards[from].lock();
            if shard.has(new) {
                return Replaced::IdTaken;
            }
            let replaced = shard.give_way(old, seen, predecessor);
            if replaced == Replaced::Stored {
                shard.insert(*new, record);
            }
            return replaced;
        }
        // Both locks are taken in the order of the shards, so two replacements can't wait for each other.
        let mut low = self.0.shards[from.min(to)].lock();
        let mut high = self.0.shards[from.max(to)].lock();
        let (old_shard, new_shard) = if from < to { (&mut low, &mut high) } else { (&mut high, &mut low) };
        if new_shard.has(new) {
            return Replaced::IdTaken;
        }
        let replaced = old_shard.give_way(old, seen, predecessor);
        if replaced == Replaced::Stored {
            new_shard.insert(*new, record);
        }
        replaced
    }
}

fn shard_of(key: &StoreKey) -> usize {
    usize::from(key.as_bytes()[0])
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn driver(&self) -> &'static str {
        "memory"
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.0.clock.now())
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let now = self.now();
        let record = self.shard(key).read(key);
        Ok(record.map_or(Loaded::Missing, |record| Loaded::Found(Found { record, now })))
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let now = self.now();
        Ok(self.shard(key).acquire(key, lease, now))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let mut shard = self.shard(key);
        if shard.has(key) {
            return Ok(Created::IdTaken);
        }
        shard.insert(*key, record);
        Ok(Created::Stored)
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let now = self.now();
        Ok(self.shard(key).update(key, seen, record, lease, now))
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        Ok(self.replace_now(old, seen, &predecessor, new, record))
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        Ok(self.shard(key).touch(key, expires_at))
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let now = self.now();
        Ok(self.shard(key).renew(key, lease, now))
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.shard(key).release(key, token);
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        self.wait_for_release(key, wait).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        Ok(self.shard(key).delete(key, seen))
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.shard(key).remove(key);
        Ok(())
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for shard in self.shards_after(after) {
            shard.lock().list_user(user, after, limit.get(), &mut listed);
            if listed.len() == limit.get() {
                break;
            }
        }
        Ok(listed)
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        let (now, limit) = (self.now(), limit.get());
        let mut left_to_look_at = limit.saturating_mul(LOOKED_AT_PER_PURGED);
        let mut purged = 0;
        for _ in 0..SHARDS {
            let at = self.0.sweep.load(Ordering::Relaxed) % SHARDS;
            let mut shard = self.0.shards[at].lock();
            left_to_look_at = left_to_look_at.saturating_sub(shard.len());
            purged += shard.purge(now, limit - purged);
            if purged == limit {
                // This shard may hold more, so the next call looks at it again.
                break;
            }
            self.0.sweep.store(at + 1, Ordering::Relaxed);
            if left_to_look_at == 0 {
                break;
            }
        }
        Ok(purged)
    }

    async fn count(&self) -> Result<u64> {
        let records: usize = self.0.shards.iter().map(|shard| shard.lock().len()).sum();
        Ok(records.try_into().unwrap_or(u64::MAX))
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for shard in self.shards_after(after) {
            shard.lock().list(after, limit.get(), &mut listed);
            if listed.len() == limit.get() {
                break;
            }
        }
        Ok(listed)
    }
}
