//! Stands where a store would be: sessions that travel in cookies have none.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::{Clock, Timestamp};

/// The driver's name, as in the connection string.
pub(super) const DRIVER: &str = "cookie";

/// Refuses whatever needs a record.
#[derive(Debug)]
pub(crate) struct NoStore(pub(crate) Arc<dyn Clock>);

fn refuse<T>() -> Result<T> {
    let what =
        "sessions that travel in cookies are kept nowhere: they can't be listed, counted, locked or revoked";
    Err(Error::new(ErrorKind::Unsupported, what).in_driver(DRIVER))
}

impl Store for NoStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.0.now())
    }

    async fn load(&self, _: &StoreKey) -> Result<Loaded> {
        refuse()
    }

    async fn acquire(&self, _: &StoreKey, _: Lease) -> Result<Acquired> {
        refuse()
    }

    async fn create(&self, _: &StoreKey, _: &Record) -> Result<Created> {
        refuse()
    }

    async fn update(&self, _: &StoreKey, _: Version, _: &Record, _: LeaseEnd) -> Result<Updated> {
        refuse()
    }

    async fn replace(
        &self,
        _: &StoreKey,
        _: Version,
        _: Predecessor<'_>,
        _: &StoreKey,
        _: &Record,
    ) -> Result<Replaced> {
        refuse()
    }

    async fn touch(&self, _: &StoreKey, _: Timestamp) -> Result<Touched> {
        refuse()
    }

    async fn renew(&self, _: &StoreKey, _: Lease) -> Result<Renewed> {
        refuse()
    }

    async fn release(&self, _: &StoreKey, _: LeaseToken) -> Result<()> {
        refuse()
    }

    async fn released(&self, _: &StoreKey, _: Duration) {}

    async fn delete(&self, _: &StoreKey, _: Option<Version>) -> Result<Deleted> {
        refuse()
    }

    async fn set_aside(&self, _: &StoreKey) -> Result<()> {
        refuse()
    }

    async fn of_user(&self, _: &UserKey, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        refuse()
    }

    /// Nothing is there, so nothing has to be cleared away.
    async fn purge(&self, _: NonZeroUsize) -> Result<usize> {
        Ok(0)
    }

    async fn count(&self) -> Result<u64> {
        refuse()
    }

    async fn page(&self, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        refuse()
    }
}
