//! Keys, records and the steps that most cases begin with.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::random;
use crate::store::{
    Acquired, Created, Found, Lease, LeaseEnd, Loaded, Record, SharedStore, Store, StoreKey, Updated,
    UserKey, Version,
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
