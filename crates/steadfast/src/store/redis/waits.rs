//! Waking those who wait for a lease, by messages of the server.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::store::StoreKey;
use crate::store::by_key::ByKey;

/// Who waits for which lease, through this store.
#[derive(Default)]
pub(in crate::store) struct Waits {
    by_key: Mutex<ByKey<Arc<Notify>>>,
}

impl Waits {
    /// Registers a waiter until the ticket is dropped.
    pub(super) fn join(&self, key: StoreKey) -> Ticket<'_> {
        let ended = Arc::clone(self.lock().entry(key).or_default());
        Ticket { waits: self, key, ended }
    }

    /// Takes what the server sent unasked: word of a lease that has ended, or the end of the connection.
    ///
    /// All who wait for the lease are woken. One gets it; the others ask the server to be told again, which
    /// it forgot when it told them.
    #[expect(clippy::unnecessary_wraps, reason = "the client library takes a closure that may fail")]
    pub(super) fn heard(&self, push: &PushInfo) -> Result<(), ()> {
        match (&push.kind, push.data.last()) {
            (PushKind::Message, Some(Value::BulkString(hex))) => {
                if let Some(key) = str::from_utf8(hex).ok().and_then(StoreKey::from_hex)
                    && let Some(ended) = self.lock().get(&key)
                {
                    ended.notify_waiters();
                }
            }
            // Whoever waits for a message would wait in vain.
            (PushKind::Disconnection, _) => self.lock().values().for_each(|ended| ended.notify_waiters()),
            _ => {}
        }
        Ok(())
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
    ended: Arc<Notify>,
}

impl Ticket<'_> {
    /// Returns a future of the next message about the lease. It counts from when it is enabled.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut by_key = self.waits.lock();
        // The map's and this one: nobody else waits. Tickets are made and dropped under the lock.
        if Arc::strong_count(&self.ended) == 2 {
            by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_of(key: &StoreKey) -> PushInfo {
        let data = vec![Value::BulkString(b"channel".into()), Value::BulkString(key.to_hex().into())];
        PushInfo { kind: PushKind::Message, data }
    }

    #[tokio::test]
    async fn a_message_wakes_those_who_wait_for_its_lease_and_leaves_nothing_behind() {
        let waits = Waits::default();
        let (key, other) = (StoreKey::from_bytes([7; 16]), StoreKey::from_bytes([8; 16]));
        let (first, second, else_where) = (waits.join(key), waits.join(key), waits.join(other));
        let mut woken = [Box::pin(first.ended()), Box::pin(second.ended())];
        let mut not_woken = Box::pin(else_where.ended());
        woken.iter_mut().for_each(|woken| assert!(!woken.as_mut().enable()));
        assert!(!not_woken.as_mut().enable());
        waits.heard(&word_of(&key)).expect("it never fails");
        assert!(woken.iter_mut().all(|woken| woken.as_mut().enable()));
        assert!(!not_woken.as_mut().enable());
        waits.heard(&PushInfo { kind: PushKind::Disconnection, data: Vec::new() }).expect("it never fails");
        assert!(not_woken.as_mut().enable());
        drop((woken, not_woken));
        drop((first, second, else_where));
        assert!(waits.lock().is_empty());
    }
}
