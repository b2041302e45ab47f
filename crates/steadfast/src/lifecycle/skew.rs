//! By how much the store's clock is ahead of the node's: measured with each answer, and now and then.
//!
//! Sessions begin and end by the store's clock. Its time comes with each record that is read; a session that
//! begins, for which nothing was read, goes by what was measured last.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::Core;
use crate::error::Result;
use crate::events::Anomaly;
use crate::store::Store;
use crate::time::Timestamp;

/// How often the clocks are compared when nobody reads a session.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// Clocks of node and store that differ by more are reported, in microseconds.
const REPORTED: i64 = 1_000_000;

/// The last measurement.
#[derive(Debug, Default)]
pub(crate) struct Skew {
    micros: AtomicI64,
    /// There is one clock, so there is nothing to measure.
    none: bool,
    /// By how much the store's time may differ from what it tells, in microseconds.
    slack: i64,
}

impl Skew {
    /// Returns that of a store which goes by the node's own clock.
    pub(crate) fn none() -> Self {
        Self { none: true, ..Self::default() }
    }

    /// Returns that of a store, before it is measured.
    pub(crate) fn of(store: &impl Store) -> Self {
        let slack = i64::try_from(store.clock_slack().as_micros()).unwrap_or(i64::MAX);
        Self { slack, ..Self::default() }
    }
}

impl Core {
    /// Returns the present time by the store's clock, as far as it is known.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().shifted(self.skew())
    }

    /// Returns by how many microseconds the store's clock was ahead when it was measured last.
    pub(super) fn skew(&self) -> i64 {
        self.skew.micros.load(Ordering::Relaxed)
    }

    /// Returns by how much the clock that orders requests is ahead, given by how much the store's seems to be.
    ///
    /// A store that tells whole seconds seems to be ahead or behind by up to its slack, and differently so to each
    /// node. Nodes whose clocks may agree with it order requests by them: they agree with each other.
    pub(super) fn order_skew(&self, skew: i64) -> i64 {
        skew - skew.clamp(-self.skew.slack, self.skew.slack)
    }

    /// Returns when the store is asked, by the node's clock, if there is something to be measured by it.
    pub(super) fn asks(&self) -> Timestamp {
        if self.skew.none { Timestamp::EPOCH } else { self.clock.now() }
    }

    /// Notes by how much the store's clock is ahead, from an answer that told its time. Reported when it
    /// becomes too much, not with every answer.
    pub(super) fn note_skew(&self, told: Timestamp, asked: Timestamp) -> i64 {
        if self.skew.none {
            return 0;
        }
        let skew = told.ahead_of_clock(asked, self.clock.now());
        let before = self.skew();
        if skew != before {
            self.skew.micros.store(skew, Ordering::Relaxed);
            if skew.abs() >= REPORTED && before.abs() < REPORTED {
                self.observer.alarm(Anomaly::ClockSkew, None);
            }
        }
        skew
    }

    /// Asks the store for its time.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    pub(crate) async fn measure_skew(&self) -> Result<()> {
        let asked = self.asks();
        let told = self.store.now().await?;
        let skew = self.note_skew(told, asked);
        self.observer.skewed(skew);
        Ok(())
    }

    /// Compares the clocks, for as long as somebody uses the core, and reports a difference each time.
    ///
    /// Called within a runtime, once. Embedded stores read the node's clock.
    pub(crate) fn watch_clock(self: &Arc<Self>) {
        if !self.store.is_remote() {
            return;
        }
        let core = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(COMPARE_EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let Some(core) = core.upgrade() else { return };
                let before = core.skew();
                // A store that does not answer is reported by the requests that need it.
                if core.measure_skew().await.is_ok() && before.abs().min(core.skew().abs()) >= REPORTED {
                    core.observer.alarm(Anomaly::ClockSkew, None);
                }
            }
        });
    }
}
