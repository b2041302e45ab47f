//! Masters that are replaced, and replicas that are waited for.

use std::time::{Duration, Instant};

use steadfast::ErrorKind;
use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::{Deleted, LeaseEnd, Store, Updated};
use steadfast_servers::{Options, Redis, RedisSentinel, Reply, Server as _, redis_command};

use super::fixture::{hosts, load, own, record, stored};

/// What a failover may take: half a second until the sentinels agree, the election, our new connection.
const FOLLOWED: Duration = Duration::from_secs(15);

async fn behind(sentinels: &RedisSentinel) -> RedisStore {
    let (hosts, name) = hosts(&sentinels.dsn());
    let options = own().response_timeout(Duration::from_millis(300)).connect_timeout(Duration::from_secs(1));
    options.connect(Servers::Sentinels(hosts, name)).await.unwrap()
}

/// Writes until it is acknowledged.
async fn written(store: &RedisStore) -> steadfast::store::StoreKey {
    let began = Instant::now();
    loop {
        let key = super::fixture::key();
        match store.create(&key, &record("written")).await {
            Ok(_) => return key,
            Err(error) => assert!(began.elapsed() < FOLLOWED, "the new master is not found: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_and_scripts_are_sent_again() {
    let sentinels = RedisSentinel::start().unwrap();
    let store = behind(&sentinels).await;
    let before = stored(&store, &record("before")).await;
    await_copied(&sentinels, 1).await;
    let failed_over = tokio::task::block_in_place(|| sentinels.fail_over());
    let old = failed_over.unwrap_or_else(|error| panic!("{error}\n{}", logs(&sentinels)));
    let after = written(&store).await;
    assert!(load(&store, &after).await.is_some());
    let seen = load(&store, &before).await.expect("what was replicated is there");
    let updated = store.update(&before, seen.version, &record("again"), LeaseEnd::None).await;
    assert_eq!(updated.unwrap(), Updated::Stored);
    let new = sentinels.master().unwrap().address();
    assert_ne!(new, old.address());

    // The old master comes back as a replica, and a master that is well hands over to it.
    tokio::task::block_in_place(|| {
        old.restart().unwrap();
        sentinels.await_replica().unwrap();
        let sentinel = sentinels.services()[2].address();
        let began = Instant::now();
        // One that is under way refuses another; one that finds no replica good enough gives up.
        while sentinels.master().unwrap().address() == new {
            assert!(began.elapsed() < 2 * FOLLOWED, "{}", logs(&sentinels));
            redis_command(sentinel, &["SENTINEL", "FAILOVER", "mymaster"]).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        sentinels.await_new_master(new).unwrap();
    });
    let again = written(&store).await;
    assert!(load(&store, &again).await.is_some());
}

/// Returns what the sentinels saw.
fn logs(sentinels: &RedisSentinel) -> String {
    sentinels.services()[2..].iter().map(steadfast_servers::Service::log).collect()
}

/// Returns when the replica has as many keys as the master.
async fn await_copied(sentinels: &RedisSentinel, keys: i64) {
    let replica = sentinels.services()[1].address();
    while redis_command(replica, &["DBSIZE"]).unwrap() != Reply::Number(keys) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_come_undone_is_settled_when_a_replica_has_it() {
    let master = Redis::start().unwrap();
    let replica = master.replica(&Options::new()).unwrap();
    let at = Servers::One("127.0.0.1".into(), master.port());
    let options = own().wait_replicas(1);
    let store = options.clone().wait_timeout(FOLLOWED).connect(at.clone()).await.unwrap();
    let hasty = options.wait_timeout(Duration::from_secs(1)).connect(at).await.unwrap();
    let (one, two) = (record("one"), record("two"));
    let key = stored(&store, &one).await;
    assert_eq!(store.update(&key, one.version, &two, LeaseEnd::None).await.unwrap(), Updated::Stored);
    store.settle(&key).await.unwrap();
    let copied = replica.command(&["DBSIZE"]).unwrap();
    assert!(matches!(copied, Reply::Number(1..)), "{copied:?}");

    replica.pause();
    assert_eq!(hasty.delete(&key, Some(two.version)).await.unwrap(), Deleted::Gone);
    let others = async {
        for _ in 0..20 {
            assert_eq!(load(&hasty, &key).await, None);
        }
        Instant::now()
    };
    let settled = async { (hasty.settle(&key).await, Instant::now()) };
    let ((settled, refused_at), others_at) = tokio::join!(settled, others);
    let error = settled.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("`wait_replicas`"), "{error}");
    assert!(others_at < refused_at, "others go on while one waits for replicas");

    replica.resume();
    store.settle(&key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_that_a_failover_lost_is_not_taken_for_settled() {
    let master = Redis::start().unwrap();
    let _replica = master.replica(&Options::new()).unwrap();
    let store = own().prefix("lost:").wait_replicas(1).wait_timeout(FOLLOWED);
    let store = store.connect(Servers::One("127.0.0.1".into(), master.port())).await.unwrap();
    let key = stored(&store, &record("one")).await;
    let name = format!("lost:{{{}}}", key.to_hex());
    master.command(&["COPY", &name, "kept"]).unwrap();
    assert_eq!(store.delete(&key, None).await.unwrap(), Deleted::Gone);
    // As a replica has it that became the master before it heard of the deletion.
    master.command(&["RENAME", "kept", &name]).unwrap();
    let error = store.settle(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("lost in a failover"), "{error}");
}
