//! What this process has seen of late, by key of the session: bounded, and never more than a short cut.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoreKey;
use super::by_key::ByKey;

/// Entries of a generation; there are two. A session needs its entry from its load to its write.
const GENERATION: usize = 16_384;

/// Remembers the entries that were set last: at least one generation of them, at most two.
pub(super) struct Recent<T>(Mutex<Generations<T>>);

struct Generations<T> {
    young: ByKey<T>,
    old: ByKey<T>,
}

impl<T: Copy> Recent<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Generations { young: ByKey::default(), old: ByKey::default() }))
    }

    pub(super) fn get(&self, key: &StoreKey) -> Option<T> {
        let generations = self.lock();
        generations.young.get(key).or_else(|| generations.old.get(key)).copied()
    }

    pub(super) fn set(&self, key: &StoreKey, entry: T) {
        let mut generations = self.lock();
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(*key, entry);
    }

    pub(super) fn forget(&self, key: &StoreKey) {
        let mut generations = self.lock();
        generations.young.remove(key);
        generations.old.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Generations<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Copy> fmt::Debug for Recent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generations = self.lock();
        f.debug_struct("Recent").field("entries", &(generations.young.len() + generations.old.len())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> StoreKey {
        // Spread as digests are.
        StoreKey::from_bytes(
            (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_ne_bytes(),
        )
    }

    #[test]
    fn the_latest_are_remembered_and_the_oldest_are_not() {
        let recent = Recent::new();
        for n in 0..3 * GENERATION {
            recent.set(&key(n), n);
            assert_eq!(recent.get(&key(n)), Some(n));
        }
        assert_eq!(recent.get(&key(2 * GENERATION)), Some(2 * GENERATION));
        assert_eq!(recent.get(&key(0)), None);
        recent.forget(&key(2 * GENERATION));
        assert_eq!(recent.get(&key(2 * GENERATION)), None);
        let generations = recent.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
