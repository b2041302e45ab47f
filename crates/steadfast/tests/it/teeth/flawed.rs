//! A driver with one flaw.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use steadfast::store::memory::MemoryStore;
use steadfast::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use steadfast::testing::ManualClock;
use steadfast::{Result, Timestamp};

/// What is wrong with a driver. Most are mistakes that session libraries have made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    None,
    UpdateCreates,
    UpdateIgnoresTheVersion,
    UpdateIsTorn,
    UpdateEndsAnyLease,
    UpdateForgetsTheLease,
    UpdateKeepsTheUser,
    CreateOverwrites,
    AcquireCreates,
    AcquireIgnoresTheHolder,
    AcquireRefusesTheHolder,
    LeasesNeverEnd,
    ReleaseIgnoresTheToken,
    ReleaseDoesNothing,
    RenewOnlyPretends,
    ReleasedNeverReturns,
    TouchChangesTheVersion,
    TouchOnlyMovesLater,
    TouchCreates,
    ReplaceLeavesTheNewRecord,
    ReplaceLeavesTheOldRecord,
    ReplaceOverwritesATakenKey,
    DeleteLeavesTheRecord,
    DeleteIgnoresTheVersion,
    PurgeIgnoresItsLimit,
    PurgeDeletesEverything,
    PurgeDoesNothing,
    OfUserListsEverybody,
    OfUserIgnoresAfter,
    OfUserIgnoresItsLimit,
    PageIgnoresAfter,
    PayloadsEndAtANul,
    PayloadsAreCut,
}

/// The memory driver, with a flaw.
#[derive(Clone, Debug)]
pub(super) struct Flawed {
    store: MemoryStore,
    flaw: Flaw,
}

impl Flawed {
    pub(super) fn new(flaw: Flaw, clock: &ManualClock) -> Self {
        Self { store: MemoryStore::with_clock(Arc::new(clock.clone())), flaw }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn damaged(&self, record: &Record) -> Record {
        let mut record = record.clone();
        if self.has(Flaw::PayloadsAreCut) {
            record.payload.truncate(65_535);
        }
        if self.has(Flaw::PayloadsEndAtANul)
            && let Some(end) = record.payload.iter().position(|byte| *byte == 0)
        {
            record.payload.truncate(end);
        }
        record
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Record>> {
        match self.store.load(key).await? {
            Loaded::Found(found) => Ok(Some(found.record)),
            Loaded::Missing => Ok(None),
        }
    }

    async fn end_any_lease(&self, key: &StoreKey) -> Result<()> {
        let Some(record) = self.read(key).await? else { return Ok(()) };
        let _ = self.store.delete(key, None).await?;
        let _ = self.store.create(key, &record).await?;
        Ok(())
    }

    async fn write_half(&self, key: &StoreKey, seen: Version, record: &Record) -> Result<Version> {
        let half = record.payload.slice(..record.payload.len() / 2);
        let torn = Record { payload: half, version: Version::fresh(), ..record.clone() };
        let written = self.store.update(key, seen, &torn, LeaseEnd::None).await?;
        tokio::task::yield_now().await;
        Ok(if written == Updated::Stored { torn.version } else { seen })
    }
}

impl Store for Flawed {
    fn driver(&self) -> &'static str {
        "flawed"
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn now(&self) -> Result<Timestamp> {
        self.store.now().await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        self.store.load(key).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let lease =
            if self.has(Flaw::LeasesNeverEnd) { Lease { ttl: Duration::MAX, ..lease } } else { lease };
        let comes_again = self.has(Flaw::AcquireRefusesTheHolder)
            && self.store.renew(key, Lease { ttl: Duration::MAX, ..lease }).await? == Renewed::Extended;
        if comes_again {
            return Ok(Acquired::Busy);
        }
        match self.store.acquire(key, lease).await? {
            Acquired::Missing if self.has(Flaw::AcquireCreates) => {
                let _ = self.store.create(key, &placeholder()).await?;
                self.store.acquire(key, lease).await
            }
            Acquired::Busy if self.has(Flaw::AcquireIgnoresTheHolder) => match self.store.load(key).await? {
                Loaded::Found(found) => Ok(Acquired::Held(found)),
                Loaded::Missing => Ok(Acquired::Missing),
            },
            acquired => Ok(acquired),
        }
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        if self.has(Flaw::CreateOverwrites) {
            let _ = self.store.delete(key, None).await?;
        }
        self.store.create(key, &self.damaged(record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let (mut record, mut seen) = (self.damaged(record), seen);
        if let Some(present) = self.read(key).await? {
            match self.flaw {
                Flaw::UpdateKeepsTheUser => record.user = present.user,
                Flaw::UpdateIgnoresTheVersion => seen = present.version,
                Flaw::UpdateIsTorn => seen = self.write_half(key, seen, &record).await?,
                _ => {}
            }
        }
        let lease = if self.has(Flaw::UpdateForgetsTheLease) { LeaseEnd::None } else { lease };
        let updated = self.store.update(key, seen, &record, lease).await?;
        if updated == Updated::Missing && self.has(Flaw::UpdateCreates) {
            let _ = self.store.create(key, &record).await?;
            return Ok(Updated::Stored);
        }
        if updated == Updated::Stored && self.has(Flaw::UpdateEndsAnyLease) {
            self.end_any_lease(key).await?;
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
        if self.has(Flaw::ReplaceOverwritesATakenKey) {
            let _ = self.store.delete(new, None).await?;
        }
        if self.has(Flaw::ReplaceLeavesTheOldRecord)
            && let (Predecessor::Delete, Some(_)) = (&predecessor, self.read(old).await?)
        {
            let _ = self.store.create(new, record).await?;
            return Ok(Replaced::Stored);
        }
        let replaced = self.store.replace(old, seen, predecessor, new, record).await?;
        if replaced != Replaced::Stored && self.has(Flaw::ReplaceLeavesTheNewRecord) {
            let _ = self.store.create(new, record).await?;
        }
        Ok(replaced)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        match (self.flaw, self.read(key).await?) {
            (Flaw::TouchChangesTheVersion, Some(present)) => {
                let seen = present.version;
                let record = Record { version: Version::fresh(), expires_at, ..present };
                let _ = self.store.update(key, seen, &record, LeaseEnd::None).await?;
                Ok(Touched::Moved)
            }
            (Flaw::TouchOnlyMovesLater, Some(present)) => {
                self.store.touch(key, expires_at.max(present.expires_at)).await
            }
            (Flaw::TouchCreates, None) => {
                let _ = self.store.create(key, &placeholder()).await?;
                Ok(Touched::Moved)
            }
            _ => self.store.touch(key, expires_at).await,
        }
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        if self.has(Flaw::RenewOnlyPretends) {
            return Ok(Renewed::Extended);
        }
        self.store.renew(key, lease).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        match self.flaw {
            Flaw::ReleaseIgnoresTheToken => self.end_any_lease(key).await,
            Flaw::ReleaseDoesNothing => Ok(()),
            _ => self.store.release(key, token).await,
        }
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        if self.has(Flaw::ReleasedNeverReturns) {
            std::future::pending::<()>().await;
        }
        self.store.released(key, wait).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        if self.has(Flaw::DeleteLeavesTheRecord) {
            return Ok(Deleted::Gone);
        }
        let seen = seen.filter(|_| !self.has(Flaw::DeleteIgnoresTheVersion));
        self.store.delete(key, seen).await
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.store.set_aside(key).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        let after = after.filter(|_| !self.has(Flaw::OfUserIgnoresAfter));
        let limit = if self.has(Flaw::OfUserIgnoresItsLimit) { NonZeroUsize::MAX } else { limit };
        if self.has(Flaw::OfUserListsEverybody) {
            return self.store.page(after, limit).await;
        }
        self.store.of_user(user, after, limit).await
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        match self.flaw {
            Flaw::PurgeDoesNothing => Ok(0),
            Flaw::PurgeIgnoresItsLimit => self.store.purge(NonZeroUsize::MAX).await,
            Flaw::PurgeDeletesEverything => {
                for listed in self.store.page(None, limit).await? {
                    let _ = self.store.delete(&listed.key, None).await?;
                }
                Ok(0)
            }
            _ => self.store.purge(limit).await,
        }
    }

    async fn count(&self) -> Result<u64> {
        self.store.count().await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let after = after.filter(|_| !self.has(Flaw::PageIgnoresAfter));
        self.store.page(after, limit).await
    }
}

fn placeholder() -> Record {
    Record { payload: Bytes::new(), version: Version::fresh(), expires_at: Timestamp::MAX, user: None }
}
