//! Turns: requests of one node that want the same session exclusively take them one after another.
//!
//! The first one takes the store's lease; each of the others is handed the turn by the one before it,
//! with the lease and, after a commit, with the record, so that it needs no store call to begin. The queue
//! is fair. The lease of the store keeps other nodes out; it is given back now and then, so that they get
//! their turn, too.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::store::by_key::ByKey;
use crate::store::{Found, Lease, LeaseEnd, LeaseToken, StoreKey};
use crate::token::SecretDigest;

/// Locks are held for a few instructions each; a few of them keep cores out of each other's way.
const SHARDS: usize = 16;

/// How often in a row a session is handed over on one node before other nodes get their chance.
const TURNS_IN_A_ROW: u32 = 16;

/// How long in a row a session is handed over on one node before other nodes get their chance.
const TIME_IN_A_ROW: Duration = Duration::from_secs(1);

/// Where requests queue.
pub(crate) struct Desk {
    shards: [Mutex<ByKey<Place>>; SHARDS],
    /// Gives back a lease whose holder is gone.
    give_back: Box<dyn Fn(StoreKey, LeaseToken) + Send + Sync>,
}

/// What the desk knows about a session that somebody is at work on.
#[derive(Default)]
struct Place {
    waiters: VecDeque<Waiter>,
    lease: Option<Held>,
    /// The secrets with which the session opens, as the one at work found it.
    secrets: Secrets,
}

/// The secrets with which a session opens: the present one, and its predecessor while that is good.
pub(crate) type Secrets = [Option<SecretDigest>; 2];

struct Waiter {
    arrived: Instant,
    sender: oneshot::Sender<Turn>,
}

/// A lease of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) token: LeaseToken,
    /// When this node took it, or last began anew after other nodes had their chance.
    taken: Instant,
    renewed: Instant,
    turns: u32,
    pub(crate) lost: bool,
}

/// What a waiter is handed with its turn.
#[derive(Default)]
pub(crate) struct Handed {
    /// The record as the one before committed it, and when that commit began. Boxed, because it rarely comes.
    found: Option<Box<(Found, Instant)>>,
    /// Other nodes should get a chance first.
    pub(crate) after_others: bool,
}

impl Handed {
    fn is_any(&self) -> bool {
        self.found.is_some() || self.after_others
    }

    /// Returns the record as the one before committed it. Without it, the record is to be read again.
    pub(crate) fn into_found(self) -> Option<Found> {
        self.found.map(|handed| handed.0)
    }
}

/// The right to work on a session, among the requests of this node. Passed on when dropped.
pub(crate) struct Turn {
    desk: Arc<Desk>,
    key: StoreKey,
    handed: Handed,
    /// The token of the lease that this node holds, if it does.
    lease: Option<LeaseToken>,
    /// When it was decided that the commit, which begins then, keeps the lease for a waiter.
    kept_at: Option<Instant>,
    done: bool,
}

/// A request that waits for its turn.
pub(crate) struct Waiting(oneshot::Receiver<Turn>);

impl Waiting {
    /// Waits for the turn.
    pub(crate) async fn turn(self) -> Turn {
        self.0.await.expect("a turn is passed on until nobody waits")
    }
}

impl Desk {
    pub(crate) fn new(give_back: impl Fn(StoreKey, LeaseToken) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { shards: Default::default(), give_back: Box::new(give_back) })
    }

    /// Takes a turn, if nobody of this node is at work on the session; else gets in line.
    pub(crate) fn enter(self: &Arc<Self>, key: &StoreKey) -> Result<Turn, Waiting> {
        let mut shard = self.shard(key);
        match shard.get_mut(key) {
            None => {
                shard.insert(*key, Place::default());
                Ok(Turn::new(self, key, Handed::default(), None))
            }
            Some(place) => {
                let (sender, receiver) = oneshot::channel();
                place.waiters.push_back(Waiter { arrived: Instant::now(), sender });
                Err(Waiting(receiver))
            }
        }
    }

    /// Reports whether a secret opens the session that somebody is at work on, as far as the desk knows.
    pub(crate) fn knows(&self, key: &StoreKey, presented: &SecretDigest) -> bool {
        self.shard(key)
            .get(key)
            .is_some_and(|place| place.secrets.iter().flatten().any(|s| s.matches(presented)))
    }

    /// Returns the leases that have not been renewed for `interval` and not been held for `max`.
    pub(crate) fn due(&self, interval: Duration, max: Duration) -> Vec<(StoreKey, LeaseToken)> {
        let mut due = Vec::new();
        for shard in &self.shards {
            for (key, place) in &mut *lock(shard) {
                if let Some(held) = &mut place.lease
                    && !held.lost
                    && held.renewed.elapsed() >= interval
                    && held.taken.elapsed() < max
                {
                    held.renewed = Instant::now();
                    due.push((*key, held.token));
                }
            }
        }
        due
    }

    /// Notes that a lease is lost.
    pub(crate) fn lose(&self, key: &StoreKey, token: LeaseToken) {
        if let Some(held) = self.shard(key).get_mut(key).and_then(|place| place.lease.as_mut())
            && held.token == token
        {
            held.lost = true;
        }
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, ByKey<Place>> {
        lock(&self.shards[usize::from(key.as_bytes()[0]) % SHARDS])
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk(..)")
    }
}

impl Turn {
    fn new(desk: &Arc<Desk>, key: &StoreKey, handed: Handed, lease: Option<LeaseToken>) -> Self {
        Self { desk: Arc::clone(desk), key: *key, handed, lease, kept_at: None, done: false }
    }

    /// Returns what came with the turn, once; `None` if it was taken without a wait.
    pub(crate) fn take_handed(&mut self) -> Option<Handed> {
        self.handed.is_any().then(|| std::mem::take(&mut self.handed))
    }

    /// Returns the token of the lease that this node holds on the session, if it does.
    pub(crate) fn lease(&self) -> Option<LeaseToken> {
        self.lease
    }

    /// Notes a lease that was taken from the store, and with which secrets the session opens, so that nobody
    /// else needs to wait for a turn.
    pub(crate) fn hold(&mut self, token: LeaseToken, secrets: Secrets) {
        let now = Instant::now();
        self.lease = Some(token);
        if let Some(place) = self.desk.shard(&self.key).get_mut(&self.key) {
            // The same lease, taken once more after a request that only read, is one turn more in a row.
            let before = place.lease.filter(|held| held.token == token);
            let (taken, turns) = before.map_or((now, 0), |held| (held.taken, held.turns + 1));
            place.lease = Some(Held { token, taken, renewed: now, turns, lost: false });
            place.secrets = secrets;
        }
    }

    /// Notes with which secrets the session opens that was handed over with its lease.
    pub(crate) fn opens_with(&self, secrets: Secrets) {
        if let Some(place) = self.desk.shard(&self.key).get_mut(&self.key) {
            place.secrets = secrets;
        }
    }

    /// Decides, right before a commit, what it does with the lease: kept for a waiter of this node, or ended.
    pub(crate) fn lease_end(&mut self, ttl: Duration) -> LeaseEnd {
        let mut shard = self.desk.shard(&self.key);
        let place = shard.get_mut(&self.key);
        let Some((held, place)) = place.and_then(|place| Some((place.lease?, place))) else {
            return LeaseEnd::None;
        };
        let someone_waits = place.waiters.iter().any(|waiter| !waiter.sender.is_closed());
        drop(shard);
        self.kept_at = (someone_waits && !held.is_spent()).then(Instant::now);
        match self.kept_at {
            Some(_) => LeaseEnd::Renew(Lease { token: held.token, ttl }),
            None => LeaseEnd::Release(held.token),
        }
    }

    /// Reports whether [`lease_end`](Self::lease_end) kept the lease.
    pub(crate) fn keeps_lease(&self) -> bool {
        self.kept_at.is_some()
    }

    /// Passes the turn on after a commit that kept the lease: with the lease, and with the record for a
    /// waiter that was there when the commit began. One that came later might miss a revocation.
    pub(crate) fn hand_over(mut self, found: Found) {
        if let Some(held) = self.desk.shard(&self.key).get_mut(&self.key).and_then(|p| p.lease.as_mut()) {
            held.turns += 1;
            held.renewed = Instant::now();
        }
        self.done = true;
        let found = self.kept_at.map(|began| Box::new((found, began)));
        self.desk.pass_on(&self.key, Handed { found, after_others: false });
    }

    /// Passes the turn on after the store's lease ended with the last store call.
    pub(crate) fn pass_on_without_lease(mut self) {
        self.done = true;
        if self.desk.close(&self.key).is_some() {
            return;
        }
        let lease = self.desk.shard(&self.key).get_mut(&self.key).and_then(|place| place.lease.take());
        let after_others = lease.is_some_and(|lease| lease.had_its_time());
        self.desk.pass_on(&self.key, Handed { found: None, after_others });
    }
}

/// A request that goes away without a commit passes the turn on with the lease, which the next one makes
/// its own by acquiring it with the same token. Without a next one, or after too many turns in a row, the
/// lease is given back.
impl Drop for Turn {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(place) = self.desk.close(&self.key) {
            return self.desk.end(&self.key, place.lease);
        }
        let spent = {
            let mut shard = self.desk.shard(&self.key);
            shard.get_mut(&self.key).and_then(|place| place.lease.take_if(|held| held.is_spent()))
        };
        self.desk.end(&self.key, spent);
        self.desk.pass_on(&self.key, Handed { found: None, after_others: spent.is_some() });
    }
}

impl Held {
    /// Reports whether other nodes should get their chance.
    fn is_spent(&self) -> bool {
        self.lost || self.had_its_time()
    }

    fn had_its_time(&self) -> bool {
        self.turns >= TURNS_IN_A_ROW || self.taken.elapsed() >= TIME_IN_A_ROW
    }
}

impl Desk {
    /// Forgets a session for whose turn nobody waits, as is nearly always so; `None` if somebody does.
    fn close(&self, key: &StoreKey) -> Option<Place> {
        let mut shard = self.shard(key);
        let is_last = shard.get(key).is_some_and(|place| place.waiters.is_empty());
        is_last.then(|| shard.remove(key)).flatten()
    }

    /// Gives back a lease that nobody of this node needs any more, unless it is lost.
    fn end(&self, key: &StoreKey, lease: Option<Held>) {
        if let Some(held) = lease.filter(|held| !held.lost) {
            (self.give_back)(*key, held.token);
        }
    }

    fn pass_on(self: &Arc<Self>, key: &StoreKey, mut handed: Handed) {
        loop {
            let mut shard = self.shard(key);
            let Some(place) = shard.get_mut(key) else { return };
            let Some(waiter) = place.waiters.pop_front() else {
                let lease = shard.remove(key).and_then(|place| place.lease);
                drop(shard);
                return self.end(key, lease);
            };
            let lease = place.lease.map(|held| held.token);
            drop(shard);
            let Waiter { arrived, sender: waiter } = waiter;
            handed.found = handed.found.filter(|handed| arrived < handed.1);
            match waiter.send(Turn::new(self, key, handed, lease)) {
                Ok(()) => return,
                // The waiter is gone; the turn goes to the next one, and must not be passed on twice.
                Err(mut turn) => {
                    handed = std::mem::take(&mut turn.handed);
                    turn.done = true;
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding the lock, so what it guards is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::{Record, Version};
    use crate::time::Timestamp;

    const KEY: StoreKey = StoreKey::from_bytes([7; 16]);

    fn desk() -> (Arc<Desk>, Arc<AtomicUsize>) {
        let given_back = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&given_back);
        let give_back = move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        (Desk::new(give_back), given_back)
    }

    fn waiting(desk: &Arc<Desk>) -> Waiting {
        desk.enter(&KEY).err().expect("somebody is at work")
    }

    fn first(desk: &Arc<Desk>) -> Turn {
        desk.enter(&KEY).ok().expect("nobody is at work")
    }

    fn found() -> Found {
        let record = Record {
            payload: bytes::Bytes::new(),
            version: Version::fresh(),
            expires_at: Timestamp::MAX,
            user: None,
        };
        Found { record, now: Timestamp::EPOCH }
    }

    #[tokio::test]
    async fn turns_are_taken_in_the_order_of_arrival() {
        let (desk, _) = desk();
        let (holder, second, third) = (first(&desk), waiting(&desk), waiting(&desk));
        drop(holder);
        let turn = second.turn().await;
        assert!(desk.enter(&KEY).is_err(), "the third one is before any later one");
        drop(turn);
        drop(third.turn().await);
        assert!(desk.enter(&KEY).is_ok());
    }

    #[tokio::test]
    async fn a_waiter_that_went_away_is_passed_over() {
        let (desk, given_back) = desk();
        let (mut holder, gone, third) = (first(&desk), waiting(&desk), waiting(&desk));
        holder.hold(LeaseToken::fresh(), Secrets::default());
        drop(gone);
        drop(holder);
        let turn = third.turn().await;
        assert!(turn.lease().is_some(), "the lease came with the turn");
        drop(turn);
        assert_eq!(given_back.load(Ordering::Relaxed), 1, "and was given back when nobody waited");
    }

    #[tokio::test]
    async fn a_turn_that_was_sent_to_a_waiter_that_goes_away_is_passed_on() {
        let (desk, _) = desk();
        let (holder, second) = (first(&desk), waiting(&desk));
        drop(holder);
        drop(second);
        assert!(desk.enter(&KEY).is_ok());
    }

    #[tokio::test]
    async fn a_record_is_handed_only_to_who_was_there_when_its_commit_began() {
        let (desk, _) = desk();
        let mut holder = first(&desk);
        holder.hold(LeaseToken::fresh(), Secrets::default());
        let (early, goes_away) = (waiting(&desk), waiting(&desk));
        assert!(keeps(&mut holder));
        holder.hand_over(found());
        let mut turn = early.turn().await;
        assert!(turn.take_handed().and_then(Handed::into_found).is_some());
        assert!(keeps(&mut turn));
        let late = waiting(&desk);
        drop(goes_away);
        turn.hand_over(found());
        assert!(late.turn().await.take_handed().and_then(Handed::into_found).is_none());
    }

    #[tokio::test]
    async fn other_nodes_get_their_chance_after_so_many_turns() {
        let (desk, given_back) = desk();
        let mut turn = first(&desk);
        turn.hold(LeaseToken::fresh(), Secrets::default());
        for _ in 0..TURNS_IN_A_ROW {
            let next = waiting(&desk);
            assert!(keeps(&mut turn));
            turn.hand_over(found());
            turn = next.turn().await;
        }
        let next = waiting(&desk);
        assert!(!keeps(&mut turn));
        drop(turn);
        assert_eq!(given_back.load(Ordering::Relaxed), 1);
        assert!(next.turn().await.take_handed().is_some_and(|handed| handed.after_others));
    }

    fn keeps(turn: &mut Turn) -> bool {
        let end = turn.lease_end(Duration::from_secs(1));
        assert_eq!(turn.keeps_lease(), matches!(end, LeaseEnd::Renew(_)));
        turn.keeps_lease()
    }
}
