//! A store that fails, delays or forgets on command.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::faults::{Faults, Op};
use crate::error::Result;
use crate::store::{
    Acquired, Coverage, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// A store around another one that fails, delays or forgets on command, and counts what it is asked.
///
/// Without a command it behaves as the store inside. A clone is another handle to the same store, under
/// the same commands.
///
/// # Examples
///
/// ```
/// use steadfast::ErrorKind;
/// use steadfast::store::memory::MemoryStore;
/// use steadfast::store::{Store, StoreKey};
/// use steadfast::testing::{Fault, FaultyStore, Op};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FaultyStore::new(MemoryStore::new());
/// store.faults().fail_next(Op::Load, Fault::Refused, 1);
/// let key = StoreKey::from_bytes([7; 16]);
/// let refused = store.load(&key).await.map_err(|error| error.kind());
/// assert_eq!(refused, Err(ErrorKind::Unavailable));
/// let _missing = store.load(&key).await?;
/// assert_eq!(store.faults().calls(Op::Load), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    store: Arc<S>,
    faults: Faults,
    is_remote: bool,
}

impl<S: Store> FaultyStore<S> {
    /// Takes a store. Nothing is ordered yet.
    pub fn new(store: S) -> Self {
        let is_remote = store.is_remote();
        Self { store: Arc::new(store), faults: Faults::new(), is_remote }
    }

    /// Passes for a store across a network, which is guarded: deadline, second try, circuit breaker.
    #[must_use]
    pub fn remote(mut self) -> Self {
        self.is_remote = true;
        self
    }

    /// Returns the controls.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Loses a record, as a store does that evicts or fails over. Not counted as a call.
    ///
    /// # Errors
    ///
    /// Whatever the store inside returns.
    pub async fn forget(&self, key: &StoreKey) -> Result<Deleted> {
        self.store.delete(key, None).await
    }

    /// Loses all records. Not counted as calls.
    ///
    /// # Errors
    ///
    /// Whatever the store inside returns.
    pub async fn forget_all(&self) -> Result<()> {
        /// Bounds what is held in memory at once.
        const AT_ONCE: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");
        loop {
            let page = self.store.page(None, AT_ONCE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for listed in &page {
                // Missing is as good: somebody else deleted it meanwhile.
                let _ = self.store.delete(&listed.key, None).await?;
            }
        }
    }

    async fn call<T>(&self, op: Op, effect: impl Future<Output = Result<T>>) -> Result<T> {
        let driver = self.store.driver();
        self.faults.before(op).await.map_err(|error| error.in_driver(driver))?;
        let outcome = effect.await;
        self.faults.after(op).await.map_err(|error| error.in_driver(driver))?;
        outcome
    }
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        let Self { store, faults, is_remote } = self;
        Self { store: Arc::clone(store), faults: faults.clone(), is_remote: *is_remote }
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn driver(&self) -> &'static str {
        self.store.driver()
    }

    fn coverage(&self) -> Coverage {
        self.store.coverage()
    }

    fn is_remote(&self) -> bool {
        self.is_remote
    }

    fn keeps_order(&self) -> bool {
        self.store.keeps_order()
    }

    fn clock_slack(&self) -> Duration {
        self.store.clock_slack()
    }

    fn fault_domain(&self, key: &StoreKey) -> usize {
        self.store.fault_domain(key)
    }

    async fn now(&self) -> Result<Timestamp> {
        self.call(Op::Now, self.store.now()).await
    }

    async fn settle(&self, key: &StoreKey) -> Result<()> {
        self.call(Op::Settle, self.store.settle(key)).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        self.call(Op::Load, self.store.load(key)).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        self.call(Op::Acquire, self.store.acquire(key, lease)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        self.call(Op::Create, self.store.create(key, record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        self.call(Op::Update, self.store.update(key, seen, record, lease)).await
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        self.call(Op::Replace, self.store.replace(old, seen, predecessor, new, record)).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        self.call(Op::Touch, self.store.touch(key, expires_at)).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        self.call(Op::Renew, self.store.renew(key, lease)).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.call(Op::Release, self.store.release(key, token)).await
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        let wait_inside = async {
            self.store.released(key, wait).await;
            Ok(())
        };
        // A wait can't fail; one that was told to ends early, which a waiter must put up with anyway.
        let _ = self.call(Op::Released, wait_inside).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        self.call(Op::Delete, self.store.delete(key, seen)).await
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.call(Op::SetAside, self.store.set_aside(key)).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        self.call(Op::OfUser, self.store.of_user(user, after, limit)).await
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.call(Op::Purge, self.store.purge(limit)).await
    }

    async fn count(&self) -> Result<u64> {
        self.call(Op::Count, self.store.count()).await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        self.call(Op::Page, self.store.page(after, limit)).await
    }

    async fn sample(&self, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        self.call(Op::Page, self.store.sample(limit)).await
    }
}
