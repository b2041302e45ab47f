//! Lets those in the kernel's queue have their turn.
//!
//! The kernel wakes whoever waits for a `flock` when it is free, but keeps it for nobody: a process that asks again at
//! once has it before the woken one runs. So one of ours that takes the same lock again and again steps back now and
//! then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::StoreKey;
use crate::store::by_key::ByKey;

/// How many turns in a row are taken, as many as requests of one node hand a lease to each other.
const IN_A_ROW: u32 = 16;
/// How soon after the last turn another one counts as in a row, and for how long we step back: a woken process runs
/// by then.
const STEP_BACK: Duration = Duration::from_millis(1);
/// Of how many locks it is remembered, before those that were given back longer ago are forgotten.
const KEPT: usize = 1_024;

/// The locks that this process gave back a moment ago.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<ByKey<Turn>>);

#[derive(Clone, Copy, Debug)]
struct Turn {
    given_back: Instant,
    in_a_row: u32,
}

impl Turns {
    /// Returns how long to let others go first, and counts a turn.
    pub(super) fn step_back(&self, key: &StoreKey) -> Option<Duration> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.get_mut(key)?;
        let since = turn.given_back.elapsed();
        if since >= STEP_BACK || turn.in_a_row >= IN_A_ROW {
            turn.in_a_row = 0;
            return STEP_BACK.checked_sub(since).filter(|left| !left.is_zero());
        }
        turn.in_a_row += 1;
        None
    }

    /// Notes that a lock was given back.
    pub(super) fn given_back(&self, key: &StoreKey) {
        let now = Instant::now();
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= KEPT {
            turns.retain(|_, turn| now - turn.given_back < STEP_BACK);
        }
        turns.entry(*key).or_insert(Turn { given_back: now, in_a_row: 0 }).given_back = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: StoreKey = StoreKey::from_bytes([1; 16]);

    #[tokio::test(start_paused = true)]
    async fn after_so_many_turns_in_a_row_others_go_first() {
        let turns = Turns::default();
        for round in 0..2 {
            for _ in 0..IN_A_ROW {
                assert_eq!(turns.step_back(&KEY), None, "{round}");
                turns.given_back(&KEY);
            }
            // The first turn of all is not one in a row.
            if round == 0 {
                assert_eq!(turns.step_back(&KEY), None);
                turns.given_back(&KEY);
            }
            assert_eq!(turns.step_back(&KEY), Some(STEP_BACK), "{round}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn turns_with_time_in_between_are_not_in_a_row() {
        let turns = Turns::default();
        for _ in 0..100 {
            assert_eq!(turns.step_back(&KEY), None);
            turns.given_back(&KEY);
            tokio::time::advance(STEP_BACK).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_given_back_a_moment_ago_is_remembered() {
        let turns = Turns::default();
        for number in 0..5_000_u128 {
            turns.given_back(&StoreKey::from_bytes(number.to_le_bytes()));
            tokio::time::advance(STEP_BACK).await;
        }
        assert!(turns.0.lock().expect("not poisoned").len() <= KEPT);
    }
}
