//! Tells sockets and streams of this node that their session has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::store::StoreKey;

/// Who waits for the end of which session.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<HashMap<StoreKey, Weak<Notify>>>>);

/// Waits for the end of a session on this node.
#[derive(Debug, Clone)]
pub(crate) struct Watching(Arc<Notify>);

impl Watch {
    /// Starts to watch a session.
    pub(crate) fn watch(&self, key: &StoreKey) -> Watching {
        let mut map = self.lock();
        // Forgets those whom nobody watches any more, when the map would have to grow.
        if map.len() == map.capacity() {
            map.retain(|_, watched| watched.strong_count() > 0);
        }
        if let Some(watched) = map.get(key).and_then(Weak::upgrade) {
            return Watching(watched);
        }
        let watched = Arc::new(Notify::new());
        map.insert(*key, Arc::downgrade(&watched));
        Watching(watched)
    }

    /// Wakes those who watch a session.
    pub(crate) fn ended(&self, key: &StoreKey) {
        let watched = self.lock().get(key).and_then(Weak::upgrade);
        if let Some(watched) = watched {
            watched.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, Weak<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// Returns a future that completes when the session ends on this node; it counts from the call on.
    pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.notified()
    }
}
