//! Several servers.

use std::time::{Duration, Instant};

use steadfast::ErrorKind;
use steadfast::store::memcached::{MemcachedOptions, MemcachedStore};
use steadfast::store::{Coverage, Loaded, Store};
use steadfast_servers::{Memcached, Server as _};

use super::{fill, key, record};

const KEYS: u64 = 300;

fn options(servers: &[&Memcached]) -> MemcachedOptions {
    let options = MemcachedStore::options().response_timeout(Duration::from_millis(300));
    servers.iter().fold(options, |options, server| options.server(server.address().to_string()))
}

#[tokio::test]
async fn of_a_server_that_is_gone_only_its_share_fails_and_soon() {
    let servers = [(); 3].map(|()| Memcached::start().unwrap());
    let store = options(&servers.each_ref()).connect().await.unwrap();
    assert_eq!(store.coverage(), Coverage::BestEffort);
    fill(&store, KEYS, &record("one")).await;
    let lost = |n| store.fault_domain(&key(n)) == 1;
    for gone in ["killed", "paused"] {
        match gone {
            "killed" => servers[1].kill().unwrap(),
            _ => {
                servers[1].restart().unwrap();
                servers[1].pause();
            }
        }
        let began = Instant::now();
        let mut failed = 0;
        for n in 0..KEYS {
            match store.load(&key(n)).await {
                Ok(loaded) => assert!(!lost(n) && matches!(loaded, Loaded::Found(_)), "{gone}: {n}"),
                Err(error) => {
                    let unavailable = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut);
                    assert!(lost(n) && unavailable, "{gone}: {n}: {error}");
                    failed += 1;
                }
            }
            // One call in a while finds out; the others are told.
            if failed > 20 {
                break;
            }
        }
        assert!(failed > 20, "{gone}: a third of {KEYS} keys, not {failed}");
        assert!(began.elapsed() < Duration::from_secs(10), "{gone}: it took {:?}", began.elapsed());
    }
    servers[1].resume();
    // The sessions that it had are gone, and new ones find it again by themselves.
    let n = (0..KEYS).find(|n| lost(*n)).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !store.load(&key(n)).await.is_ok_and(|loaded| loaded == Loaded::Missing) {
        assert!(Instant::now() < until, "the server is found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_added_takes_only_its_share() {
    let servers = [(); 4].map(|()| Memcached::start().unwrap());
    let [one, two, three, _] = servers.each_ref();
    let before = options(&[one, two, three]).connect().await.unwrap();
    fill(&before, KEYS, &record("one")).await;
    let after = options(&servers.each_ref()).connect().await.unwrap();
    let mut found = 0;
    for n in 0..KEYS {
        found += u64::from(matches!(after.load(&key(n)).await.unwrap(), Loaded::Found(_)));
    }
    assert!(found > KEYS * 6 / 10, "three quarters stay where they were, and {found} of {KEYS} are found");
    assert!(found < KEYS, "the new server has a share");
}

#[tokio::test]
async fn one_server_that_can_be_reached_is_enough_to_start() {
    let servers = [(); 2].map(|()| Memcached::start().unwrap());
    servers[0].kill().unwrap();
    options(&servers.each_ref()).connect().await.unwrap();
    servers[1].kill().unwrap();
    let error = options(&servers.each_ref()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("look whether it runs"), "{error}");
}
