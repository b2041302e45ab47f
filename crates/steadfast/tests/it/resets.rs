//! The conformance suite over connections that are reset before a call, in its request and in its answer.
//!
//! A call that fails has happened or has not, and whoever looks finds out which: the wrapper below does so, as the
//! guard around every networked driver does, and then has to answer as if nothing had happened.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steadfast::conformance::{CASES, Harness};
use steadfast::store::{
    Acquired, Coverage, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use steadfast::{Result, Timestamp};
use steadfast_servers::Proxy;
use tokio::task::JoinSet;

/// Left out: several call through one handle at once. Each harms the others' calls, and after a failure nobody can
/// tell whose write is there.
const CROWDS: [&str; 10] = [
    "every_waiter_gets_its_turn",
    "two_purges_at_once_delete_each_record_once",
    "of_many_writers_one_wins_each_version",
    "of_many_that_acquire_one_holds_the_lease",
    "of_many_that_create_one_is_stored",
    "of_many_replacements_one_is_stored",
    "a_counter_under_leases_counts_every_increment",
    "no_writer_revives_what_is_deleted_meanwhile",
    "of_a_deletion_and_an_update_one_wins",
    "a_reader_sees_the_old_record_or_the_new_one",
];

/// How many cases run at once.
const AT_ONCE: usize = 6;

/// How often a call is made before it counts as broken. A driver may take a moment to see that a connection is gone.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// Runs the suite with harnesses whose stores are wrapped in [`Reset`], and names the cases that fail. A driver may
/// leave out what it does not promise.
pub(crate) async fn suite(harness: impl AsyncFn() -> Harness, promises: impl Fn(&str) -> bool) {
    let known = |name: &&str| CASES.iter().any(|case| case.name() == *name);
    assert!(CROWDS.iter().all(known), "what is left out is in the suite");
    let mut cases = CASES.iter().filter(|case| !CROWDS.contains(&case.name()) && promises(case.name()));
    let (mut running, mut names, mut failed) = (JoinSet::new(), HashMap::new(), Vec::new());
    loop {
        while running.len() < AT_ONCE
            && let Some(case) = cases.next()
        {
            let harness = harness().await;
            names.insert(running.spawn(case.run(harness)).id(), case.name());
        }
        match running.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => failed.push(names[&error.id()]),
            None => break,
        }
    }
    assert!(failed.is_empty(), "failed under resets: {failed:?}");
}

/// A store behind a proxy of its own, which does harm to most calls.
#[derive(Debug)]
pub(crate) struct Reset<S> {
    store: S,
    proxy: Proxy,
    calls: AtomicUsize,
}

/// What a call came to.
struct Answer<T> {
    value: T,
    /// An earlier try failed, with or without its effect.
    again: bool,
}

impl<S: Store> Reset<S> {
    pub(crate) fn new(store: S, proxy: Proxy) -> Self {
        Self { store, proxy, calls: AtomicUsize::new(0) }
    }

    /// Does something to the connections that the next call will meet.
    fn harm(&self) {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 5 {
            0 => self.proxy.reset_all(),
            1 => self.proxy.cut_after(0),
            2 => self.proxy.cut_after(9),
            3 => self.proxy.cut_requests_after(21),
            _ => {}
        }
    }

    async fn call<T, F>(&self, call: impl Fn() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.harm();
        self.answer(call).await
    }

    /// Asks until there is an answer.
    async fn answer<T, F>(&self, call: impl Fn() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut again = false;
        for _ in 1..TRIES {
            match call().await {
                Ok(value) => return Answer { value, again },
                Err(_) => again = true,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Answer { value: call().await.expect("connections work again"), again }
    }

    /// Reports whether a write arrived although its answer did not.
    async fn has(&self, key: &StoreKey, written: Version) -> bool {
        let loaded = self.answer(|| self.store.load(key)).await.value;
        matches!(loaded, Loaded::Found(found) if found.record.version == written)
    }
}

impl<S: Store> Store for Reset<S> {
    fn driver(&self) -> &'static str {
        self.store.driver()
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.call(|| self.store.now()).await.value)
    }

    fn coverage(&self) -> Coverage {
        self.store.coverage()
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        Ok(self.call(|| self.store.load(key)).await.value)
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        Ok(self.call(|| self.store.acquire(key, lease)).await.value)
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let Answer { value, again } = self.call(|| self.store.create(key, record)).await;
        let arrived = again && value == Created::IdTaken && self.has(key, record.version).await;
        Ok(if arrived { Created::Stored } else { value })
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let Answer { value, again } = self.call(|| self.store.update(key, seen, record, lease)).await;
        if !(again && value == Updated::Stale && self.has(key, record.version).await) {
            return Ok(value);
        }
        // What was to happen with the lease may be all that was lost.
        match lease {
            LeaseEnd::None => {}
            LeaseEnd::Release(token) => self.answer(|| self.store.release(key, token)).await.value,
            LeaseEnd::Renew(lease) => {
                let _ = self.answer(|| self.store.renew(key, lease)).await;
            }
        }
        Ok(Updated::Stored)
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let replace = || self.store.replace(old, seen, predecessor.clone(), new, record);
        let Answer { value, again } = self.call(replace).await;
        let arrived = again && value != Replaced::Stored && self.has(new, record.version).await;
        Ok(if arrived { Replaced::Stored } else { value })
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        Ok(self.call(|| self.store.touch(key, expires_at)).await.value)
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        Ok(self.call(|| self.store.renew(key, lease)).await.value)
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.call(|| self.store.release(key, token)).await;
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        self.harm();
        self.store.released(key, wait).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let was_there = !matches!(self.answer(|| self.store.load(key)).await.value, Loaded::Missing);
        let Answer { value, again } = self.call(|| self.store.delete(key, seen)).await;
        let arrived = again && was_there && value == Deleted::Missing;
        Ok(if arrived { Deleted::Gone } else { value })
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.call(|| self.store.set_aside(key)).await;
        Ok(())
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        Ok(self.call(|| self.store.of_user(user, after, limit)).await.value)
    }

    /// Only connections that nobody uses are reset: how many were deleted would be lost with the answer.
    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.proxy.reset_all();
        Ok(self.answer(|| self.store.purge(limit)).await.value)
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.call(|| self.store.count()).await.value)
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(self.call(|| self.store.page(after, limit)).await.value)
    }
}
