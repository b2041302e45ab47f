//! A clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::{Clock, Timestamp};

/// Where a [`ManualClock`] starts: 2026-01-01 00:00:00 UTC, a date that no deadline logic finds odd.
const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// A clock that a test moves instead of waiting. A clone shows the same time.
///
/// It starts at 2026-01-01 00:00:00 UTC. Each reading moves it by one microsecond, so that two events
/// never happen at the same instant.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast::Clock;
/// use steadfast::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert!(clock.now().saturating_since(before) > Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Makes a clock that shows 2026-01-01 00:00:00 UTC.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START.as_micros())))
    }

    /// Moves the time forward.
    pub fn advance(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
