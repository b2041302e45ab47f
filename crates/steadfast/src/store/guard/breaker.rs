//! Circuit breakers: after several slow failures in a row, calls fail at once for a moment; then one of
//! them tries whether the store is back.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A failure that took less costs a request nothing that a breaker could save.
const SLOW: Duration = Duration::from_millis(50);

/// Servers of one store that are told apart: a ring of more shares breakers.
const DOMAINS: usize = 64;

/// The breakers of a store: one for each server that may fail alone.
pub(super) struct Breakers(Box<[Breaker]>);

/// The breaker of one server.
pub(super) struct Breaker {
    after: u32,
    pause: Duration,
    epoch: Instant,
    failures: AtomicU32,
    /// Until when calls fail at once, in microseconds since `epoch`; zero while the circuit is closed.
    open_until: AtomicU64,
    /// Whether somebody is trying.
    trial: AtomicBool,
}

/// What a call did to its breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Opened,
    Closed,
}

impl Breakers {
    pub(super) fn new(after: u32, pause: Duration) -> Self {
        let epoch = Instant::now();
        let breaker = || Breaker {
            after,
            pause,
            epoch,
            failures: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
            trial: AtomicBool::new(false),
        };
        Self(std::iter::repeat_with(breaker).take(DOMAINS).collect())
    }

    pub(super) fn of(&self, domain: usize) -> &Breaker {
        &self.0[domain % self.0.len()]
    }
}

impl Breaker {
    /// Lets a call pass, or not.
    pub(super) fn enter(&self) -> Option<Pass<'_>> {
        let open_until = self.open_until.load(Ordering::Acquire);
        if open_until == 0 {
            return Some(Pass { breaker: self, trial: false });
        }
        let is_over = self.since_epoch(Instant::now()) >= open_until;
        let trial = is_over && !self.trial.swap(true, Ordering::AcqRel);
        trial.then_some(Pass { breaker: self, trial })
    }

    /// Reports whether calls fail at once.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Acquire) != 0
    }

    fn since_epoch(&self, instant: Instant) -> u64 {
        u64::try_from((instant - self.epoch).as_micros()).unwrap_or(u64::MAX)
    }

    fn open(&self) -> Option<Change> {
        let until = self.since_epoch(Instant::now() + self.pause).max(1);
        (self.open_until.swap(until, Ordering::AcqRel) == 0).then_some(Change::Opened)
    }

    fn close(&self) -> Option<Change> {
        // Mostly there is nothing to change, and then nobody's cache line is taken away.
        if self.failures.load(Ordering::Acquire) != 0 {
            self.failures.store(0, Ordering::Release);
        }
        let was_open = self.open_until.load(Ordering::Acquire) != 0;
        (was_open && self.open_until.swap(0, Ordering::AcqRel) != 0).then_some(Change::Closed)
    }
}

/// A call that was let pass. One that is dropped unfinished tells nothing.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Pass<'_> {
    /// Notes how the call ended.
    pub(super) fn settle(self, failed: bool, took: Duration) -> Option<Change> {
        let breaker = self.breaker;
        if !failed {
            return breaker.close();
        }
        if self.trial {
            return breaker.open();
        }
        if took < SLOW || breaker.after == 0 {
            return None;
        }
        let failures = breaker.failures.fetch_add(1, Ordering::AcqRel) + 1;
        if failures >= breaker.after { breaker.open() } else { None }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.breaker.trial.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn call(breaker: &Breaker, failed: bool) -> Option<Option<Change>> {
        breaker.enter().map(|pass| pass.settle(failed, SLOW))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_failures_in_a_row_open_the_circuit_and_a_success_closes_it() {
        let breakers = Breakers::new(2, PAUSE);
        let breaker = breakers.of(0);
        assert_eq!(call(breaker, true), Some(None));
        assert_eq!(call(breaker, false), Some(None), "not in a row");
        assert_eq!(call(breaker, true), Some(None));
        assert_eq!(call(breaker, true), Some(Some(Change::Opened)));
        assert_eq!(call(breaker, false), None, "it is open");
        assert_eq!(call(breakers.of(1), false), Some(None), "another server has its own");
        tokio::time::advance(PAUSE).await;
        assert_eq!(call(breaker, false), Some(Some(Change::Closed)));
        assert_eq!(call(breaker, true), Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_tries_and_if_it_fails_the_others_wait_on() {
        let breakers = Breakers::new(1, PAUSE);
        let breaker = breakers.of(0);
        call(breaker, true);
        tokio::time::advance(PAUSE).await;
        let trial = breaker.enter().expect("one may try");
        assert!(breaker.enter().is_none(), "only one");
        drop(trial);
        let trial = breaker.enter().expect("the first one gave up");
        assert_eq!(trial.settle(true, Duration::ZERO), None, "it stays open");
        assert!(breaker.enter().is_none());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_at_once_and_breakers_that_are_off_open_nothing() {
        let breakers = Breakers::new(1, PAUSE);
        let pass = breakers.of(0).enter().expect("closed");
        assert_eq!(pass.settle(true, Duration::from_millis(1)), None);
        assert_eq!(call(Breakers::new(0, PAUSE).of(0), true), Some(None));
    }
}
