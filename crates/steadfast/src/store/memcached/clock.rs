//! The server's time, as its answers tell it.
//!
//! The server tells whole seconds and nothing about their fractions. Whoever asks often enough hears a second
//! soon after it began, so the latest of all that it can be is close: the estimate below runs with the node's
//! steady clock and is pushed on by every answer that is ahead of it. The node's time of day is never read.

use std::time::Duration;

use tokio::time::Instant;

use crate::time::Timestamp;

/// How far the estimate may be ahead of the second that the server tells. The server looks at its own clock
/// once a second, so what it tells may be almost two seconds old.
const AHEAD: Duration = Duration::from_secs(2);

/// What is known of a server's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock {
    /// At that moment it was at least that late.
    known: Option<(Instant, Timestamp)>,
}

impl ServerClock {
    /// Learns from an answer: at some time before `answered` the server told this second.
    pub(super) fn hear(&mut self, second: u64, answered: Instant) {
        let told = Timestamp::from_micros(second * 1_000_000);
        // One that falls behind was set back, or is that of another process since a restart.
        let fits = self.at(answered).is_some_and(|estimate| told <= estimate && estimate < told + AHEAD);
        if !fits {
            self.known = Some((answered, told));
        }
    }

    /// Returns the server's time at a moment, if anything is known of it.
    pub(super) fn at(&self, moment: Instant) -> Option<Timestamp> {
        let (heard, time) = self.known?;
        Some(time + moment.saturating_duration_since(heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_pushed_on_and_never_falls_behind() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut clock = ServerClock::default();
        assert_eq!(clock.at(start), None);
        let mut check = |second, millis, expected: u64| {
            clock.hear(second, after(millis));
            assert_eq!(clock.at(after(millis)), Some(Timestamp::from_micros(expected * 1000)));
        };
        check(100, 0, 100_000);
        // Nothing new: it may well be 100.9 by now.
        check(100, 900, 100_900);
        // Nor here, since the server looks at its clock once a second.
        check(100, 1_500, 101_500);
        // Second 102 has begun already.
        check(102, 1_600, 102_000);
        check(103, 2_599, 103_000);
        // The server was set back by an hour, then ahead.
        check(3, 2_600, 3_000);
        check(3_603, 2_700, 3_603_000);
    }
}
