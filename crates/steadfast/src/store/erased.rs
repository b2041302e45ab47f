//! A store without its type, so that a session carries no type parameter.
//!
//! [`Store`] returns plain futures, which makes a driver easy to write; this boxes them, once per call. Not those
//! of the memory driver: there the box would cost more than the call.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::memory::MemoryStore;
use super::{
    Acquired, Coverage, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::error::Result;
use crate::time::Timestamp;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A driver behind a pointer: cheap to clone, without a type parameter, a [`Store`] itself.
#[derive(Clone)]
pub struct SharedStore(Kind);

#[derive(Clone)]
enum Kind {
    Memory(MemoryStore),
    Other(Arc<dyn Erased>),
}

/// Calls a method of the store, whatever it is.
macro_rules! call {
    ($store:ident.$method:ident($($argument:expr),*)) => {
        match &$store.0 {
            Kind::Memory(store) => Store::$method(store, $($argument),*),
            Kind::Other(store) => store.$method($($argument),*),
        }
    };
    ($store:ident.$method:ident($($argument:expr),*).await) => {
        match &$store.0 {
            Kind::Memory(store) => Store::$method(store, $($argument),*).await,
            Kind::Other(store) => store.$method($($argument),*).await,
        }
    };
}

impl SharedStore {
    /// Takes a driver.
    pub fn new(store: impl Store) -> Self {
        let known = (&store as &dyn Any).downcast_ref::<MemoryStore>().cloned();
        Self(known.map_or_else(|| Kind::Other(Arc::new(store)), Kind::Memory))
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Memory(store) => store.fmt(f),
            Kind::Other(store) => store.fmt(f),
        }
    }
}

trait Erased: fmt::Debug + Send + Sync {
    fn driver(&self) -> &'static str;
    fn coverage(&self) -> Coverage;
    fn is_remote(&self) -> bool;
    fn keeps_order(&self) -> bool;
    fn clock_slack(&self) -> Duration;
    fn fault_domain(&self, key: &StoreKey) -> usize;
    fn now(&self) -> Boxed<'_, Result<Timestamp>>;
    fn settle<'a>(&'a self, key: &'a StoreKey) -> Boxed<'a, Result<()>>;
    fn released<'a>(&'a self, key: &'a StoreKey, wait: Duration) -> Boxed<'a, ()>;
    fn load<'a>(&'a self, key: &'a StoreKey) -> Boxed<'a, Result<Loaded>>;
    fn acquire<'a>(&'a self, key: &'a StoreKey, lease: Lease) -> Boxed<'a, Result<Acquired>>;
    fn create<'a>(&'a self, key: &'a StoreKey, record: &'a Record) -> Boxed<'a, Result<Created>>;
    fn update<'a>(
        &'a self,
        key: &'a StoreKey,
        seen: Version,
        record: &'a Record,
        lease: LeaseEnd,
    ) -> Boxed<'a, Result<Updated>>;
    fn replace<'a>(
        &'a self,
        old: &'a StoreKey,
        seen: Version,
        predecessor: Predecessor<'a>,
        new: &'a StoreKey,
        record: &'a Record,
    ) -> Boxed<'a, Result<Replaced>>;
    fn touch<'a>(&'a self, key: &'a StoreKey, expires_at: Timestamp) -> Boxed<'a, Result<Touched>>;
    fn renew<'a>(&'a self, key: &'a StoreKey, lease: Lease) -> Boxed<'a, Result<Renewed>>;
    fn release<'a>(&'a self, key: &'a StoreKey, token: LeaseToken) -> Boxed<'a, Result<()>>;
    fn delete<'a>(&'a self, key: &'a StoreKey, seen: Option<Version>) -> Boxed<'a, Result<Deleted>>;
    fn set_aside<'a>(&'a self, key: &'a StoreKey) -> Boxed<'a, Result<()>>;
    fn of_user<'a>(
        &'a self,
        user: &'a UserKey,
        after: Option<&'a StoreKey>,
        limit: NonZeroUsize,
    ) -> Boxed<'a, Result<Vec<Listed>>>;
    fn purge<'a>(&'a self, limit: NonZeroUsize) -> Boxed<'a, Result<usize>>;
    fn count<'a>(&'a self) -> Boxed<'a, Result<u64>>;
    fn sample(&self, limit: NonZeroUsize) -> Boxed<'_, Result<Vec<Listed>>>;
    fn page<'a>(&'a self, after: Option<&'a StoreKey>, limit: NonZeroUsize)
    -> Boxed<'a, Result<Vec<Listed>>>;
}

impl<S: Store> Erased for S {
    fn driver(&self) -> &'static str {
        Store::driver(self)
    }

    fn coverage(&self) -> Coverage {
        Store::coverage(self)
    }

    fn is_remote(&self) -> bool {
        Store::is_remote(self)
    }

    fn keeps_order(&self) -> bool {
        Store::keeps_order(self)
    }

    fn clock_slack(&self) -> Duration {
        Store::clock_slack(self)
    }

    fn fault_domain(&self, key: &StoreKey) -> usize {
        Store::fault_domain(self, key)
    }

    fn now(&self) -> Boxed<'_, Result<Timestamp>> {
        Box::pin(Store::now(self))
    }

    fn settle<'a>(&'a self, key: &'a StoreKey) -> Boxed<'a, Result<()>> {
        Box::pin(Store::settle(self, key))
    }

    fn released<'a>(&'a self, key: &'a StoreKey, wait: Duration) -> Boxed<'a, ()> {
        Box::pin(Store::released(self, key, wait))
    }

    fn load<'a>(&'a self, key: &'a StoreKey) -> Boxed<'a, Result<Loaded>> {
        Box::pin(Store::load(self, key))
    }

    fn acquire<'a>(&'a self, key: &'a StoreKey, lease: Lease) -> Boxed<'a, Result<Acquired>> {
        Box::pin(Store::acquire(self, key, lease))
    }

    fn create<'a>(&'a self, key: &'a StoreKey, record: &'a Record) -> Boxed<'a, Result<Created>> {
        Box::pin(Store::create(self, key, record))
    }

    fn update<'a>(
        &'a self,
        key: &'a StoreKey,
        seen: Version,
        record: &'a Record,
        lease: LeaseEnd,
    ) -> Boxed<'a, Result<Updated>> {
        Box::pin(Store::update(self, key, seen, record, lease))
    }

    fn replace<'a>(
        &'a self,
        old: &'a StoreKey,
        seen: Version,
        predecessor: Predecessor<'a>,
        new: &'a StoreKey,
        record: &'a Record,
    ) -> Boxed<'a, Result<Replaced>> {
        Box::pin(Store::replace(self, old, seen, predecessor, new, record))
    }

    fn touch<'a>(&'a self, key: &'a StoreKey, expires_at: Timestamp) -> Boxed<'a, Result<Touched>> {
        Box::pin(Store::touch(self, key, expires_at))
    }

    fn renew<'a>(&'a self, key: &'a StoreKey, lease: Lease) -> Boxed<'a, Result<Renewed>> {
        Box::pin(Store::renew(self, key, lease))
    }

    fn release<'a>(&'a self, key: &'a StoreKey, token: LeaseToken) -> Boxed<'a, Result<()>> {
        Box::pin(Store::release(self, key, token))
    }

    fn delete<'a>(&'a self, key: &'a StoreKey, seen: Option<Version>) -> Boxed<'a, Result<Deleted>> {
        Box::pin(Store::delete(self, key, seen))
    }

    fn set_aside<'a>(&'a self, key: &'a StoreKey) -> Boxed<'a, Result<()>> {
        Box::pin(Store::set_aside(self, key))
    }

    fn of_user<'a>(
        &'a self,
        user: &'a UserKey,
        after: Option<&'a StoreKey>,
        limit: NonZeroUsize,
    ) -> Boxed<'a, Result<Vec<Listed>>> {
        Box::pin(Store::of_user(self, user, after, limit))
    }

    fn purge<'a>(&'a self, limit: NonZeroUsize) -> Boxed<'a, Result<usize>> {
        Box::pin(Store::purge(self, limit))
    }

    fn count<'a>(&'a self) -> Boxed<'a, Result<u64>> {
        Box::pin(Store::count(self))
    }

    fn page<'a>(
        &'a self,
        after: Option<&'a StoreKey>,
        limit: NonZeroUsize,
    ) -> Boxed<'a, Result<Vec<Listed>>> {
        Box::pin(Store::page(self, after, limit))
    }

    fn sample(&self, limit: NonZeroUsize) -> Boxed<'_, Result<Vec<Listed>>> {
        Box::pin(Store::sample(self, limit))
    }
}

impl Store for SharedStore {
    fn driver(&self) -> &'static str {
        call!(self.driver())
    }

    fn coverage(&self) -> Coverage {
        call!(self.coverage())
    }

    fn is_remote(&self) -> bool {
        call!(self.is_remote())
    }

    fn keeps_order(&self) -> bool {
        call!(self.keeps_order())
    }

    fn clock_slack(&self) -> Duration {
        call!(self.clock_slack())
    }

    fn fault_domain(&self, key: &StoreKey) -> usize {
        call!(self.fault_domain(key))
    }

    async fn now(&self) -> Result<Timestamp> {
        call!(self.now().await)
    }

    async fn settle(&self, key: &StoreKey) -> Result<()> {
        call!(self.settle(key).await)
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        call!(self.released(key, wait).await);
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        call!(self.load(key).await)
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        call!(self.acquire(key, lease).await)
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        call!(self.create(key, record).await)
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        call!(self.update(key, seen, record, lease).await)
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        call!(self.replace(old, seen, predecessor, new, record).await)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        call!(self.touch(key, expires_at).await)
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        call!(self.renew(key, lease).await)
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        call!(self.release(key, token).await)
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        call!(self.delete(key, seen).await)
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        call!(self.set_aside(key).await)
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        call!(self.of_user(user, after, limit).await)
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        call!(self.purge(limit).await)
    }

    async fn count(&self) -> Result<u64> {
        call!(self.count().await)
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        call!(self.page(after, limit).await)
    }

    async fn sample(&self, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        call!(self.sample(limit).await)
    }
}
