//! The locks of PHP's protocols that this process holds, each with what stands for it: an open file, a
//! connection, a value in the engine.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::store::by_key::ByKey;
use crate::store::{Lease, LeaseToken, StoreKey};

/// The locks that are held, by key of the record.
pub(super) struct HeldLocks<L> {
    places: Mutex<ByKey<Place<L>>>,
    /// Rung when a call has ended its work under a lock.
    worked: Notify,
}

struct Place<L> {
    token: LeaseToken,
    until: Instant,
    /// Empty while a call works under the lock.
    lock: Option<L>,
}

impl<L> HeldLocks<L> {
    /// Notes a lock that was taken.
    pub(super) fn insert(&self, key: StoreKey, lease: Lease, lock: L) {
        let place = Place { token: lease.token, until: Instant::now() + lease.ttl, lock: Some(lock) };
        self.places().insert(key, place);
    }

    /// Reports whether this process holds the lock of a record.
    pub(super) fn has(&self, key: &StoreKey) -> bool {
        self.places().contains_key(key)
    }

    /// Takes a lock out, to work under it; `None` if `token` does not hold it, or a call works under it now.
    pub(super) fn take(&self, key: &StoreKey, token: LeaseToken) -> Option<Taken<'_, L>> {
        let mut places = self.places();
        let place = places.get_mut(key).filter(|place| place.token == token)?;
        let lock = place.lock.take()?;
        Some(Taken { held: self, key: *key, token, lock: Some(lock) })
    }

    /// Takes a lock out, whoever of this process holds it: PHP is kept out by it in any case.
    pub(super) fn take_any(&self, key: &StoreKey) -> Option<Taken<'_, L>> {
        let token = self.places().get(key)?.token;
        self.take(key, token)
    }

    /// Takes a lock out as [`take`](Self::take) does, after a call that works under it.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(super) async fn taken(&self, key: &StoreKey, token: LeaseToken) -> Option<Taken<'_, L>> {
        loop {
            let worked = self.worked.notified();
            if let Some(taken) = self.take(key, token) {
                return Some(taken);
            }
            if self.holder(key) != Some(token) {
                return None;
            }
            worked.await;
        }
    }

    /// Takes a lock out as [`take_any`](Self::take_any) does, after a call that works under it.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(super) async fn taken_any(&self, key: &StoreKey) -> Option<Taken<'_, L>> {
        loop {
            let worked = self.worked.notified();
            if let Some(taken) = self.take_any(key) {
                return Some(taken);
            }
            if !self.has(key) {
                return None;
            }
            worked.await;
        }
    }

    #[cfg(any(feature = "mysql", feature = "postgres"))]
    fn holder(&self, key: &StoreKey) -> Option<LeaseToken> {
        self.places().get(key).map(|place| place.token)
    }

    /// Starts the time of a held lock anew, and reports whether the token still holds it.
    pub(super) fn renew(&self, key: &StoreKey, lease: Lease) -> bool {
        let mut places = self.places();
        let Some(place) = places.get_mut(key).filter(|place| place.token == lease.token) else {
            return false;
        };
        place.until = Instant::now() + lease.ttl;
        true
    }

    /// Returns when the time of the first lock is over; `None` if none is held.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.places().values().map(|place| place.until).min()
    }

    /// Takes out the locks whose time is over and under which nobody works, to be given back.
    pub(super) fn take_overdue(&self) -> Vec<(StoreKey, L)> {
        let now = Instant::now();
        let overdue = |_: &StoreKey, place: &mut Place<L>| place.until <= now && place.lock.is_some();
        let mut places = self.places();
        let overdue = places.extract_if(overdue);
        overdue.filter_map(|(key, place)| Some((key, place.lock?))).collect()
    }

    fn places(&self) -> MutexGuard<'_, ByKey<Place<L>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Default for HeldLocks<L> {
    fn default() -> Self {
        Self { places: Mutex::default(), worked: Notify::new() }
    }
}

impl<L> fmt::Debug for HeldLocks<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLocks").field("held", &self.places().len()).finish()
    }
}

/// A lock under which a call works. Dropped, it is held no more: a call that was given up halfway leaves no
/// lock of unknown state behind.
pub(super) struct Taken<'a, L> {
    held: &'a HeldLocks<L>,
    key: StoreKey,
    token: LeaseToken,
    lock: Option<L>,
}

impl<L> Taken<'_, L> {
    /// Returns what stands for the lock.
    pub(super) fn lock(&mut self) -> &mut L {
        self.lock.as_mut().expect("it is there until this value is consumed")
    }

    /// Goes on holding the lock.
    pub(super) fn keep(mut self) {
        // Unless it is somebody else's by now.
        if let Some(place) = self.held.places().get_mut(&self.key).filter(|place| place.token == self.token) {
            place.lock = self.lock.take();
        }
    }

    /// Holds the lock no more, and returns what stands for it, to be given back.
    pub(super) fn end(mut self) -> L {
        self.lock.take().expect("it is there until this value is consumed")
    }
}

impl<L> Drop for Taken<'_, L> {
    fn drop(&mut self) {
        let mut places = self.held.places();
        // Kept, or the place is somebody else's by now.
        if places.get(&self.key).is_some_and(|place| place.token == self.token && place.lock.is_none()) {
            places.remove(&self.key);
        }
        drop(places);
        self.held.worked.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEY: StoreKey = StoreKey::from_bytes([1; 16]);

    fn lease() -> Lease {
        Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn a_lock_is_taken_by_its_token_and_by_one_call_at_a_time() {
        let held = HeldLocks::default();
        let (mine, other) = (lease(), lease());
        held.insert(KEY, mine, "lock");
        assert!(held.take(&KEY, other.token).is_none());
        let taken = held.take(&KEY, mine.token).expect("held");
        assert!(held.take_any(&KEY).is_none(), "a call works under it");
        taken.keep();
        assert_eq!(held.take_any(&KEY).expect("kept").end(), "lock");
        assert!(!held.has(&KEY));
    }

    #[cfg(any(feature = "mysql", feature = "postgres"))]
    #[tokio::test]
    async fn a_call_waits_for_the_one_that_works_under_the_lock() {
        let held = HeldLocks::default();
        let lease = lease();
        held.insert(KEY, lease, "lock");
        let first = held.take(&KEY, lease.token).expect("held");
        let mut second = std::pin::pin!(held.taken(&KEY, lease.token));
        let mut third = std::pin::pin!(held.taken_any(&KEY));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(
            second.as_mut().poll(&mut context).is_pending() && third.as_mut().poll(&mut context).is_pending()
        );
        first.keep();
        assert_eq!(second.await.expect("kept").end(), "lock");
        assert!(third.await.is_none(), "it was ended");
    }

    #[tokio::test]
    async fn a_lock_that_was_lost_meanwhile_does_not_come_back() {
        let held = HeldLocks::default();
        let (mine, other) = (lease(), lease());
        held.insert(KEY, mine, "mine");
        let taken = held.take(&KEY, mine.token).expect("held");
        held.insert(KEY, other, "other");
        taken.keep();
        assert_eq!(held.take(&KEY, other.token).expect("its own").end(), "other");
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_leaves_no_lock_behind() {
        let held = HeldLocks::default();
        let lease = lease();
        held.insert(KEY, lease, "lock");
        drop(held.take(&KEY, lease.token));
        assert!(!held.has(&KEY));
        assert!(!held.renew(&KEY, lease));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_whose_time_is_over_is_given_back() {
        let held = HeldLocks::default();
        let lease = lease();
        held.insert(KEY, lease, "lock");
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(held.renew(&KEY, lease));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(held.take_overdue().is_empty(), "it was renewed");
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(held.take_overdue(), [(KEY, "lock")]);
    }
}
