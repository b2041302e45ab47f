//! What only a cluster does: slots that move, and nodes that fail without the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::{LeaseEnd, Loaded, Store, StoreKey, Updated};
use steadfast_servers::{Options, RedisCluster, Reply, Server as _, redis_command};

use super::access::{everything, rule};
use super::fixture::{hosts, key, load, own, patient, record, stored};

fn ask(at: SocketAddr, words: &[&str]) -> Reply {
    match redis_command(at, words).unwrap() {
        Reply::Error(error) => panic!("{}: {error}", words[0]),
        reply => reply,
    }
}

fn slot(at: SocketAddr, key: &StoreKey) -> i64 {
    match ask(at, &["CLUSTER", "KEYSLOT", &key.to_hex()]) {
        Reply::Number(slot) => slot,
        reply => panic!("{reply:?}"),
    }
}

async fn start() -> (RedisCluster, RedisStore) {
    let cluster = RedisCluster::start().unwrap();
    let options = own().prefix("c:").response_timeout(Duration::from_millis(500));
    let store = options.connect(Servers::Cluster(hosts(&cluster.dsn()).0)).await.unwrap();
    (cluster, store)
}

/// Returns a key whose slot a node has: they have a third each, in their order.
fn key_at(cluster: &RedisCluster, node: i64) -> StoreKey {
    loop {
        let key = key();
        if slot(cluster.address(), &key) * 3 / 16_384 == node {
            return key;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_found_while_its_slot_moves_and_after() {
    let (cluster, store) = start().await;
    let key = key_at(&cluster, 0);
    let one = record("one");
    let _ = store.create(&key, &one).await.unwrap();
    let (from, to) = (cluster.services()[0].address(), cluster.services()[1].address());
    let slot = slot(from, &key).to_string();
    let id = |at| ask(at, &["CLUSTER", "MYID"]).text().to_owned();
    ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
    ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    assert!(load(&store, &key).await.is_some(), "it has not moved yet");
    let name = format!("c:{{{}}}", key.to_hex());
    ask(from, &["MIGRATE", "127.0.0.1", &to.port().to_string(), &name, "0", "5000"]);
    let two = record("two");
    let updated = store.update(&key, one.version, &two, LeaseEnd::None).await.unwrap();
    assert_eq!(updated, Updated::Stored, "the old node says where to ask");
    for node in [to, from, cluster.services()[2].address()] {
        ask(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
    }
    assert_eq!(load(&store, &key).await, Some(two), "the old node says where it is now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_leaves_the_sessions_of_the_others_alone() {
    let (cluster, store) = start().await;
    let (hanging, well) = (key_at(&cluster, 2), key_at(&cluster, 0));
    for key in [&hanging, &well] {
        let _ = store.create(key, &record("one")).await.unwrap();
    }
    assert_ne!(store.fault_domain(&hanging), store.fault_domain(&well));
    cluster.services()[2].pause();
    for _ in 0..3 {
        let began = Instant::now();
        assert!(store.load(&hanging).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let began = Instant::now();
        assert!(load(&store, &well).await.is_some());
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }
    cluster.services()[2].resume();
    let began = Instant::now();
    while !matches!(store.load(&hanging).await, Ok(Loaded::Found(_))) {
        assert!(began.elapsed() < Duration::from_secs(15), "it is not found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_of_the_page_is_enough_for_a_cluster() {
    let rule = format!("{} +cluster|slots +asking +readonly", rule("app"));
    let cluster = RedisCluster::start_with(&Options::new().set(rule)).unwrap();
    let options = patient().user("app").password("hush");
    let at = Servers::Cluster(hosts(&cluster.dsn()).0);
    let store = options.clone().connect(at.clone()).await.unwrap();
    everything(&store, &options.connect(at).await.unwrap()).await;
    for node in cluster.services() {
        assert_eq!(ask(node.address(), &["ACL", "LOG"]), Reply::List(Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_started_anew_is_found_again_with_its_sessions() {
    let (cluster, store) = start().await;
    let key = stored(&store, &record("kept")).await;
    tokio::task::block_in_place(|| {
        cluster.kill().unwrap();
        cluster.restart().unwrap();
    });
    let began = Instant::now();
    while !matches!(store.load(&key).await, Ok(Loaded::Found(_))) {
        assert!(began.elapsed() < Duration::from_secs(15), "it is not found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
