//! Hand-over between nodes: by a message, not by looking.

use std::time::{Duration, Instant};

use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::{Acquired, Store, StoreKey};
use steadfast_servers::{Proxy, Redis, Server as _};
use tokio::task::JoinHandle;

use super::fixture::{FOR_AGES, hold, lease, own_prefix, patient, record, stored};

/// Long enough that the machine's own delays don't count.
const ROUND_TRIP: Duration = Duration::from_millis(60);

/// Takes the lease as a request of another node does: asks, is told that it is held, waits, asks again.
fn waiter(store: &RedisStore, key: StoreKey) -> JoinHandle<(RedisStore, steadfast::store::Lease)> {
    let store = store.clone();
    tokio::spawn(async move {
        let lease = lease();
        while store.acquire(&key, lease).await.unwrap() == Acquired::Busy {
            store.released(&key, FOR_AGES).await;
        }
        (store, lease)
    })
}

/// Returns when somebody waits for a lease, as the server knows it.
async fn somebody_waits(server: &Redis) {
    loop {
        let waiting = server.command(&["EVAL", "return #redis.call('KEYS', '*:waiters')", "0"]).unwrap();
        if waiting == steadfast_servers::Reply::Number(1) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn scripts_called(server: &Redis) -> u64 {
    let info = server.command(&["INFO", "commandstats"]).unwrap();
    let line = info.text().lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_goes_from_node_to_node_within_three_round_trips() {
    let server = Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let options = patient().prefix(own_prefix());
    let at = Servers::One("127.0.0.1".into(), proxy.address().port());
    let (one, two) = (options.clone().connect(at.clone()).await.unwrap(), options.connect(at).await.unwrap());
    let key = stored(&one, &record("passed on")).await;
    proxy.latency(ROUND_TRIP);

    let mut held = lease();
    hold(&one, &key, held).await;
    let (mut holder, mut next) = (one, two);
    let mut took = Vec::new();
    for _ in 0..7 {
        let waiting = waiter(&next, key);
        somebody_waits(&server).await;
        let began = Instant::now();
        let (released, acquired) = tokio::join!(holder.release(&key, held.token), waiting);
        took.push(began.elapsed());
        released.unwrap();
        let (store, lease) = acquired.unwrap();
        held = lease;
        (holder, next) = (store, holder);
    }
    took.sort_unstable();
    assert!(took[3] <= 3 * ROUND_TRIP, "the median of {took:?} is at most three of {ROUND_TRIP:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_asks_once_and_is_told() {
    let server = Redis::start().unwrap();
    let options = patient().prefix(own_prefix());
    let at = Servers::One("127.0.0.1".into(), server.port());
    let (one, two) = (options.clone().connect(at.clone()).await.unwrap(), options.connect(at).await.unwrap());
    let key = stored(&one, &record("")).await;
    let held = lease();
    hold(&one, &key, held).await;
    // Each script is known to the server after its first call.
    one.released(&key, Duration::ZERO).await;
    let before = scripts_called(&server);
    let waiting = waiter(&two, key);
    somebody_waits(&server).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scripts_called(&server) - before, 2, "it asked for the lease, and to be told");
    one.release(&key, held.token).await.unwrap();
    waiting.await.unwrap();
    assert_eq!(scripts_called(&server) - before, 4, "the release, and one more try");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_is_let_in_although_its_connection_was_reset() {
    let server = Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let options = patient().prefix(own_prefix());
    let direct = Servers::One("127.0.0.1".into(), server.port());
    let one = options.clone().connect(direct).await.unwrap();
    let through = Servers::One("127.0.0.1".into(), proxy.address().port());
    let two = options.connect(through).await.unwrap();
    let key = stored(&one, &record("")).await;
    let held = lease();
    hold(&one, &key, held).await;
    let waiting = waiter(&two, key);
    somebody_waits(&server).await;
    // What the server tells this connection now is lost.
    proxy.reset_all();
    one.release(&key, held.token).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it does not wait for ages").unwrap();
}
