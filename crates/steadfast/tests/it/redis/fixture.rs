//! Stores on the servers that the tests share, each with keys of its own.

use std::time::Duration;

use bytes::Bytes;
use steadfast::Timestamp;
use steadfast::store::redis::{RedisOptions, RedisStore, Servers};
use steadfast::store::{
    Acquired, Created, Lease, LeaseToken, Loaded, Record, Store, StoreKey, UserKey, Version,
};

use crate::servers::dsn;

/// Longer than any test runs: a wait that ends earlier was ended by something else.
pub(super) const FOR_AGES: Duration = Duration::from_secs(3600);

/// Returns a prefix that no other test has.
pub(super) fn own_prefix() -> String {
    format!("test:{:016x}:", Version::fresh().as_u64())
}

/// Returns settings with keys of their own, patient on a machine that runs other tests at the same time.
pub(super) fn own() -> RedisOptions {
    patient().prefix(own_prefix())
}

pub(super) fn patient() -> RedisOptions {
    RedisStore::options().connect_timeout(Duration::from_secs(10)).response_timeout(Duration::from_secs(10))
}

/// Reads the addresses out of a connection string of the tests: `scheme://h:p,h:p/name`.
pub(super) fn hosts(dsn: &str) -> (Vec<(String, u16)>, String) {
    let rest = dsn.split_once("://").unwrap().1;
    let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
    let host = |host: &str| {
        let (name, port) = host.rsplit_once(':').unwrap();
        (name.to_owned(), port.parse().unwrap())
    };
    (hosts.split(',').map(host).collect(), name.to_owned())
}

pub(super) fn one() -> Servers {
    let (mut hosts, _) = hosts(&dsn("REDIS"));
    let (host, port) = hosts.remove(0);
    Servers::One(host, port)
}

pub(super) fn cluster() -> Servers {
    Servers::Cluster(hosts(&dsn("REDIS_CLUSTER")).0)
}

pub(super) fn sentinels() -> Servers {
    let (hosts, name) = hosts(&dsn("REDIS_SENTINEL"));
    Servers::Sentinels(hosts, name)
}

pub(super) fn key() -> StoreKey {
    let half = || Version::fresh().as_u64().to_be_bytes();
    StoreKey::from_bytes([half(), half()].concat().try_into().unwrap())
}

pub(super) fn user() -> UserKey {
    UserKey::from_bytes(*key().as_bytes())
}

pub(super) fn record(payload: impl Into<Bytes>) -> Record {
    let expires_at = Timestamp::from_micros(4_102_444_800_000_000);
    Record { payload: payload.into(), version: Version::fresh(), expires_at, user: None }
}

pub(super) fn lease() -> Lease {
    Lease { token: LeaseToken::fresh(), ttl: FOR_AGES }
}

pub(super) async fn stored(store: &RedisStore, record: &Record) -> StoreKey {
    let key = key();
    assert_eq!(store.create(&key, record).await.unwrap(), Created::Stored);
    key
}

pub(super) async fn load(store: &RedisStore, key: &StoreKey) -> Option<Record> {
    match store.load(key).await.unwrap() {
        Loaded::Found(found) => Some(found.record),
        Loaded::Missing => None,
    }
}

pub(super) async fn hold(store: &RedisStore, key: &StoreKey, lease: Lease) {
    assert!(matches!(store.acquire(key, lease).await.unwrap(), Acquired::Held(_)));
}
