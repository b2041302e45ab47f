//! A store whose calls wait until a test lets them go, one at a time, and the search through all orders.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::store::memory::MemoryStore;
use steadfast::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use steadfast::{Result, Timestamp};
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// More turns of the scheduler than any chain of tasks needs to come to rest.
const TURNS_TO_REST: usize = 40;

/// How calls go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// At once.
    Free,
    /// When the test lets them.
    Stepped,
    /// At once, but not without waiting for a turn before and after their effect.
    Yielding,
}

/// A memory store whose calls go on as a test wants.
#[derive(Clone, Debug)]
pub(super) struct SteppedStore {
    store: Arc<MemoryStore>,
    gates: Gates,
}

/// Where calls wait.
#[derive(Clone, Debug)]
pub(super) struct Gates(Arc<Mutex<Waiting>>);

#[derive(Debug)]
struct Waiting {
    pace: Pace,
    calls: Vec<oneshot::Sender<()>>,
    writes_begun: usize,
}

impl SteppedStore {
    pub(super) fn new(store: MemoryStore) -> (Self, Gates) {
        let waiting = Waiting { pace: Pace::Free, calls: Vec::new(), writes_begun: 0 };
        let gates = Gates(Arc::new(Mutex::new(waiting)));
        (Self { store: Arc::new(store), gates: gates.clone() }, gates)
    }

    async fn call<T>(&self, effect: impl Future<Output = T>) -> T {
        match self.gates.pace() {
            Pace::Free => effect.await,
            Pace::Yielding => {
                yield_now().await;
                let outcome = effect.await;
                yield_now().await;
                outcome
            }
            Pace::Stepped => {
                self.gates.wait().await;
                effect.await
            }
        }
    }

    async fn write<T>(&self, effect: impl Future<Output = T>) -> T {
        self.gates.0.lock().unwrap().writes_begun += 1;
        self.call(effect).await
    }
}

impl Gates {
    pub(super) fn set(&self, pace: Pace) {
        self.0.lock().unwrap().pace = pace;
    }

    fn pace(&self) -> Pace {
        self.0.lock().unwrap().pace
    }

    /// How many writes were begun so far.
    pub(super) fn writes_begun(&self) -> usize {
        self.0.lock().unwrap().writes_begun
    }

    async fn wait(&self) {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().calls.push(sender);
        receiver.await.unwrap();
    }

    /// How many calls wait.
    fn waiting(&self) -> usize {
        self.0.lock().unwrap().calls.len()
    }

    fn open(&self, at: usize) {
        let call = self.0.lock().unwrap().calls.remove(at);
        // The caller may be gone by now.
        let _ = call.send(());
    }

    /// Lets the calls go one after another, in the order that is to be tried, until all is done.
    pub(super) async fn run_through(&self, order: &mut Order, all_done: impl Fn() -> bool) {
        loop {
            rest().await;
            match self.waiting() {
                0 if all_done() => return,
                // Somebody waits for a timer of a few milliseconds.
                0 => tokio::time::advance(Duration::from_millis(50)).await,
                calls => self.open(order.choose(calls)),
            }
        }
    }
}

/// Lets all tasks run until none of them can go on.
pub(super) async fn rest() {
    for _ in 0..TURNS_TO_REST {
        yield_now().await;
    }
}

/// One order of calls, and the way to the next one.
#[derive(Default, Debug)]
pub(super) struct Order {
    /// What is chosen, and among how many.
    choices: Vec<(usize, usize)>,
    at: usize,
}

impl Order {
    fn choose(&mut self, among: usize) -> usize {
        if self.at == self.choices.len() {
            self.choices.push((0, among));
        }
        let (choice, before) = self.choices[self.at];
        assert_eq!(before, among, "the same choices lead to the same place");
        self.at += 1;
        choice
    }

    /// Turns to the next order; `false` if there is none.
    pub(super) fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, among)) = self.choices.pop() {
            if choice + 1 < among {
                self.choices.push((choice + 1, among));
                return true;
            }
        }
        false
    }
}

impl Store for SteppedStore {
    fn driver(&self) -> &'static str {
        self.store.driver()
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn now(&self) -> Result<Timestamp> {
        self.store.now().await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        self.call(self.store.load(key)).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        self.call(self.store.acquire(key, lease)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        self.write(self.store.create(key, record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        self.write(self.store.update(key, seen, record, lease)).await
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        self.write(self.store.replace(old, seen, predecessor, new, record)).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        self.call(self.store.touch(key, expires_at)).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        self.call(self.store.renew(key, lease)).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.call(self.store.release(key, token)).await
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        self.store.released(key, wait).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        self.write(self.store.delete(key, seen)).await
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.call(self.store.set_aside(key)).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        self.call(self.store.of_user(user, after, limit)).await
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.call(self.store.purge(limit)).await
    }

    async fn count(&self) -> Result<u64> {
        self.store.count().await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        self.call(self.store.page(after, limit)).await
    }
}
