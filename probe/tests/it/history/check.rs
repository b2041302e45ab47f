//! Is what clients saw of a counter possible, if every increment takes effect at one moment between its
//! request and its answer?
//!
//! Increments answer the number they made, so the numbers tell the order, and what is left to check takes
//! no search: no call may come before one in this order that it was asked after.

use std::time::Duration;

/// What a client knows of one call. Times are counted from the beginning of the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) asked: Duration,
    pub(super) saw: Saw,
}

/// What it saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Saw {
    /// Its increment made this number.
    Counted { n: u64, answered: Duration },
    /// The counter was at this number.
    Read { n: u64, answered: Duration },
    /// Its increment may have counted, at any time since, or not.
    Nothing,
}

/// Checks a whole history of one counter that began at zero.
///
/// # Errors
///
/// Says what is impossible.
pub(super) fn counter(calls: &[Call]) -> Result<(), String> {
    let mut seen: Vec<Seen> = calls.iter().filter_map(Seen::of).collect();
    // An increment, then who read what it made.
    seen.sort_by_key(|seen| (seen.n, seen.reads));
    no_number_twice(&seen)?;
    in_the_order_of_time(&seen)?;
    let mut unknown: Vec<Duration> =
        calls.iter().filter(|call| call.saw == Saw::Nothing).map(|call| call.asked).collect();
    unknown.sort_unstable();
    every_number_was_made(&seen, &unknown)
}

/// A call that was answered.
#[derive(Clone, Copy)]
struct Seen {
    n: u64,
    reads: bool,
    asked: Duration,
    answered: Duration,
}

impl Seen {
    fn of(call: &Call) -> Option<Self> {
        let asked = call.asked;
        match call.saw {
            Saw::Counted { n, answered } => Some(Self { n, reads: false, asked, answered }),
            Saw::Read { n, answered } => Some(Self { n, reads: true, asked, answered }),
            Saw::Nothing => None,
        }
    }
}

fn no_number_twice(seen: &[Seen]) -> Result<(), String> {
    let made: Vec<u64> = seen.iter().filter(|seen| !seen.reads).map(|seen| seen.n).collect();
    match made.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two increments made {}", pair[0])),
        None => Ok(()),
    }
}

/// Nothing was answered before something was asked that comes earlier in the order of the numbers.
fn in_the_order_of_time(seen: &[Seen]) -> Result<(), String> {
    let mut latest: Option<Seen> = None;
    for group in seen.chunk_by(|a, b| (a.n, a.reads) == (b.n, b.reads)) {
        if let Some(before) = latest
            && let Some(early) = group.iter().find(|seen| seen.answered < before.asked)
        {
            return Err(format!(
                "{} was answered at {:?}, and {} was asked for only at {:?}",
                early.n, early.answered, before.n, before.asked
            ));
        }
        latest = group.iter().copied().chain(latest).max_by_key(|seen| seen.asked);
    }
    Ok(())
}

/// Every number that nobody was told has an increment of unknown outcome, asked for before anybody saw that
/// number or a greater one.
fn every_number_was_made(seen: &[Seen], unknown: &[Duration]) -> Result<(), String> {
    let mut unknown = unknown.iter();
    let mut next = 1;
    for (i, at) in seen.iter().enumerate() {
        let made_by_others = if at.reads { next..at.n + 1 } else { next..at.n };
        for gap in made_by_others {
            let needed_by = seen[i..].iter().map(|later| later.answered).min();
            let made_in_time = unknown.next().zip(needed_by).is_some_and(|(asked, by)| *asked <= by);
            if !made_in_time {
                return Err(format!("nobody can have made {gap}, and {} was seen", at.n));
            }
        }
        next = next.max(at.n + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn counted(asked: u64, answered: u64, n: u64) -> Call {
        Call { asked: ms(asked), saw: Saw::Counted { n, answered: ms(answered) } }
    }

    fn read(asked: u64, answered: u64, n: u64) -> Call {
        Call { asked: ms(asked), saw: Saw::Read { n, answered: ms(answered) } }
    }

    fn nothing(asked: u64) -> Call {
        Call { asked: ms(asked), saw: Saw::Nothing }
    }

    #[track_caller]
    fn possible(calls: &[Call]) {
        assert_eq!(counter(calls), Ok(()));
    }

    #[track_caller]
    fn impossible(calls: &[Call], why: &str) {
        let found = counter(calls).unwrap_err();
        assert!(found.contains(why), "{found}");
    }

    #[test]
    fn what_overlaps_may_come_in_any_order() {
        possible(&[]);
        possible(&[counted(0, 1, 1), read(2, 3, 1), counted(2, 9, 2)]);
        possible(&[counted(0, 9, 2), counted(1, 9, 1), read(2, 8, 0), read(2, 8, 2)]);
    }

    #[test]
    fn a_lost_increment_shows() {
        impossible(&[counted(0, 1, 1), counted(2, 3, 1)], "two increments made 1");
        impossible(&[counted(0, 1, 1), read(2, 3, 0)], "0 was asked for only at 2ms");
    }

    #[test]
    fn an_increment_in_the_wrong_order_shows() {
        impossible(&[counted(0, 1, 2), counted(2, 3, 1)], "2 was answered at 1ms");
        impossible(&[counted(0, 1, 1), counted(5, 6, 2), read(2, 3, 2)], "2 was answered at 3ms");
    }

    #[test]
    fn an_unknown_increment_counts_once_or_not_at_all() {
        possible(&[nothing(0), counted(1, 2, 1)]);
        possible(&[nothing(0), counted(1, 2, 2)]);
        possible(&[nothing(0), read(1, 2, 0), read(3, 4, 1)]);
        impossible(&[nothing(0), counted(1, 2, 3)], "nobody can have made 2");
        impossible(&[counted(0, 1, 2), nothing(5)], "nobody can have made 1");
        impossible(&[nothing(0), counted(1, 2, 2), read(3, 4, 3)], "nobody can have made 3");
    }
}
