//! Instants, and the clock that reads them: time is an argument everywhere else.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant, in microseconds since the Unix epoch.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast::Timestamp;
///
/// let start = Timestamp::from_micros(1_000_000);
/// assert_eq!((start + Duration::from_secs(2)).saturating_since(start), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch; earlier than any real deadline.
    pub const EPOCH: Self = Self(0);
    /// Later than any real deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// Makes a timestamp from microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns how long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Returns the beginning of its second.
    #[cfg(feature = "php")]
    pub(crate) const fn whole_second(self) -> Self {
        Self(self.0 - self.0 % 1_000_000)
    }

    /// Returns this instant by another clock, which is ahead by so many microseconds.
    pub(crate) const fn shifted(self, ahead_by: i64) -> Self {
        Self(self.0.saturating_add_signed(ahead_by))
    }

    /// Returns by how many microseconds this is ahead of another reading.
    pub(crate) fn ahead_of(self, other: Self) -> i64 {
        let micros = i128::from(self.0) - i128::from(other.0);
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }

    /// Returns by how many microseconds the clock that read this is ahead of another one, by which the
    /// question was asked and answered.
    ///
    /// It was read at some moment in between, so many differences fit; the smallest of them is returned.
    /// Two clocks that agree thus never seem to differ by the time that an answer took.
    pub(crate) fn ahead_of_clock(self, asked: Self, answered: Self) -> i64 {
        let (least, most) = (self.ahead_of(answered), self.ahead_of(asked));
        0.max(least).min(most)
    }
}

impl From<Timestamp> for SystemTime {
    /// Converts, for libraries that format times.
    fn from(instant: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_micros(instant.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Adds, stopping at [`Timestamp::MAX`].
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Subtracts, stopping at [`Timestamp::EPOCH`].
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(length.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({}.{:06})", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Reads the time. Injected, so that tests move it instead of waiting for it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present instant.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // In 64 bits, which last for half a million years: `as_micros` takes twice as many.
        let seconds = since.as_secs().saturating_mul(1_000_000);
        Timestamp(seconds.saturating_add(since.subsec_micros().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: u64, asked: u64, answered: u64, ahead: i64) {
        let [read, asked, answered] = [read, asked, answered].map(Timestamp::from_micros);
        assert_eq!(read.ahead_of_clock(asked, answered), ahead);
    }

    #[test]
    fn clocks_that_may_agree_are_taken_to_agree() {
        check(100, 100, 100, 0);
        check(100, 100, 900, 0);
        check(500, 100, 900, 0);
        check(900, 100, 900, 0);
    }

    #[test]
    fn clocks_differ_by_as_little_as_fits() {
        check(1_000, 100, 900, 100);
        check(50, 100, 900, -50);
        check(50, 100, 100, -50);
    }
}
