//! The server's time, as it was told last: so not every call has to ask for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::time::Timestamp;

/// How long what was told is gone by. A clock that is set is noticed after so long.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// An answer that took longer says too little about the time.
const PRECISE: Duration = Duration::from_millis(10);

/// The clock of the server at the other end of a connection, less than [`PRECISE`] ahead or behind.
pub(super) struct ServerClock {
    since: Instant,
    /// The server's time at `since`.
    origin: AtomicU64,
    /// When that was confirmed last, in microseconds after `since`; zero for never.
    confirmed: AtomicU64,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), origin: AtomicU64::new(0), confirmed: AtomicU64::new(0) }
    }

    /// Returns the server's time at a moment, if it was told lately.
    pub(super) fn at(&self, moment: Instant) -> Option<Timestamp> {
        let (moment, confirmed) = (self.micros(moment), self.confirmed.load(Ordering::Acquire));
        let is_fresh = confirmed != 0 && moment.saturating_sub(confirmed) < GOOD_FOR.as_micros() as u64;
        is_fresh.then(|| Timestamp::from_micros(self.origin.load(Ordering::Relaxed) + moment))
    }

    /// Learns what the server told when it was asked at one moment and had answered by another, which was
    /// that time of day for this node.
    pub(super) fn note(&self, asked: Instant, answered: Instant, node: Timestamp, told: Timestamp) {
        let took = answered.duration_since(asked);
        if took > PRECISE {
            return;
        }
        let answered = self.micros(answered);
        // Nodes whose clocks may agree with the server's agree with each other by it.
        let ahead = told.ahead_of_clock(node - took, node);
        let before = Timestamp::from_micros(self.origin.load(Ordering::Relaxed) + answered);
        if ahead == 0 || !(told..=told + took).contains(&before) {
            let origin = node.shifted(ahead).as_micros().saturating_sub(answered);
            self.origin.store(origin, Ordering::Relaxed);
        }
        self.confirmed.store(answered.max(1), Ordering::Release);
    }

    fn micros(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Lets the server tell a time, to a node whose clock shows another one by then, both in milliseconds.
    fn told(clock: &ServerClock, asked: Duration, took: Duration, time: u64, node: u64) {
        let asked = clock.since + asked;
        let [time, node] = [time, node].map(|millis| Timestamp::from_micros(millis * 1_000));
        clock.note(asked, asked + took, node, time);
    }

    fn at(clock: &ServerClock, moment: Duration) -> Option<u64> {
        clock.at(clock.since + moment).map(|time| time.as_micros() / 1_000)
    }

    #[test]
    fn what_was_told_goes_on_for_a_second() {
        let clock = ServerClock::new();
        assert_eq!(at(&clock, MS), None);
        told(&clock, MS, 2 * MS, 5_000, 1_000);
        assert_eq!(at(&clock, 3 * MS), Some(5_000));
        assert_eq!(at(&clock, 1_002 * MS), Some(5_999));
        assert_eq!(at(&clock, 1_003 * MS), None);
    }

    #[test]
    fn clocks_that_may_agree_are_taken_to_agree() {
        let clock = ServerClock::new();
        told(&clock, MS, 9 * MS, 5_000, 5_004);
        assert_eq!(at(&clock, 10 * MS), Some(5_004));
        told(&clock, 20 * MS, 9 * MS, 5_020, 5_023);
        assert_eq!(at(&clock, 29 * MS), Some(5_023));
    }

    #[test]
    fn clocks_that_differ_go_by_the_fastest_answer() {
        let clock = ServerClock::new();
        told(&clock, MS, 9 * MS, 5_000, 1_000);
        assert_eq!(at(&clock, 10 * MS), Some(5_000));
        told(&clock, 20 * MS, MS, 5_018, 1_011);
        assert_eq!(at(&clock, 21 * MS), Some(5_018));
        told(&clock, 900 * MS, 9 * MS, 5_900, 1_899);
        assert_eq!(at(&clock, 1_900 * MS), Some(6_897));
    }

    #[test]
    fn an_answer_that_took_long_says_nothing() {
        let clock = ServerClock::new();
        told(&clock, MS, 11 * MS, 5_000, 5_000);
        assert_eq!(at(&clock, 12 * MS), None);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_in_both_directions() {
        let clock = ServerClock::new();
        told(&clock, MS, MS, 5_000, 1_000);
        told(&clock, 3 * MS, MS, 9_000, 1_002);
        assert_eq!(at(&clock, 4 * MS), Some(9_000));
        told(&clock, 5 * MS, MS, 4_000, 1_004);
        assert_eq!(at(&clock, 6 * MS), Some(4_000));
    }
}
