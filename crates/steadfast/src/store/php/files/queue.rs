//! Waiting for PHP's lock in the kernel's own queue, where PHP's processes wait too.
//!
//! A blocking `flock` can't be given up, so each waits in a thread of its own, one for a session however many wait
//! for it here. Whoever gives up leaves the thread behind; it ends as soon as PHP lets the file go. So there is a
//! bound on their number, and beyond it waiters poll.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::StoreKey;
use crate::store::by_key::ByKey;

use super::lock::{self, LockedFile};

/// How many threads wait for PHP at the most. Each has a small stack and sleeps.
const MAX_THREADS: usize = 64;
/// The stack of a thread, in bytes: it opens a file and waits.
const STACK: usize = 128 << 10;
/// How long a lock that was won is kept for whoever waited. Then PHP may have it.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// The sessions that are waited for, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    by_key: ByKey<Arc<Place>>,
    threads: usize,
}

/// Where a thread waits for the lock of one session.
#[derive(Debug, Default)]
struct Place {
    state: Mutex<State>,
    /// Tells the waiters that the thread's waiting is over.
    decided: Notify,
    /// Tells the thread that the lock that it won was taken.
    taken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiters: usize,
    outcome: Outcome,
}

#[derive(Debug, Default)]
enum Outcome {
    /// The thread waits.
    #[default]
    Open,
    /// It has the lock.
    Won(LockedFile),
    /// The lock was taken or given back, or there is no file to wait for.
    Over,
}

/// Somebody who waits. Dropped, it waits no more.
#[derive(Debug)]
pub(super) struct Waiter(Arc<Place>);

impl Queue {
    /// Joins those who wait for a session; `None` if too many threads wait already.
    pub(super) fn join(&self, key: &StoreKey, path: PathBuf, user: u32) -> Option<Waiter> {
        let mut places = locked(&self.0);
        if let Some(place) = places.by_key.get(key) {
            let mut state = locked(&place.state);
            if !matches!(state.outcome, Outcome::Over) {
                state.waiters += 1;
                drop(state);
                return Some(Waiter(Arc::clone(place)));
            }
        }
        if places.threads >= MAX_THREADS {
            return None;
        }
        let place = Arc::new(Place::default());
        let (queue, stays, key) = (self.clone(), Arc::clone(&place), *key);
        let thread = std::thread::Builder::new().name("steadfast-flock".to_owned()).stack_size(STACK);
        thread.spawn(move || queue.wait_for(&key, &stays, &path, user)).ok()?;
        places.threads += 1;
        locked(&place.state).waiters += 1;
        places.by_key.insert(key, Arc::clone(&place));
        Some(Waiter(place))
    }

    /// Takes the lock that was won for a session, if there is one.
    pub(super) fn take(&self, key: &StoreKey) -> Option<LockedFile> {
        let place = Arc::clone(locked(&self.0).by_key.get(key)?);
        let mut state = locked(&place.state);
        if !matches!(state.outcome, Outcome::Won(_)) {
            return None;
        }
        let Outcome::Won(lock) = std::mem::replace(&mut state.outcome, Outcome::Over) else { return None };
        place.taken.notify_one();
        Some(lock)
    }

    /// Waits in a thread, keeps for a while what it won, and goes.
    fn wait_for(&self, key: &StoreKey, place: &Arc<Place>, path: &Path, user: u32) {
        // An error is for the next acquire to report.
        let won = lock::lock(path, user).ok().flatten();
        place.decide(won);
        let mut places = locked(&self.0);
        places.threads -= 1;
        if places.by_key.get(key).is_some_and(|current| Arc::ptr_eq(current, place)) {
            places.by_key.remove(key);
        }
    }
}

impl Place {
    /// Offers what was won to those who still wait, until it is taken or its time is over.
    fn decide(&self, won: Option<LockedFile>) {
        let mut state = locked(&self.state);
        state.outcome = match won {
            Some(lock) if state.waiters > 0 => Outcome::Won(lock),
            _ => Outcome::Over,
        };
        self.decided.notify_waiters();
        let is_kept = |state: &mut State| matches!(state.outcome, Outcome::Won(_));
        let (mut state, _) =
            self.taken.wait_timeout_while(state, KEPT_FOR, is_kept).unwrap_or_else(PoisonError::into_inner);
        state.outcome = Outcome::Over;
    }

    fn is_open(&self) -> bool {
        matches!(locked(&self.state).outcome, Outcome::Open)
    }
}

impl Waiter {
    /// Returns when the lock was won or there is none to be won, after `wait` at the latest.
    pub(super) async fn decided(self, wait: Duration) {
        // Registered before the look, so that what is decided in between is not missed.
        let mut decided = pin!(self.0.decided.notified());
        decided.as_mut().enable();
        if self.0.is_open() {
            let _ = tokio::time::timeout(wait, decided).await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        locked(&self.0.state).waiters -= 1;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::lock::{Locking, try_lock};
    use super::*;

    const KEY: StoreKey = StoreKey::from_bytes([1; 16]);
    const LONG: Duration = Duration::from_secs(60);
    /// Root may lock anybody's files.
    const ROOT: u32 = 0;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let path = temp.path().join("file");
        std::fs::write(&path, b"").expect("it is written");
        (temp, path)
    }

    #[tokio::test]
    async fn what_was_won_is_there_to_be_taken_by_all_who_waited_together() {
        let (_temp, path) = file();
        let queue = Queue::default();
        let held = lock::lock(&path, ROOT).expect("it can be locked");
        let waiters = [(); 3].map(|()| queue.join(&KEY, path.clone(), ROOT).expect("there is room"));
        assert_eq!(locked(&queue.0).threads, 1);
        assert!(queue.take(&KEY).is_none());
        drop(held);
        for waiter in waiters {
            waiter.decided(LONG).await;
        }
        let won = queue.take(&KEY).expect("it was won");
        assert!(queue.take(&KEY).is_none());
        assert!(matches!(try_lock(&path, ROOT), Ok(Locking::Busy)));
        drop(won);
        assert!(matches!(try_lock(&path, ROOT), Ok(Locking::Locked(_))));
    }

    #[tokio::test]
    async fn a_lock_for_which_nobody_waits_any_more_is_given_back_at_once() {
        let (_temp, path) = file();
        let queue = Queue::default();
        let held = lock::lock(&path, ROOT).expect("it can be locked");
        let given_up = queue.join(&KEY, path.clone(), ROOT).expect("there is room");
        given_up.decided(Duration::ZERO).await;
        drop(held);
        // The thread takes the lock and gives it back; whoever comes behind it in the kernel's queue has it then.
        let next = lock::lock(&path, ROOT).expect("it can be locked");
        assert!(next.is_some() && queue.take(&KEY).is_none());
    }

    #[tokio::test]
    async fn there_is_nothing_to_wait_for_without_a_file() {
        let queue = Queue::default();
        let waiter = queue.join(&KEY, "/nowhere/file".into(), ROOT).expect("there is room");
        waiter.decided(LONG).await;
        assert!(queue.take(&KEY).is_none());
    }

    #[tokio::test]
    async fn only_so_many_threads_wait() {
        let (_temp, path) = file();
        let queue = Queue::default();
        let held = lock::lock(&path, ROOT).expect("it can be locked");
        let key = |number: usize| StoreKey::from_bytes((number as u128).to_le_bytes());
        let waiters: Vec<_> = (0..MAX_THREADS).map(|n| queue.join(&key(n), path.clone(), ROOT)).collect();
        assert!(waiters.iter().all(Option::is_some));
        assert!(queue.join(&key(MAX_THREADS), path.clone(), ROOT).is_none());
        assert!(queue.join(&key(0), path.clone(), ROOT).is_some(), "it needs no thread of its own");
        drop((held, waiters));
    }
}
