//! What the suite needs from a driver: two handles to fresh data, and a way to let time pass.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::store::{Lease, LeaseToken, SharedStore, Store};
use crate::testing::ManualClock;

/// A fresh, empty store for one case: two handles to the same data and their time.
///
/// Each case gets one of its own. Data in a shared server must be kept apart by the driver's own means: a
/// database, a table or a prefix for each harness.
pub struct Harness {
    first: SharedStore,
    second: SharedStore,
    time: TestTime,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

/// How time passes for the store under test.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TestTime {
    /// The driver reads this clock, and the suite moves it. For drivers that take a [`Clock`](crate::Clock).
    Manual(ManualClock),
    /// The store keeps its own time, and the suite waits. For networked drivers.
    Real {
        /// The length of the suite's shortest lease: several times a round trip and the store's
        /// resolution of time. Some 20 cases wait for two steps each.
        step: Duration,
    },
}

impl Harness {
    /// Takes two handles to the same, empty data. They should share as little as handles of two processes.
    pub fn new(first: impl Store, second: impl Store, time: TestTime) -> Self {
        Self { first: SharedStore::new(first), second: SharedStore::new(second), time, kept: Vec::new() }
    }

    /// Keeps something until the case is over: a temporary directory, a server.
    #[must_use]
    pub fn keeping(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// Returns the first handle.
    #[must_use]
    pub fn first(&self) -> &SharedStore {
        &self.first
    }

    /// Returns the second handle.
    #[must_use]
    pub fn second(&self) -> &SharedStore {
        &self.second
    }

    /// Returns the suite's unit of time, by the clock of the store.
    pub(super) fn step(&self) -> Duration {
        match &self.time {
            TestTime::Manual(_) => Duration::from_secs(10),
            TestTime::Real { step } => *step,
        }
    }

    /// Reports whether expired records stay until a purge. A server that keeps its own time may drop them.
    pub(super) fn expires_by_purge_only(&self) -> bool {
        matches!(self.time, TestTime::Manual(_))
    }

    /// Lets time pass for the store.
    pub(super) async fn pass(&self, time: Duration) {
        match &self.time {
            TestTime::Manual(clock) => clock.advance(time),
            TestTime::Real { .. } => tokio::time::sleep(time).await,
        }
    }

    /// Returns a lease that ends only when somebody ends it: it outlasts every case.
    pub(super) fn long_lease(&self) -> Lease {
        Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(3600).max(100 * self.step()) }
    }

    /// Returns a lease that is over after [`outlast`](Self::outlast).
    pub(super) fn short_lease(&self) -> Lease {
        Lease { token: LeaseToken::fresh(), ttl: self.step() }
    }

    /// Waits until every short lease taken so far is over.
    pub(super) async fn outlast(&self) {
        self.pass(2 * self.step()).await;
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, time, kept: _ } = self;
        f.debug_struct("Harness")
            .field("first", first)
            .field("second", second)
            .field("time", time)
            .finish_non_exhaustive()
    }
}
