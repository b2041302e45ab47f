//! Keys, records and the steps that most cases begin with.

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;

use crate::random;
use crate::store::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, Listed, Loaded, Predecessor, Record, Replaced,
    SharedStore, Store, StoreKey, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// How long something that should happen at once may take, in real time, on a slow machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A deadline that no case reaches: 2100-01-01 00:00:00 UTC.
///
/// Whole seconds, as all deadlines here are, because some engines keep no finer ones.
pub(super) const LATER: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

/// A deadline that passed long ago: 2020-01-01 00:00:00 UTC.
pub(super) const EARLIER: Timestamp = Timestamp::from_micros(1_577_836_800_000_000);

/// Returns a key that no other case has.
pub(super) fn key() -> StoreKey {
    StoreKey::from_bytes(digest())
}

/// Returns a user that no other case has.
pub(super) fn user() -> UserKey {
    UserKey::from_bytes(digest())
}

/// Returns a key that differs from another in one bit.
pub(super) fn flipped(key: &StoreKey, bit: usize) -> StoreKey {
    let mut bytes = *key.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    StoreKey::from_bytes(bytes)
}

fn digest() -> [u8; 16] {
    let both = u128::from(random::unique()) << 64 | u128::from(random::unique());
    both.to_be_bytes()
}

/// Returns a record with a version of its own, a late deadline and no user.
pub(super) fn record(payload: impl Into<Bytes>) -> Record {
    Record { payload: payload.into(), version: Version::fresh(), expires_at: LATER, user: None }
}

/// Returns a record that is bound to a user.
pub(super) fn record_of(user: UserKey, payload: impl Into<Bytes>) -> Record {
    Record { user: Some(user), ..record(payload) }
}

/// Returns a record whose deadline passed long ago.
pub(super) fn expired(payload: impl Into<Bytes>) -> Record {
    Record { expires_at: EARLIER, ..record(payload) }
}

/// Stores a record under a new key.
pub(super) async fn stored(store: &SharedStore, record: &Record) -> StoreKey {
    let key = key();
    create(store, &key, record).await;
    key
}

/// Stores a record under a key that has none.
pub(super) async fn create(store: &SharedStore, key: &StoreKey, record: &Record) {
    let created = store.create(key, record).await.expect("create works");
    assert_eq!(created, Created::Stored, "a record is created under a key that has none");
}

/// Updates over the right version, without a lease.
pub(super) async fn update(store: &SharedStore, key: &StoreKey, seen: Version, record: &Record) {
    let updated = store.update(key, seen, record, LeaseEnd::None).await.expect("update works");
    assert_eq!(updated, Updated::Stored, "an update over the version that is stored is stored");
}

/// Updates, and does something with the lease of the writer.
pub(super) async fn update_ending(
    store: &SharedStore,
    key: &StoreKey,
    seen: Version,
    record: &Record,
    end: LeaseEnd,
) -> Updated {
    store.update(key, seen, record, end).await.expect("update works")
}

/// Puts a new record in the place of an old one.
pub(super) async fn replace(
    store: &SharedStore,
    old: &StoreKey,
    seen: Version,
    predecessor: Predecessor<'_>,
    new: &StoreKey,
    record: &Record,
) -> Replaced {
    store.replace(old, seen, predecessor, new, record).await.expect("replace works")
}

/// Deletes a record that is there.
pub(super) async fn delete(store: &SharedStore, key: &StoreKey) {
    let deleted = store.delete(key, None).await.expect("delete works");
    assert_eq!(deleted, Deleted::Gone, "a record that is there is gone after delete");
}

/// Returns the time of the store, as it comes with a record that is there.
pub(super) async fn now(store: &SharedStore, key: &StoreKey) -> Timestamp {
    match store.load(key).await.expect("load works") {
        Loaded::Found(Found { record: _, now }) => now,
        Loaded::Missing => panic!("the record is there"),
    }
}

/// Loads a record that is there.
pub(super) async fn load(store: &SharedStore, key: &StoreKey) -> Record {
    match store.load(key).await.expect("load works") {
        Loaded::Found(Found { record, now: _ }) => record,
        Loaded::Missing => panic!("the record is there"),
    }
}

/// Checks that there is a record and that it is this one.
#[track_caller]
pub(super) fn assert_same(found: &Record, written: &Record) {
    assert!(found == written, "{found:?} is the record that was written, {written:?}");
}

/// Checks that there is no record.
pub(super) async fn assert_missing(store: &SharedStore, key: &StoreKey) {
    assert_eq!(store.load(key).await.expect("load works"), Loaded::Missing, "there is no record");
}

/// Takes a lease that is free.
pub(super) async fn hold(store: &SharedStore, key: &StoreKey, lease: Lease) -> Record {
    match store.acquire(key, lease).await.expect("acquire works") {
        Acquired::Held(Found { record, now: _ }) => record,
        other => panic!("a free lease is held after acquire, not {other:?}"),
    }
}

/// Checks that somebody else holds the lease.
pub(super) async fn assert_busy(store: &SharedStore, key: &StoreKey, lease: Lease) {
    assert_eq!(store.acquire(key, lease).await.expect("acquire works"), Acquired::Busy, "the lease is held");
}

/// Waits for something that should happen at once.
pub(super) async fn promptly<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happens).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

/// Returns a limit.
pub(super) fn at_most(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("the limits of the cases are not zero")
}

/// Returns bytes that no engine can compress.
pub(super) fn noise(length: usize) -> Bytes {
    std::iter::repeat_with(random::unique).flat_map(u64::to_le_bytes).take(length).collect()
}

/// Returns the keys of all records of a user, listed in one page.
pub(super) async fn users_keys(store: &SharedStore, user: &UserKey) -> Vec<StoreKey> {
    let listed = store.of_user(user, None, at_most(1000)).await.expect("of_user works");
    assert!(listed.iter().all(|listed| listed.record.user == Some(*user)), "only their own are listed");
    listed.into_iter().map(|listed| listed.key).collect()
}

/// Returns how many records there are.
pub(super) async fn count(store: &SharedStore) -> u64 {
    store.count().await.expect("count works")
}

/// Pages through all records.
pub(super) async fn pages(store: &SharedStore, limit: usize) -> Vec<Listed> {
    pages_after(store, Vec::new(), limit).await
}

/// Pages on through the records after those that were seen.
pub(super) async fn pages_after(store: &SharedStore, mut seen: Vec<Listed>, limit: usize) -> Vec<Listed> {
    loop {
        let after = seen.last().map(|listed| listed.key);
        let page = store.page(after.as_ref(), at_most(limit)).await.expect("page works");
        if page.is_empty() {
            return seen;
        }
        see(&mut seen, page, limit);
    }
}

/// Pages through all records of a user.
pub(super) async fn users_pages(store: &SharedStore, user: &UserKey, limit: usize) -> Vec<Listed> {
    let mut seen: Vec<Listed> = Vec::new();
    loop {
        let after = seen.last().map(|listed| listed.key);
        let page = store.of_user(user, after.as_ref(), at_most(limit)).await.expect("of_user works");
        if page.is_empty() {
            return seen;
        }
        see(&mut seen, page, limit);
    }
}

/// Adds a page to what was seen. A key that comes twice fails here, before paging goes round in circles.
fn see(seen: &mut Vec<Listed>, page: Vec<Listed>, limit: usize) {
    assert!(page.len() <= limit, "a page of at most {limit} has {}", page.len());
    for listed in page {
        assert!(seen.iter().all(|before| before.key != listed.key), "no key comes twice");
        seen.push(listed);
    }
}

/// Purges until only as many records are left, which must happen after a bounded number of calls.
pub(super) async fn purge_all(store: &SharedStore, left: u64) {
    // A call may do as little as to look at one of many places.
    const CALLS: usize = 10_000;
    for _ in 0..CALLS {
        let now = count(store).await;
        assert!(now >= left, "purge deletes only what has expired");
        if now == left {
            return;
        }
        store.purge(at_most(10)).await.expect("purge works");
    }
    panic!("expired records are still there after {CALLS} calls of purge");
}
