//! Waking those who wait for a lease that a call of the same store ends, for drivers without locks that
//! wake by themselves.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::StoreKey;
use super::by_key::ByKey;

/// Who waits for which lease, in this process.
#[derive(Default)]
pub(super) struct Waits {
    by_key: Mutex<ByKey<Arc<Notify>>>,
}

impl Waits {
    /// Registers a waiter until the ticket is dropped.
    pub(super) fn join(&self, key: StoreKey) -> Ticket<'_> {
        let released = Arc::clone(self.lock().entry(key).or_default());
        Ticket { waits: self, key, released }
    }

    /// Wakes the one who has waited longest, if anybody waits.
    ///
    /// One, because one alone can take the lease; the others keep looking at their pace.
    pub(super) fn wake(&self, key: &StoreKey) {
        if let Some(released) = self.lock().get(key) {
            released.notify_one();
        }
    }

    /// Wakes one waiter of each lease: what would have woken them may have been missed.
    #[cfg(feature = "postgres")]
    pub(super) fn wake_all(&self) {
        self.lock().values().for_each(|released| released.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, ByKey<Arc<Notify>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits").field("keys", &self.lock().len()).finish()
    }
}

/// A place among those who wait for a lease.
pub(super) struct Ticket<'a> {
    waits: &'a Waits,
    key: StoreKey,
    released: Arc<Notify>,
}

impl Ticket<'_> {
    /// Returns when the lease was ended by a call in this process.
    pub(super) async fn released(&self) {
        self.released.notified().await;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut by_key = self.waits.lock();
        // The map's and this one: nobody else waits. Tickets are made and dropped under the lock.
        if Arc::strong_count(&self.released) == 2 {
            by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_release_wakes_one_waiter_and_leaves_nothing_behind() {
        let waits = Waits::default();
        let key = StoreKey::from_bytes([7; 16]);
        waits.wake(&key);
        let (first, second) = (waits.join(key), waits.join(key));
        waits.wake(&key);
        first.released().await;
        drop(first);
        waits.wake(&key);
        second.released().await;
        drop(second);
        assert!(waits.lock().is_empty());
    }
}
