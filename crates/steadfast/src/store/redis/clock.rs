//! The server's time, as it was told last: so not every call has to ask for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::time::Timestamp;

/// How long what was told is gone by. A clock that is set is noticed after so long.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// An answer that took longer says too little about the time.
const PRECISE: Duration = Duration::from_millis(10);

/// The clock of the server at the other end of a connection.
///
/// It is never ahead of the server's own, so nothing ends too early by it; and behind by less than [`PRECISE`].
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

    /// Learns what the server told when it was asked at one moment and had answered by another.
    pub(super) fn note(&self, asked: Instant, answered: Instant, told: Timestamp) {
        if answered.duration_since(asked) > PRECISE {
            return;
        }
        let (asked, answered, told) = (self.micros(asked), self.micros(answered), told.as_micros());
        let (earliest, latest) = (told.saturating_sub(answered), told.saturating_sub(asked));
        let before = self.origin.load(Ordering::Relaxed);
        // Of two measures that fit each other the one with the faster answer is nearer to the truth.
        if !(earliest..=latest).contains(&before) {
            self.origin.store(earliest, Ordering::Relaxed);
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

    fn told(clock: &ServerClock, asked: Duration, took: Duration, time: u64) {
        let asked = clock.since + asked;
        clock.note(asked, asked + took, Timestamp::from_micros(time));
    }

    fn at(clock: &ServerClock, moment: Duration) -> Option<u64> {
        clock.at(clock.since + moment).map(Timestamp::as_micros)
    }

    #[test]
    fn what_was_told_goes_on_for_a_second() {
        let clock = ServerClock::new();
        assert_eq!(at(&clock, MS), None);
        // Told between 1 ms and 3 ms: at 3 ms it is this time, or later.
        told(&clock, MS, 2 * MS, 5_000_000);
        assert_eq!(at(&clock, 3 * MS), Some(5_000_000));
        assert_eq!(at(&clock, 1_002 * MS), Some(5_999_000));
        assert_eq!(at(&clock, 1_003 * MS), None);
    }

    #[test]
    fn a_faster_answer_is_believed_and_a_slower_one_confirms_it() {
        let clock = ServerClock::new();
        told(&clock, MS, 9 * MS, 5_000_000);
        assert_eq!(at(&clock, 10 * MS), Some(5_000_000));
        told(&clock, 20 * MS, MS, 5_018_000);
        assert_eq!(at(&clock, 21 * MS), Some(5_018_000));
        told(&clock, 900 * MS, 9 * MS, 5_900_000);
        assert_eq!(at(&clock, 1_900 * MS), Some(6_897_000));
    }

    #[test]
    fn an_answer_that_took_long_says_nothing() {
        let clock = ServerClock::new();
        told(&clock, MS, 11 * MS, 5_000_000);
        assert_eq!(at(&clock, 12 * MS), None);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_in_both_directions() {
        let clock = ServerClock::new();
        told(&clock, MS, MS, 5_000_000);
        told(&clock, 3 * MS, MS, 9_000_000);
        assert_eq!(at(&clock, 4 * MS), Some(9_000_000));
        told(&clock, 5 * MS, MS, 4_000_000);
        assert_eq!(at(&clock, 6 * MS), Some(4_000_000));
    }
}
