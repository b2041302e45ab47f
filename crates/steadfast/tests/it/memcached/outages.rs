//! A server that stops, is killed, or whose connections break.

use std::time::{Duration, Instant};

use steadfast::store::{Created, Found, LeaseEnd, Loaded, Store, Updated};
use steadfast::{Error, ErrorKind};
use steadfast_servers::{Memcached, Proxy, Server as _};

use super::{fill, key, options, record};

const TIMEOUT: Duration = Duration::from_millis(300);

#[track_caller]
fn is_an_outage(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut), "{error}");
    assert_eq!(error.driver(), Some("memcached"));
}

#[tokio::test]
async fn a_server_that_stops_costs_bounded_time_and_is_found_again() {
    let server = Memcached::start().unwrap();
    let store = options(&server).response_timeout(TIMEOUT).connect_timeout(TIMEOUT).connect().await.unwrap();
    fill(&store, 1, &record("one")).await;
    server.pause();
    for _ in 0..5 {
        let began = Instant::now();
        is_an_outage(&store.load(&key(0)).await.unwrap_err());
        assert!(began.elapsed() < 3 * TIMEOUT, "it took {:?}", began.elapsed());
    }
    server.resume();
    let until = Instant::now() + Duration::from_secs(10);
    let found = loop {
        match store.load(&key(0)).await {
            Ok(loaded) => break loaded,
            Err(error) => is_an_outage(&error),
        }
        assert!(Instant::now() < until, "the server is found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(matches!(found, Loaded::Found(_)), "it has lost nothing");
}

/// A server that was started anew counts its tags of writes from one again, so those that are remembered say
/// nothing any more.
#[tokio::test]
async fn a_server_that_was_restarted_is_empty_and_no_tag_from_before_fits() {
    let server = Memcached::start().unwrap();
    let store = options(&server).connect().await.unwrap();
    let before = record("before");
    fill(&store, 20, &before).await;
    server.restart().unwrap();
    // Whether the end of the connection was noticed or not.
    while let Err(error) = store.load(&key(0)).await {
        is_an_outage(&error);
    }
    assert_eq!(store.load(&key(0)).await.unwrap(), Loaded::Missing);
    let late = record("late");
    let updated = store.update(&key(1), before.version, &late, LeaseEnd::None).await;
    assert_eq!(updated.unwrap(), Updated::Missing);
    // Another node writes the same keys, and gets the same tags.
    let other = options(&server).connect().await.unwrap();
    let after = record("after");
    fill(&other, 20, &after).await;
    for n in 0..20 {
        let updated = store.update(&key(n), before.version, &late, LeaseEnd::None).await;
        assert_eq!(updated.unwrap(), Updated::Stale);
        let Loaded::Found(Found { record, .. }) = store.load(&key(n)).await.unwrap() else { panic!("{n}") };
        assert!(record == after);
    }
}

#[tokio::test]
async fn a_broken_connection_fails_what_waits_for_it_and_is_replaced() {
    let server = Memcached::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let store = super::MemcachedStore::options().server(proxy.address().to_string()).connect().await.unwrap();
    fill(&store, 10, &record("one")).await;
    let connections = proxy.traffic().connections;
    // In the middle of the answers to many.
    proxy.cut_after(700);
    let loads: Vec<_> = (0..100)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&key(n % 10)).await })
        })
        .collect();
    let mut failed = 0;
    for load in loads {
        match load.await.unwrap() {
            Ok(loaded) => assert!(matches!(loaded, Loaded::Found(_))),
            Err(error) => {
                is_an_outage(&error);
                failed += 1;
            }
        }
    }
    assert!((1..100).contains(&failed), "some had their answers already, and {failed} had not");
    assert!(matches!(store.load(&key(0)).await.unwrap(), Loaded::Found(_)));
    assert_eq!(store.create(&key(11), &record("eleven")).await.unwrap(), Created::Stored);
    assert_eq!(proxy.traffic().connections, connections + 1, "one connection took the place of the other");
}
