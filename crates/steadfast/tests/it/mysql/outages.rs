//! A server that is killed, restarted, paused or out of reach, and calls that nobody waits for any more.

use std::time::{Duration, Instant};

use steadfast::store::mysql::MysqlStore;
use steadfast::store::{Store, StoreKey};
use steadfast::{ErrorKind, Result};
use steadfast_servers::{MariaDb, Proxy, Server as _};

use super::fixture::{Server, check, create, found, key, made, record, shared};
use crate::servers::dsn;

/// The time that calls have here.
const TIMEOUT: Duration = Duration::from_millis(700);

/// Far more than a bounded call takes, on a slow machine.
const BOUNDED: Duration = Duration::from_secs(20);

async fn private() -> (MariaDb, MysqlStore) {
    let server = MariaDb::start().unwrap();
    let store = made(Server::at(&server.dsn()).options().connections(2).timeout(TIMEOUT)).await;
    (server, store)
}

/// Makes calls at once until all connections have been used.
async fn on_all_connections(store: &MysqlStore) -> Vec<Result<()>> {
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&key(1)).await.map(drop) })
        })
        .collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.unwrap());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_survived_with_every_record_and_without_a_failing_call() {
    let (server, store) = private().await;
    let one = record("one");
    create(&store, &key(1), &one).await;
    on_all_connections(&store).await;
    server.restart().unwrap();
    // The connections that the restart has ended are found out before they are used.
    for outcome in on_all_connections(&store).await {
        outcome.unwrap();
    }
    assert_eq!(found(&store, &key(1)).await, one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_is_unavailable_in_bounded_time() {
    let (server, store) = private().await;
    create(&store, &key(1), &record("one")).await;
    server.kill().unwrap();
    let began = Instant::now();
    for outcome in on_all_connections(&store).await {
        check(&outcome.unwrap_err(), ErrorKind::Unavailable, "cannot reach the server");
    }
    assert!(began.elapsed() < BOUNDED, "it took {:?}", began.elapsed());
    server.restart().unwrap();
    found(&store, &key(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_times_out_and_leaves_no_connection_behind() {
    let (server, store) = private().await;
    create(&store, &key(1), &record("one")).await;
    server.pause();
    let began = Instant::now();
    // More calls than connections: those that were given up make room for others.
    for _ in 0..2 {
        for outcome in on_all_connections(&store).await {
            check(&outcome.unwrap_err(), ErrorKind::TimedOut, "`timeout`");
        }
    }
    assert!(began.elapsed() < BOUNDED, "it took {:?}", began.elapsed());
    server.resume();
    // The first one may meet a server that still has the past before it.
    while let Err(error) = store.load(&key(1)).await {
        assert!(began.elapsed() < 2 * BOUNDED, "it does not come back: {error:?}");
    }
    for outcome in on_all_connections(&store).await {
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_calls_that_were_dropped_reach_nobody_else() {
    let direct = dsn("MYSQL");
    let wire = Proxy::start(address(&direct)).unwrap();
    let store = made(Server::at(&wire.dsn(&direct)).options().connections(2)).await;
    // Large enough that an answer comes in pieces.
    let payload = |number: u8| vec![number; 200_000];
    for number in 0..4 {
        create(&store, &key(number), &record(payload(number))).await;
    }
    for round in 0..120_u32 {
        let dropped = u8::try_from(round % 4).unwrap();
        let wanted = (dropped + 1) % 4;
        let time = Duration::from_micros(u64::from(round * 25));
        let _ = tokio::time::timeout(time, store.load(&key(dropped))).await;
        assert_eq!(found(&store, &key(wanted)).await.payload, payload(wanted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_dropped_half_way_is_undone() {
    use steadfast::store::{Loaded, Predecessor, Replaced};
    let direct = dsn("MYSQL");
    let wire = Proxy::start(address(&direct)).unwrap();
    let options = Server::at(&wire.dsn(&direct)).options().connections(1).multi_statements(false);
    let store = made(options).await;
    wire.latency(Duration::from_millis(10));
    let mut half_way = 0;
    for round in 0..12_u8 {
        let (old_key, new_key) = (key(2 * round), key(2 * round + 1));
        let (old, new) = (record("old"), record("new"));
        create(&store, &old_key, &old).await;
        let replace = store.replace(&old_key, old.version, Predecessor::Delete, &new_key, &new);
        let replaced = tokio::time::timeout(Duration::from_millis(5 * u64::from(round)), replace).await;
        let was_there = |key: StoreKey| {
            let store = store.clone();
            async move { store.load(&key).await.unwrap() != Loaded::Missing }
        };
        match replaced {
            Ok(replaced) => assert_eq!(replaced.unwrap(), Replaced::Stored),
            Err(_) => half_way += 1,
        }
        // One of them, whichever; a commit that was under way may come through while we look.
        let (old, new) = (was_there(old_key).await, was_there(new_key).await);
        assert!(old || new, "one of the two is there");
        if old && new {
            assert!(!was_there(old_key).await, "the commit came through between the two looks");
        }
    }
    assert!(half_way > 4, "only {half_way} were dropped half-way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_reset_are_replaced() {
    let direct = dsn("MYSQL");
    let wire = Proxy::start(address(&direct)).unwrap();
    let store = made(Server::at(&wire.dsn(&direct)).options().connections(2).timeout(TIMEOUT)).await;
    create(&store, &key(1), &record("one")).await;
    wire.refuse();
    wire.reset_all();
    let failed = store.load(&key(1)).await.unwrap_err();
    check(&failed, ErrorKind::Unavailable, "cannot reach the server");
    wire.restore().unwrap();
    // Word of a reset may arrive late, and then another call is the one that finds it.
    let given_up = Instant::now() + Duration::from_secs(10);
    while let Err(failed) = store.load(&key(1)).await {
        check(&failed, ErrorKind::Unavailable, "cannot reach the server");
        assert!(Instant::now() < given_up, "it is not replaced");
    }
    wire.blackhole();
    check(&store.load(&key(1)).await.unwrap_err(), ErrorKind::TimedOut, "`timeout`");
    wire.restore().unwrap();
    found(&store, &key(1)).await;
}

#[tokio::test]
async fn a_host_that_is_not_there_is_unavailable_at_start() {
    let options = shared().options().port(steadfast_servers::free_port());
    check(&options.open().await.unwrap_err(), ErrorKind::Unavailable, "cannot reach the server");
}

fn address(dsn: &str) -> std::net::SocketAddr {
    let rest = dsn.rsplit_once('@').unwrap().1;
    rest.split('/').next().unwrap().parse().unwrap()
}
