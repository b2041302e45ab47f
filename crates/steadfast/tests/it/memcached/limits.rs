//! A server that is full: what it dropped is missing, what it does not take is an error.

use steadfast::ErrorKind;
use steadfast::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Loaded, Store, Touched, Updated,
};
use steadfast_servers::{Memcached, Options};

use super::{fill, key, options, record};

/// More records of 2 kB than a megabyte holds, several times.
const MANY: u64 = 4_000;

#[tokio::test]
async fn what_was_evicted_is_missing_and_nothing_brings_it_back() {
    let server = Memcached::start_with(&Options::new().set("-m1").set("-I512k")).unwrap();
    let store = options(&server).connect().await.unwrap();
    let written = record(vec![7; 2_000]);
    fill(&store, MANY, &written).await;
    let mut missing = Vec::new();
    for n in 0..MANY {
        match store.load(&key(n)).await.unwrap() {
            Loaded::Found(found) => assert!(found.record == written, "a record is whole or gone"),
            Loaded::Missing => missing.push(key(n)),
        }
    }
    assert!(!missing.is_empty(), "the server had to evict some");
    let lease = Lease { token: LeaseToken::fresh(), ttl: std::time::Duration::from_secs(5) };
    for key in missing.iter().take(10) {
        let next = record("next");
        // The tag of the write is still remembered here.
        let updated = store.update(key, written.version, &next, LeaseEnd::Release(lease.token)).await;
        assert_eq!(updated.unwrap(), Updated::Missing);
        assert_eq!(store.touch(key, next.expires_at).await.unwrap(), Touched::Missing);
        assert_eq!(store.acquire(key, lease).await.unwrap(), Acquired::Missing);
        assert_eq!(store.delete(key, Some(written.version)).await.unwrap(), Deleted::Missing);
        assert_eq!(store.load(key).await.unwrap(), Loaded::Missing);
    }
}

#[tokio::test]
async fn a_server_that_may_not_evict_refuses_and_says_what_to_do() {
    let server = Memcached::start_with(&Options::new().set("-m1").set("-I512k").set("-M")).unwrap();
    let store = options(&server).connect().await.unwrap();
    let written = record(vec![7; 2_000]);
    let mut error = None;
    for n in 0..MANY {
        match store.create(&key(n), &written).await {
            Ok(created) => assert_eq!(created, Created::Stored),
            Err(refused) => {
                error = Some(refused);
                break;
            }
        }
    }
    let error = error.expect("the server is full");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no memory") && error.to_string().contains("-m"), "{error}");
    assert!(matches!(store.load(&key(0)).await.unwrap(), Loaded::Found(_)), "what was stored stays");
}

/// Sent, it would end the record before it: the server drops what it fails to replace.
#[tokio::test]
async fn a_record_that_is_too_large_is_not_sent() {
    let server = Memcached::start_with(&Options::new().set("-I512k")).unwrap();
    let store = options(&server).connect().await.unwrap();
    let small = record("small");
    fill(&store, 1, &small).await;
    let large = record(vec![7; 512 * 1024]);
    let updated = store.update(&key(0), small.version, &large, LeaseEnd::None).await.unwrap_err();
    let created = store.create(&key(1), &large).await.unwrap_err();
    for error in [updated, created] {
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("-I"), "{error}");
    }
    match store.load(&key(0)).await.unwrap() {
        Loaded::Found(found) => assert!(found.record == small),
        Loaded::Missing => panic!("the record before it is left alone"),
    }
    let fits = record(vec![7; 512 * 1024 - 200]);
    assert_eq!(store.update(&key(0), small.version, &fits, LeaseEnd::None).await.unwrap(), Updated::Stored);
    assert!(matches!(store.load(&key(0)).await.unwrap(), Loaded::Found(found) if found.record == fits));
}
