//! The store: calls become statements on the connection of their key.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clients::{Role, Source};
use super::config::PostgresOptions;
use super::error::DRIVER;
use super::names::Names;
use super::schema::Contents;
use super::slot::Slot;
use super::{reads, released, schema, writes};
use crate::error::Result;
use crate::store::waits::Waits;
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// Keeps records in a table of a PostgreSQL database, which any number of machines can share.
///
/// A clone is another handle to the same connections. They are closed when the last handle is dropped.
///
/// # Cancel safety
///
/// A call whose future is dropped still happens once it has been sent: when it was polled on a connection
/// that was there.
///
/// # Examples
///
/// ```no_run
/// use steadfast::store::postgres::PostgresStore;
/// use steadfast::store::{Loaded, Store, StoreKey};
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = PostgresStore::options().user("app").password("secret").open().await?;
/// assert_eq!(store.load(&StoreKey::from_bytes([0; 16])).await?, Loaded::Missing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// For requests. A key always goes to the same one: two writers of a record then follow each other there,
    /// instead of one of them holding up a connection while it waits for the other's lock.
    requests: Vec<Slot>,
    /// For lists, counts, purges and notifications.
    service: Slot,
    waits: Arc<Waits>,
    /// Whether connections of the store's own are to listen.
    listen: bool,
    /// Up to where the last purge looked at records whose hour is not over.
    purged_to: Mutex<Option<StoreKey>>,
    next_slot: AtomicUsize,
}

impl PostgresStore {
    /// Returns settings to change before [`PostgresOptions::open`].
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    /// Connects and looks at the tables. The settings were checked.
    pub(super) async fn start(
        options: &PostgresOptions,
        names: &Names,
        source: Box<dyn Source>,
        waits: Arc<Waits>,
    ) -> Result<Self> {
        let opening = options.opening(names, source);
        let service = Slot::new(Role::Service, &opening);
        let connection = service.connection().await?;
        if schema::inspect(&connection, names).await? == Contents::Missing {
            return Err(names.missing());
        }
        let listen = connection.listens();
        let requests: Vec<_> =
            (0..options.number_of_connections()).map(|_| Slot::new(Role::Requests, &opening)).collect();
        for slot in &requests {
            slot.connection().await?;
        }
        let (purged_to, next_slot) = (Mutex::new(None), AtomicUsize::new(0));
        Ok(Self { shared: Arc::new(Shared { requests, service, waits, listen, purged_to, next_slot }) })
    }

    fn slot(&self, key: &StoreKey) -> &Slot {
        let slots = &self.shared.requests;
        let own = usize::from(key.as_bytes()[15]) % slots.len();
        if !slots[own].is_busy() {
            return &slots[own];
        }
        slots.iter().find(|slot| !slot.is_busy()).unwrap_or(&slots[own])
    }

    fn service(&self) -> &Slot {
        &self.shared.service
    }

    /// Deletes what has expired in the present hour: looks at a bounded number of records, from where the
    /// last purge stopped. What is missed is found when its hour is over.
    async fn purge_some(&self, limit: NonZeroUsize) -> Result<usize> {
        let after = *self.shared.purged_to.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, deleted) = writes::purge_among(self.service(), after.as_ref(), limit).await?;
        *self.shared.purged_to.lock().unwrap_or_else(PoisonError::into_inner) = last;
        Ok(deleted)
    }
}

impl Store for PostgresStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    async fn now(&self) -> Result<Timestamp> {
        let slots = &self.shared.requests;
        reads::now(&slots[self.shared.next_slot.fetch_add(1, Ordering::Relaxed) % slots.len()]).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        reads::load(self.slot(key), key).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        writes::acquire(self.slot(key), key, lease).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        writes::create(self.slot(key), key, record).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let updated = writes::update(self.slot(key), key, seen, record, lease).await?;
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
        let replaced = writes::replace(self.slot(old), old, seen, predecessor, new, record).await?;
        self.shared.waits.wake(old);
        Ok(replaced)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        writes::touch(self.slot(key), key, expires_at).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        writes::renew(self.slot(key), key, lease).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        writes::release(self.slot(key), key, token).await?;
        self.shared.waits.wake(key);
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        let Shared { service, waits, listen, .. } = &*self.shared;
        let ticket = waits.join(*key);
        let free = released::lease_is_free(self.slot(key), service, key, &ticket, *listen);
        // Both ends of the wait are followed by another acquire.
        let _ = tokio::time::timeout(wait, free).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let deleted = writes::delete(self.slot(key), key, seen).await?;
        self.shared.waits.wake(key);
        Ok(deleted)
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        writes::set_aside(self.slot(key), key).await?;
        self.shared.waits.wake(key);
        Ok(())
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        reads::of_user(self.service(), user, after, limit).await
    }

    /// Deletes by statements of at most 500 records, so that no lock is held for long.
    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        let mut deleted = 0;
        while let Some(room) = NonZeroUsize::new(limit.get() - deleted) {
            let now_deleted = writes::purge_past_hours(self.service(), room.get()).await?;
            deleted += now_deleted;
            if now_deleted < room.get().min(writes::PURGE_BATCH) {
                break;
            }
        }
        match NonZeroUsize::new(limit.get() - deleted) {
            Some(room) => Ok(deleted + self.purge_some(room).await?),
            None => Ok(deleted),
        }
    }

    async fn count(&self) -> Result<u64> {
        reads::number_of_records(self.service()).await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        reads::page(self.service(), after, limit).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { requests, service, waits, listen, purged_to: _, next_slot: _ } = &*self.shared;
        f.debug_struct("PostgresStore")
            .field("requests", requests)
            .field("service", service)
            .field("waits", waits)
            .field("listen", listen)
            .finish()
    }
}
