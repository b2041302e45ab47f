//! Waiting for the end of a lease.

use std::time::Duration;

use tokio::time::timeout;

use super::MemoryStore;
use crate::store::StoreKey;

impl MemoryStore {
    /// Waits until the lease of a record is released, its record deleted, its time or `wait` over.
    pub(super) async fn wait_for_release(&self, key: &StoreKey, wait: Duration) {
        let now = self.now();
        // A statement of its own, so that the lock is free again before the wait.
        let registered = self.shard(key).wait(key, now);
        let Some((notified, held_until)) = registered else { return };
        let _place = Place { store: self, key };
        let left = held_until.saturating_since(now);
        // Woken or out of time: the caller acquires again either way.
        let _ = timeout(wait.min(left), notified).await;
    }
}

/// A place among the waiters of a key, given up when the wait ends or its future is dropped.
struct Place<'a> {
    store: &'a MemoryStore,
    key: &'a StoreKey,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.store.shard(self.key).stop_waiting(self.key);
    }
}
