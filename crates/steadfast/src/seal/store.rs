//! A store whose records are sealed at rest, whatever its driver.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::KeyRing;
use super::record::RecordSealer;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Sealing;
use crate::store::{
    Acquired, Coverage, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor,
    Record, Renewed, Replaced, SharedStore, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// Records that are looked at when a store is opened: enough to notice a wrong key ring, cheap for any store.
const LOOKED_AT: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

/// A store that seals what it hands to a driver, and opens what it gets back.
///
/// The driver, and whoever reads its disk or its backups, sees keys, versions, deadlines and digests of users,
/// and no values. A policy with a [key ring](crate::PolicyBuilder::key_ring) puts it around the driver by
/// itself; tools that read a store without sessions use it directly.
///
/// # Errors
///
/// A record whose key is missing is [`KeyMissing`](ErrorKind::KeyMissing), one that was changed or moved by
/// somebody without a key is [`Forged`](ErrorKind::Forged). Both stay as they are. Lists hold them, sealed:
/// whoever ends the sessions of a user must not miss any.
///
/// # Examples
///
/// ```
/// use steadfast::KeyRing;
/// use steadfast::store::memory::MemoryStore;
/// use steadfast::store::{SealedStore, Store};
///
/// # fn main() -> Result<(), steadfast::Error> {
/// let ring = KeyRing::from_text("1vBTuoQU1GAXp1ImVOp2HQYGOYdvKtdXZ6SVGuTJxCU=")?;
/// let store = SealedStore::new(MemoryStore::new(), &ring);
/// assert_eq!(store.driver(), "memory");
/// # Ok(())
/// # }
/// ```
pub struct SealedStore<S> {
    inner: S,
    sealer: RecordSealer,
}

impl<S: Store> SealedStore<S> {
    /// Puts the seal around a store.
    pub fn new(inner: S, ring: &KeyRing) -> Self {
        Self { inner, sealer: RecordSealer::new(ring) }
    }

    /// Refuses records that are not sealed, which are read otherwise.
    #[must_use]
    pub fn refuse_unsealed(mut self) -> Self {
        self.sealer.refuse_unsealed();
        self
    }

    fn seal(&self, key: &StoreKey, record: &Record) -> Record {
        let Record { payload, version, expires_at, user } = record;
        let payload = self.sealer.seal(key, payload);
        Record { payload, version: *version, expires_at: *expires_at, user: *user }
    }

    fn unseal(&self, key: &StoreKey, found: Found) -> Result<Found> {
        let Found { record, now } = found;
        let payload = self.sealer.unseal(key, record.payload);
        let payload = payload.map_err(|error| error.in_driver(self.inner.driver()))?;
        Ok(Found { record: Record { payload, ..record }, now })
    }

    /// Opens what can be opened, and leaves the rest as it is.
    fn unseal_list(&self, mut list: Vec<Listed>) -> Vec<Listed> {
        for Listed { key, record } in &mut list {
            if let Ok(payload) = self.sealer.unseal(key, record.payload.clone()) {
                record.payload = payload;
            }
        }
        list
    }
}

impl<S: Store> Store for SealedStore<S> {
    fn driver(&self) -> &'static str {
        self.inner.driver()
    }

    fn is_remote(&self) -> bool {
        self.inner.is_remote()
    }

    fn keeps_order(&self) -> bool {
        self.inner.keeps_order()
    }

    fn clock_slack(&self) -> Duration {
        self.inner.clock_slack()
    }

    fn fault_domain(&self, key: &StoreKey) -> usize {
        self.inner.fault_domain(key)
    }

    fn coverage(&self) -> Coverage {
        self.inner.coverage()
    }

    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }

    async fn settle(&self, key: &StoreKey) -> Result<()> {
        self.inner.settle(key).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        Ok(match self.inner.load(key).await? {
            Loaded::Found(found) => Loaded::Found(self.unseal(key, found)?),
            Loaded::Missing => Loaded::Missing,
        })
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        Ok(match self.inner.acquire(key, lease).await? {
            Acquired::Held(found) => Acquired::Held(self.unseal(key, found)?),
            other => other,
        })
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        self.inner.create(key, &self.seal(key, record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        self.inner.update(key, seen, &self.seal(key, record), lease).await
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let record = self.seal(new, record);
        match predecessor {
            Predecessor::Delete => self.inner.replace(old, seen, Predecessor::Delete, new, &record).await,
            Predecessor::Update(left) => {
                let left = self.seal(old, left);
                self.inner.replace(old, seen, Predecessor::Update(&left), new, &record).await
            }
        }
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        self.inner.touch(key, expires_at).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        self.inner.renew(key, lease).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.inner.release(key, token).await
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        self.inner.released(key, wait).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        self.inner.delete(key, seen).await
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.inner.set_aside(key).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        Ok(self.unseal_list(self.inner.of_user(user, after, limit).await?))
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.inner.purge(limit).await
    }

    async fn count(&self) -> Result<u64> {
        self.inner.count().await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(self.unseal_list(self.inner.page(after, limit).await?))
    }

    async fn sample(&self, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(self.unseal_list(self.inner.sample(limit).await?))
    }
}

impl<S: fmt::Debug> fmt::Debug for SealedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealedStore").field(&self.inner).finish()
    }
}

/// Puts the seal around a store, if there are keys for it; without any, nothing is in the way.
pub(crate) fn wrap(store: SharedStore, sealing: &Sealing) -> SharedStore {
    let Sealing { ring: Some(ring), refuse_unsealed } = sealing else { return store };
    let sealed = SealedStore::new(store, ring);
    SharedStore::new(if *refuse_unsealed { sealed.refuse_unsealed() } else { sealed })
}

/// Looks at a few records of a store that was just opened, and refuses to go on if a living one is sealed under
/// a key that is not there.
///
/// A store that does not answer is not judged here: each request tells.
pub(crate) async fn check_at_start(store: &SharedStore, ring: Option<&KeyRing>) -> Result<()> {
    let (Ok(listed), Ok(now)) = (store.sample(LOOKED_AT).await, store.now().await) else { return Ok(()) };
    let sealer = ring.map(RecordSealer::new);
    for Listed { key, record } in listed.into_iter().filter(|listed| now < listed.record.expires_at) {
        let opened = match &sealer {
            Some(sealer) => sealer.unseal(&key, record.payload).map(drop),
            None => crate::record::decode(&record.payload).map(drop),
        };
        if let Err(error) = opened
            && error.kind() == ErrorKind::KeyMissing
        {
            let what = "the store holds sessions that the key ring can't open; nothing was changed";
            return Err(Error::new(ErrorKind::InvalidConfig, what).with_source(error));
        }
    }
    Ok(())
}
