//! One part of the records, with the leases, index entries and waiters that belong to them.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::store::by_key::{ByDigest, ByKey};
use crate::store::{
    Acquired, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Predecessor, Record, Renewed, Replaced,
    StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// The records whose keys share their first byte.
#[derive(Default)]
pub(super) struct Shard {
    // Not boxed: a load of one record among many costs what it misses in the processor's caches.
    records: ByDigest<Kept>,
    /// Only records that are bound to a user. Beside their records, so that both change in one step; that a
    /// list of one user then visits all shards costs microseconds, and it is rarely asked for.
    users: BTreeSet<(UserKey, [u8; 16])>,
    /// Only keys somebody waits for.
    waiting: ByKey<Arc<Notify>>,
}

/// A record as it is kept.
struct Kept {
    // In the form in which it is handed out, so that a read allocates nothing; a copy of exactly the payload's size,
    // as the writer's buffer may be part of a larger one.
    payload: Bytes,
    version: Version,
    expires_at: Timestamp,
    user: Option<UserKey>,
    held: Held,
}

/// The state of a record's lease.
#[derive(Clone, Copy)]
struct Held {
    by: LeaseToken,
    until: Timestamp,
}

impl Held {
    /// A lease that was over before any clock began.
    const FREE: Self = Self { by: LeaseToken::from_u64(0), until: Timestamp::EPOCH };

    fn new(lease: Lease, now: Timestamp) -> Self {
        Self { by: lease.token, until: now + lease.ttl }
    }

    fn is_free(self, now: Timestamp) -> bool {
        self.until <= now
    }

    fn is_held_by(self, token: LeaseToken, now: Timestamp) -> bool {
        self.by == token && !self.is_free(now)
    }
}

impl Kept {
    fn new(record: &Record) -> Self {
        let Record { payload, version, expires_at, user } = record;
        Self {
            payload: Bytes::copy_from_slice(payload),
            version: *version,
            expires_at: *expires_at,
            user: *user,
            held: Held::FREE,
        }
    }

    fn read(&self) -> Record {
        Record {
            payload: self.payload.clone(),
            version: self.version,
            expires_at: self.expires_at,
            user: self.user,
        }
    }
}

/// Reads and writes of one record. The time is an argument, so no lock is held while a clock is read.
impl Shard {
    pub(super) fn has(&self, key: &StoreKey) -> bool {
        self.records.contains_key(key.as_bytes())
    }

    pub(super) fn read(&self, key: &StoreKey) -> Option<Record> {
        self.records.get(key.as_bytes()).map(Kept::read)
    }

    /// Stores a record under a key that has none.
    pub(super) fn insert(&mut self, key: StoreKey, record: &Record) {
        if let Some(user) = record.user {
            self.users.insert((user, *key.as_bytes()));
        }
        self.records.insert(*key.as_bytes(), Kept::new(record));
    }

    pub(super) fn update(
        &mut self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        end: LeaseEnd,
        now: Timestamp,
    ) -> Updated {
        let Some(kept) = self.records.get_mut(key.as_bytes()) else { return Updated::Missing };
        if kept.version != seen {
            return Updated::Stale;
        }
        let held = match end {
            LeaseEnd::Release(token) if kept.held.by == token => Held::FREE,
            LeaseEnd::Renew(lease) if kept.held.is_held_by(lease.token, now) => Held::new(lease, now),
            LeaseEnd::None | LeaseEnd::Release(_) | LeaseEnd::Renew(_) => kept.held,
        };
        let user_before = kept.user;
        *kept = Kept { held, ..Kept::new(record) };
        self.move_in_index(key, user_before, record.user);
        if held.is_free(now) {
            self.wake(key);
        }
        Updated::Stored
    }

    /// Takes the old record of a replacement out of the way, or says why that can't be done.
    pub(super) fn give_way(
        &mut self,
        key: &StoreKey,
        seen: Version,
        predecessor: &Predecessor<'_>,
    ) -> Replaced {
        let Some(kept) = self.records.get_mut(key.as_bytes()) else { return Replaced::Missing };
        if kept.version != seen {
            return Replaced::Stale;
        }
        match predecessor {
            Predecessor::Delete => {
                self.remove(key);
            }
            Predecessor::Update(record) => {
                let user_before = kept.user;
                *kept = Kept::new(record);
                self.move_in_index(key, user_before, record.user);
                self.wake(key);
            }
        }
        Replaced::Stored
    }

    pub(super) fn touch(&mut self, key: &StoreKey, expires_at: Timestamp) -> Touched {
        let Some(kept) = self.records.get_mut(key.as_bytes()) else { return Touched::Missing };
        kept.expires_at = expires_at;
        Touched::Moved
    }

    pub(super) fn delete(&mut self, key: &StoreKey, seen: Option<Version>) -> Deleted {
        let Some(kept) = self.records.get(key.as_bytes()) else { return Deleted::Missing };
        if seen.is_some_and(|seen| seen != kept.version) {
            return Deleted::Stale;
        }
        self.remove(key);
        Deleted::Gone
    }

    /// Deletes a record and reports whether there was one.
    pub(super) fn remove(&mut self, key: &StoreKey) -> bool {
        let Some(kept) = self.records.remove(key.as_bytes()) else { return false };
        self.move_in_index(key, kept.user, None);
        self.wake(key);
        true
    }

    fn move_in_index(&mut self, key: &StoreKey, before: Option<UserKey>, after: Option<UserKey>) {
        if before == after {
            return;
        }
        if let Some(user) = before {
            self.users.remove(&(user, *key.as_bytes()));
        }
        if let Some(user) = after {
            self.users.insert((user, *key.as_bytes()));
        }
    }
}

/// Leases, and those who wait for one.
impl Shard {
    pub(super) fn acquire(&mut self, key: &StoreKey, lease: Lease, now: Timestamp) -> Acquired {
        let Some(kept) = self.records.get_mut(key.as_bytes()) else { return Acquired::Missing };
        if !kept.held.is_free(now) && kept.held.by != lease.token {
            return Acquired::Busy;
        }
        kept.held = Held::new(lease, now);
        Acquired::Held(Found { record: kept.read(), now })
    }

    pub(super) fn renew(&mut self, key: &StoreKey, lease: Lease, now: Timestamp) -> Renewed {
        let Some(kept) = self.records.get_mut(key.as_bytes()) else { return Renewed::Lost };
        if !kept.held.is_held_by(lease.token, now) {
            return Renewed::Lost;
        }
        kept.held = Held::new(lease, now);
        Renewed::Extended
    }

    pub(super) fn release(&mut self, key: &StoreKey, token: LeaseToken) {
        let Some(kept) = self.records.get_mut(key.as_bytes()) else { return };
        if kept.held.by == token {
            kept.held = Held::FREE;
            self.wake(key);
        }
    }

    /// Registers a waiter and returns when the lease ends if nobody ends it earlier; `None` if it is free.
    pub(super) fn wait(&mut self, key: &StoreKey, now: Timestamp) -> Option<(OwnedNotified, Timestamp)> {
        let held = self.records.get(key.as_bytes())?.held;
        if held.is_free(now) {
            return None;
        }
        let notify = self.waiting.entry(*key).or_default();
        // Made under the lock, so that no release can slip in between.
        Some((Arc::clone(notify).notified_owned(), held.until))
    }

    /// Forgets the entry of a waiter that gave up, if nobody else waits for the key.
    pub(super) fn stop_waiting(&mut self, key: &StoreKey) {
        if let Entry::Occupied(waiting) = self.waiting.entry(*key)
            && Arc::strong_count(waiting.get()) == 1
        {
            waiting.remove();
        }
    }

    fn wake(&mut self, key: &StoreKey) {
        // Nobody waits most of the time, and then no key is hashed.
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.remove(key)
        {
            waiting.notify_waiters();
        }
    }
}

/// Lists and the purge.
impl Shard {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Adds the records of a user after a key, in the order of keys, until `listed` holds `limit`.
    pub(super) fn list_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: usize,
        listed: &mut Vec<Listed>,
    ) {
        let first = after
            .map_or(Bound::Included((*user, [0; 16])), |after| Bound::Excluded((*user, *after.as_bytes())));
        let last = Bound::Included((*user, [0xff; 16]));
        let keys = self.users.range((first, last)).map(|(_, digest)| StoreKey::from_bytes(*digest));
        let records = keys.filter_map(|key| Some(Listed { key, record: self.read(&key)? }));
        listed.extend(records.take(limit - listed.len()));
    }

    /// Adds the records after a key, in the order of keys, until `listed` holds `limit`.
    pub(super) fn list(&self, after: Option<&StoreKey>, limit: usize, listed: &mut Vec<Listed>) {
        let mut kept: Vec<_> =
            self.records.iter().filter(|(digest, _)| after.is_none_or(|a| *digest > a.as_bytes())).collect();
        kept.sort_unstable_by_key(|(digest, _)| **digest);
        let listed_as = |(digest, kept): (&[u8; 16], &Kept)| Listed {
            key: StoreKey::from_bytes(*digest),
            record: kept.read(),
        };
        let records = kept.into_iter().map(listed_as);
        listed.extend(records.take(limit - listed.len()));
    }

    /// Deletes at most `limit` records whose deadline has passed, and returns how many.
    pub(super) fn purge(&mut self, now: Timestamp, limit: usize) -> usize {
        let expired = self.records.extract_if(|_, kept| kept.expires_at <= now).take(limit);
        let expired: Vec<_> =
            expired.map(|(digest, kept)| (StoreKey::from_bytes(digest), kept.user)).collect();
        for (key, user) in &expired {
            self.move_in_index(key, *user, None);
            self.wake(key);
        }
        self.give_back_room();
        expired.len()
    }

    /// Lets a table shrink of which a purge has left little.
    fn give_back_room(&mut self) {
        if self.records.len() < self.records.capacity() / 4 {
            self.records.shrink_to(2 * self.records.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn key(n: u8) -> StoreKey {
        StoreKey::from_bytes([n; 16])
    }

    fn shard(records: u8) -> Shard {
        let mut shard = Shard::default();
        for n in 0..records {
            let (payload, version) = (Bytes::from_static(b"payload"), Version::fresh());
            shard.insert(key(n), &Record { payload, version, expires_at: NOW, user: None });
        }
        shard
    }

    #[test]
    fn a_record_is_kept_in_104_bytes_and_its_payload() {
        assert_eq!(size_of::<([u8; 16], Kept)>(), 104);
    }

    #[test]
    fn a_purge_gives_room_back() {
        let mut shard = shard(200);
        let full = shard.records.capacity();
        assert_eq!(shard.purge(NOW, 190), 190);
        assert_eq!(shard.len(), 10);
        assert!(shard.records.capacity() < full / 4);
    }

    #[test]
    fn only_one_who_waits_has_a_place() {
        let mut shard = shard(2);
        let lease = Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(1) };
        for n in [0, 1] {
            assert!(shard.wait(&key(n), NOW).is_none(), "nobody waits for a free lease");
            assert!(matches!(shard.acquire(&key(n), lease, NOW), Acquired::Held(_)));
        }
        let (gives_up, until) = shard.wait(&key(0), NOW).expect("the lease is held");
        let (woken, _) = shard.wait(&key(1), NOW).expect("the lease is held");
        assert_eq!(until, NOW + lease.ttl);
        shard.stop_waiting(&key(0));
        assert_eq!(shard.waiting.len(), 2, "the place of one who still waits is kept");
        drop(gives_up);
        shard.stop_waiting(&key(0));
        shard.release(&key(1), lease.token);
        assert!(shard.waiting.is_empty());
        drop(woken);
    }
}
