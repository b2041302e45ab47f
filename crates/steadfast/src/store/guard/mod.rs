//! Guards a store across a network: a deadline for each call, a second try where that is safe, and a
//! circuit breaker, so that a store that is gone costs milliseconds.
//!
//! # What is tried again
//!
//! A call that failed may still arrive, even after the next one. Repeated is only what does no harm then:
//!
//! | call | why it may be repeated |
//! |---|---|
//! | `now`, `load`, `of_user`, `count`, `page` | they change nothing |
//! | `acquire`, `renew`, `release` | a token is the caller's own, so doing it twice is doing it once |
//! | `touch` | a deadline is set, not moved by a distance |
//! | `update`, `delete` over a version | the version is gone once the first has arrived; whether it was the first that wrote is told by the version that the writer chose |
//! | `delete` whatever the version | a key is never used for another session |
//!
//! Not repeated: `create` (a late first one would bring back a session that was created by the second and
//! ended since; instead it is looked up whether it arrived), `replace`, `set_aside`, `settle`, `purge`.

mod breaker;
mod durations;
mod to_the_end;

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Acquired, Coverage, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor,
    Record, Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Anomaly, EventKind, Observer};
use crate::random::jittered;
use crate::time::Timestamp;

use breaker::{Breakers, Change};
use durations::{Durations, Op};
use to_the_end::ToTheEnd;

/// The pause before a second try, at most; at least half of this.
const PAUSE: Duration = Duration::from_millis(20);

/// The length of a wait for a lease beyond which the driver's own bound has failed.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// What calls to a store across a network may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a call may take, its second try included.
    pub(crate) deadline: Duration,
    /// How many slow failures in a row open the circuit; zero for never.
    pub(crate) break_after: u32,
    /// How long calls then fail at once.
    pub(crate) break_pause: Duration,
}

/// A store whose calls end in time.
pub(crate) struct Guarded<S> {
    store: Arc<S>,
    limits: Limits,
    breakers: Breakers,
    durations: Durations,
    observer: Observer,
}

/// What is called, where, and until when it is tried.
#[derive(Clone, Copy)]
struct Call {
    op: Op,
    /// The breaker in charge: none for calls that concern no single record.
    domain: Option<usize>,
    began: Instant,
    until: Instant,
}

impl Call {
    /// Begins another try, for which there is what is left of the time.
    fn again(self) -> Self {
        Self { began: Instant::now(), ..self }
    }
}

impl<S: Store> Guarded<S> {
    pub(crate) fn new(store: S, limits: Limits, observer: Observer) -> Self {
        let breakers = Breakers::new(limits.break_after, limits.break_pause);
        let durations = Durations::new(store.driver());
        Self { store: Arc::new(store), limits, breakers, durations, observer }
    }

    /// Begins a call that concerns one record.
    fn on(&self, op: Op, key: &StoreKey) -> Call {
        Call { domain: Some(self.store.fault_domain(key)), ..self.overall(op) }
    }

    /// Begins a call that concerns no single record.
    fn overall(&self, op: Op) -> Call {
        let began = Instant::now();
        Call { op, domain: None, began, until: began + self.limits.deadline }
    }

    /// Calls the store once.
    ///
    /// The call is pinned by the caller: moved in here it would have its room twice in each future.
    async fn once<T, F>(&self, call: Call, answer: Pin<&mut F>) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let breaker = call.domain.map(|domain| self.breakers.of(domain));
        let pass =
            breaker.map(|breaker| breaker.enter().ok_or_else(|| self.circuit_is_open())).transpose()?;
        let answer = timeout_at(call.until, answer).await.unwrap_or_else(|_| Err(self.too_late()));
        let took = call.began.elapsed();
        let failed = answer.as_ref().err().is_some_and(is_outage);
        self.durations.record(call.op, took, failed);
        match pass.and_then(|pass| pass.settle(failed, took)) {
            Some(Change::Opened) => self.observer.alarm(Anomaly::CircuitOpened, None),
            Some(Change::Closed) => self.observer.tell_many(EventKind::CircuitClosed, 1),
            None => {}
        }
        answer
    }

    /// Calls the store, and once more if it did not answer.
    async fn twice<T, F>(&self, call: Call, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        match self.once(call, pin!(ask())).await {
            // Boxed, as the second try is in each of these: calls carry no room for what is rarely done.
            Err(error) if is_outage(&error) => Box::pin(self.try_again(call, error, ask)).await,
            answer => answer,
        }
    }

    async fn try_again<T, F>(&self, call: Call, error: Error, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if !self.may_try_again(call).await {
            return Err(error);
        }
        self.once(call.again(), pin!(ask())).await
    }

    /// Takes a lease, also if the caller is gone before the answer comes. Then the lease is given back: the
    /// release that the caller's end sent may have overtaken this call on another connection.
    fn acquire_to_the_end(
        &self,
        key: &StoreKey,
        lease: Lease,
    ) -> impl Future<Output = Result<Acquired>> + use<S> {
        let (store, key) = (Arc::clone(&self.store), *key);
        let acquiring = Arc::clone(&store);
        ToTheEnd::new(async move { acquiring.acquire(&key, lease).await }, async move |_unwanted| {
            // If it can't be released, it ends by its time.
            drop(store.release(&key, lease.token).await);
        })
    }

    /// Finds out whether a record was created all the same.
    async fn look_for_created(
        &self,
        call: Call,
        error: Error,
        key: &StoreKey,
        record: &Record,
    ) -> Result<Created> {
        if !self.may_try_again(call).await {
            return Err(error);
        }
        match self.has_arrived(call, key, record.version).await {
            Ok(true) => Ok(Created::Stored),
            Ok(false) | Err(_) => Err(error),
        }
    }

    async fn update_again(
        &self,
        call: Call,
        error: Error,
        (key, seen, record, lease): (&StoreKey, Version, &Record, LeaseEnd),
    ) -> Result<Updated> {
        if !self.may_try_again(call).await {
            return Err(error);
        }
        let updated = self.once(call.again(), pin!(self.store.update(key, seen, record, lease))).await?;
        match updated {
            Updated::Stale if self.has_arrived(call, key, record.version).await? => Ok(Updated::Stored),
            // Somebody wrote after this write, or instead of it: nobody can tell.
            Updated::Stale => Err(error),
            answer => Ok(answer),
        }
    }

    async fn delete_again(
        &self,
        call: Call,
        error: Error,
        key: &StoreKey,
        seen: Option<Version>,
    ) -> Result<Deleted> {
        if !self.may_try_again(call).await {
            return Err(error);
        }
        match self.once(call.again(), pin!(self.store.delete(key, seen))).await? {
            // The first one did it, or somebody else: it is gone as asked.
            Deleted::Missing => Ok(Deleted::Gone),
            deleted => Ok(deleted),
        }
    }

    /// Waits for the second try after an outage, if there is time for one.
    async fn may_try_again(&self, call: Call) -> bool {
        let pause = jittered(PAUSE);
        let is_open = call.domain.is_some_and(|domain| self.breakers.of(domain).is_open());
        if is_open || Instant::now() + 2 * pause > call.until {
            return false;
        }
        sleep(pause).await;
        true
    }

    /// Reports whether a record is the one that a write of unknown effect was to store.
    async fn has_arrived(&self, call: Call, key: &StoreKey, version: Version) -> Result<bool> {
        let loaded = self.once(call.again(), pin!(self.store.load(key))).await?;
        Ok(matches!(loaded, Loaded::Found(Found { record, .. }) if record.version == version))
    }

    fn too_late(&self) -> Error {
        let message = "the store did not answer within `store_deadline`; look at its load and the network";
        Error::new(ErrorKind::TimedOut, message).in_driver(self.store.driver())
    }

    fn circuit_is_open(&self) -> Error {
        let message = "the store did not answer several times in a row, so it is not asked for a moment";
        Error::new(ErrorKind::Unavailable, message).in_driver(self.store.driver())
    }
}

impl<S: Store> Store for Guarded<S> {
    fn driver(&self) -> &'static str {
        self.store.driver()
    }

    fn coverage(&self) -> Coverage {
        self.store.coverage()
    }

    fn is_remote(&self) -> bool {
        self.store.is_remote()
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
        self.twice(self.overall(Op::Now), || self.store.now()).await
    }

    async fn settle(&self, key: &StoreKey) -> Result<()> {
        self.once(self.on(Op::Settle, key), pin!(self.store.settle(key))).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        self.twice(self.on(Op::Load, key), || self.store.load(key)).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let call = self.on(Op::Acquire, key);
        if self.store.keeps_order() {
            return self.twice(call, || self.store.acquire(key, lease)).await;
        }
        self.twice(call, || self.acquire_to_the_end(key, lease)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let call = self.on(Op::Create, key);
        match self.once(call, pin!(self.store.create(key, record))).await {
            Err(error) if is_outage(&error) => {
                Box::pin(self.look_for_created(call, error, key, record)).await
            }
            answer => answer,
        }
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let call = self.on(Op::Update, key);
        match self.once(call, pin!(self.store.update(key, seen, record, lease))).await {
            Err(error) if is_outage(&error) => {
                Box::pin(self.update_again(call, error, (key, seen, record, lease))).await
            }
            answer => answer,
        }
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let replace = pin!(self.store.replace(old, seen, predecessor, new, record));
        self.once(self.on(Op::Replace, old), replace).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        self.twice(self.on(Op::Touch, key), || self.store.touch(key, expires_at)).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        self.twice(self.on(Op::Renew, key), || self.store.renew(key, lease)).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.twice(self.on(Op::Release, key), || self.store.release(key, token)).await
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        // Followed by another acquire in any case.
        let _ = timeout_at(Instant::now() + wait + WAIT_MARGIN, self.store.released(key, wait)).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let call = self.on(Op::Delete, key);
        match self.once(call, pin!(self.store.delete(key, seen))).await {
            Err(error) if is_outage(&error) => Box::pin(self.delete_again(call, error, key, seen)).await,
            answer => answer,
        }
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.once(self.on(Op::SetAside, key), pin!(self.store.set_aside(key))).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        self.twice(self.overall(Op::OfUser), || self.store.of_user(user, after, limit)).await
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.once(self.overall(Op::Purge), pin!(self.store.purge(limit))).await
    }

    async fn count(&self) -> Result<u64> {
        self.twice(self.overall(Op::Count), || self.store.count()).await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        self.twice(self.overall(Op::Page), || self.store.page(after, limit)).await
    }

    async fn sample(&self, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        self.once(self.overall(Op::Sample), pin!(self.store.sample(limit))).await
    }
}

impl<S: fmt::Debug> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("store", &self.store)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Reports whether a failure means that the store did not answer, or not in a state to work.
fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut)
}
