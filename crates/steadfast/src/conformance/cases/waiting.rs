//! Waiting for the end of a lease.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_missing, assert_same, delete, hold, key, load, promptly, record, replace, stored, update_ending,
};
use crate::store::{
    Acquired, Lease, LeaseEnd, LeaseToken, Predecessor, Replaced, SharedStore, Store, StoreKey, Updated,
};

/// Longer than any case may run: a wait that ends earlier was ended by something else.
const FOR_AGES: Duration = Duration::from_secs(3600);

pub(crate) async fn released_returns_if_the_lease_is_free(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    promptly("a wait for a free lease", h.second().released(&key, FOR_AGES)).await;
}

pub(crate) async fn released_returns_if_the_record_is_missing(h: Harness) {
    promptly("a wait for a missing record", h.first().released(&key(), FOR_AGES)).await;
}

pub(crate) async fn released_returns_by_its_deadline(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    hold(h.first(), &key, h.long_lease()).await;
    for wait in [Duration::ZERO, Duration::from_millis(20)] {
        promptly("a short wait", h.second().released(&key, wait)).await;
    }
}

pub(crate) async fn released_returns_when_the_lease_runs_out(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    hold(h.first(), &key, Lease { token: LeaseToken::fresh(), ttl: Duration::from_millis(50) }).await;
    let store = h.second().clone();
    let wait = tokio::spawn(async move { store.released(&key, FOR_AGES).await });
    // Drivers may ask the clock again, or sleep for what was left of the lease.
    h.outlast().await;
    promptly("the wait for a lease that has run out", wait).await.expect("the waiter does not panic");
}

pub(crate) async fn a_release_lets_a_waiter_in(h: Harness) {
    let (key, lease) = held(&h).await;
    let waiter = Waiter::start(h.second(), key, h.long_lease()).await;
    h.first().release(&key, lease.token).await.expect("release works");
    assert!(waiter.let_in().await);
}

pub(crate) async fn a_waiter_of_the_same_handle_is_let_in(h: Harness) {
    let (key, lease) = held(&h).await;
    let waiter = Waiter::start(h.first(), key, h.long_lease()).await;
    h.first().release(&key, lease.token).await.expect("release works");
    assert!(waiter.let_in().await);
}

pub(crate) async fn a_commit_lets_a_waiter_in(h: Harness) {
    let (key, lease) = held(&h).await;
    let waiter = Waiter::start(h.second(), key, h.long_lease()).await;
    let (seen, two) = (load(h.first(), &key).await.version, record("two"));
    let end = LeaseEnd::Release(lease.token);
    assert_eq!(update_ending(h.first(), &key, seen, &two, end).await, Updated::Stored);
    assert!(waiter.let_in().await);
    assert_same(&load(h.second(), &key).await, &two);
}

pub(crate) async fn a_deletion_frees_a_waiter(h: Harness) {
    let (key, _) = held(&h).await;
    let waiter = Waiter::start(h.second(), key, h.long_lease()).await;
    delete(h.first(), &key).await;
    assert!(!waiter.let_in().await, "there is nothing to be let in to");
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn a_replacement_frees_a_waiter(h: Harness) {
    let frozen = record("frozen");
    for (predecessor, stays) in [(Predecessor::Delete, false), (Predecessor::Update(&frozen), true)] {
        let (old, _) = held(&h).await;
        let waiter = Waiter::start(h.second(), old, h.long_lease()).await;
        let (seen, new) = (load(h.first(), &old).await.version, record("new"));
        let replaced = replace(h.first(), &old, seen, predecessor, &key(), &new).await;
        assert_eq!(replaced, Replaced::Stored);
        assert_eq!(waiter.let_in().await, stays);
    }
}

pub(crate) async fn a_waiter_that_gives_up_disturbs_nobody(h: Harness) {
    let (key, lease) = held(&h).await;
    let gives_up = Waiter::start(h.second(), key, h.long_lease()).await;
    let stays = Waiter::start(h.second(), key, h.long_lease()).await;
    gives_up.task.abort();
    assert!(gives_up.task.await.is_err_and(|error| error.is_cancelled()));
    h.first().release(&key, lease.token).await.expect("release works");
    assert!(stays.let_in().await);
}

pub(crate) async fn every_waiter_gets_its_turn(h: Harness) {
    let (key, lease) = held(&h).await;
    let mut waiters = Vec::new();
    for store in [h.first(), h.second()].into_iter().cycle().take(16) {
        waiters.push(Waiter::start_passing_on(store, key, h.long_lease()).await);
    }
    h.first().release(&key, lease.token).await.expect("release works");
    for waiter in waiters {
        assert!(waiter.let_in().await);
    }
}

/// Stores a record and holds its lease through the first handle.
async fn held(h: &Harness) -> (StoreKey, Lease) {
    let key = stored(h.first(), &record("one")).await;
    let lease = h.long_lease();
    hold(h.first(), &key, lease).await;
    (key, lease)
}

/// Somebody who found the lease busy and waits for it, as a request does.
struct Waiter {
    task: JoinHandle<bool>,
}

impl Waiter {
    /// Starts to wait, and returns when the lease was found busy.
    async fn start(store: &SharedStore, key: StoreKey, lease: Lease) -> Self {
        Self::run(store, key, lease, false).await
    }

    /// Like `start`, but releases the lease as soon as it has got it.
    async fn start_passing_on(store: &SharedStore, key: StoreKey, lease: Lease) -> Self {
        Self::run(store, key, lease, true).await
    }

    async fn run(store: &SharedStore, key: StoreKey, lease: Lease, passes_on: bool) -> Self {
        let store = store.clone();
        let (busy, was_busy) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut busy = Some(busy);
            loop {
                match store.acquire(&key, lease).await.expect("acquire works") {
                    Acquired::Held(_) => break,
                    Acquired::Missing => return false,
                    Acquired::Busy => {}
                }
                if let Some(busy) = busy.take() {
                    busy.send(()).expect("the case waits for this");
                }
                store.released(&key, FOR_AGES).await;
            }
            if passes_on {
                store.release(&key, lease.token).await.expect("release works");
            }
            true
        });
        was_busy.await.expect("the lease is held by somebody else");
        Self { task }
    }

    /// Returns whether the lease was got, or else the record is missing.
    async fn let_in(self) -> bool {
        promptly("a waiter's turn", self.task).await.expect("the waiter does not panic")
    }
}
