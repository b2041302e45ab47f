//! What was read while somebody else held the lock, and so may be half of a write.

use std::sync::{Mutex, PoisonError};

use crate::store::by_key::ByKey;
use crate::store::{StoreKey, Version};

/// For how many records it is remembered. They are few: a view of a session that is being worked on right then.
const KEPT: usize = 1_024;

/// The last such reading of each record.
///
/// Half of a write looks damaged, and damaged records are set aside. Before that is done to a record, this tells
/// whether it still is what looked so.
#[derive(Debug, Default)]
pub(super) struct Unproven(Mutex<ByKey<Version>>);

impl Unproven {
    /// Notes what was read without the lock.
    pub(super) fn note(&self, key: &StoreKey, read: Version) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= KEPT
            && let Some(other) = noted.keys().next().copied()
        {
            noted.remove(&other);
        }
        noted.insert(*key, read);
    }

    /// Forgets a record: it was read under the lock.
    pub(super) fn forget(&self, key: &StoreKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Reports whether the last reading may have been half of a write, `now` being what is there.
    pub(super) fn was_half(&self, key: &StoreKey, now: Version) -> bool {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(key).is_some_and(|read| *read != now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_without_the_lock_that_differs_may_have_been_half_of_a_write() {
        let unproven = Unproven::default();
        let (key, half, whole) = (StoreKey::from_bytes([1; 16]), Version::fresh(), Version::fresh());
        assert!(!unproven.was_half(&key, whole));
        unproven.note(&key, half);
        assert!(unproven.was_half(&key, whole));
        assert!(!unproven.was_half(&key, half));
        unproven.forget(&key);
        assert!(!unproven.was_half(&key, whole));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let unproven = Unproven::default();
        for number in 0..2_000_u128 {
            unproven.note(&StoreKey::from_bytes(number.to_le_bytes()), Version::fresh());
        }
        assert_eq!(unproven.0.lock().expect("not poisoned").len(), KEPT);
    }
}
