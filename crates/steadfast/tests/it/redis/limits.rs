//! A full server, one that evicts, bytes that nobody of ours wrote.

use steadfast::ErrorKind;
use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::{Coverage, Created, Deleted, Loaded, Store, StoreKey};
use steadfast_servers::{Options, Redis, Server as _};

use super::fixture::{key, load, patient, record, stored};

async fn connect(server: &Redis) -> RedisStore {
    patient().connect(Servers::One("127.0.0.1".into(), server.port())).await.unwrap()
}

#[tokio::test]
async fn a_full_server_refuses_writes_with_advice_and_goes_on_reading_and_ending() {
    let server = Redis::start_with(&Options::new().set("maxmemory 3mb")).unwrap();
    let store = connect(&server).await;
    let mut kept = Vec::new();
    let error = loop {
        let key = key();
        match store.create(&key, &record(vec![7; 100_000])).await {
            Ok(created) => assert_eq!(created, Created::Stored),
            Err(error) => break error,
        }
        kept.push(key);
        assert!(kept.len() < 100, "three megabytes hold no hundred of these");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("raise `maxmemory`"), "{error}");
    assert_eq!(store.coverage(), Coverage::Complete);

    let first = load(&store, &kept[0]).await.expect("what was acknowledged is there");
    let larger = record(vec![8; 200_000]);
    let end = steadfast::store::LeaseEnd::None;
    let error = store.update(&kept[0], first.version, &larger, end).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(load(&store, &kept[0]).await, Some(first), "a refused write has written nothing");
    for key in &kept {
        assert_eq!(store.delete(key, None).await.unwrap(), Deleted::Gone, "sessions end on a full server");
    }
    stored(&store, &record("room again")).await;
}

#[tokio::test]
async fn a_server_that_may_evict_sessions_is_noticed() {
    let server = Redis::start_with(&Options::new().set("maxmemory-policy volatile-lru")).unwrap();
    assert_eq!(connect(&server).await.coverage(), Coverage::BestEffort);
}

#[tokio::test]
async fn bytes_that_nobody_of_ours_wrote_are_damaged_until_they_are_set_aside() {
    let server = Redis::start().unwrap();
    let store = connect(&server).await;
    for write in [
        &["SET", "", "short"][..],
        &["SET", "", "\0 long enough for a head, but of no format."],
        &["RPUSH", "", "a", "list"],
    ] {
        let key = key();
        let name = name(&key);
        let mut words = write.to_vec();
        words[1] = &name;
        server.command(&words).unwrap();
        for error in [
            store.load(&key).await.unwrap_err(),
            store.acquire(&key, super::fixture::lease()).await.unwrap_err(),
            store.touch(&key, steadfast::Timestamp::MAX).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{write:?}: {error:?}");
        }
        store.set_aside(&key).await.unwrap();
        assert_eq!(store.load(&key).await.unwrap(), Loaded::Missing);
        let kept = server.command(&["PTTL", &format!("{name}:aside")]).unwrap();
        assert!(
            matches!(kept, steadfast_servers::Reply::Number(1..)),
            "the bytes are kept for a while: {kept:?}"
        );
    }
    assert_eq!(store.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_left_as_it_is() {
    let server = Redis::start().unwrap();
    let store = connect(&server).await;
    let key = stored(&store, &record("one")).await;
    server.command(&["SETRANGE", &name(&key), "0", "\u{2}"]).unwrap();
    let end = steadfast::store::LeaseEnd::None;
    for error in [
        store.load(&key).await.unwrap_err(),
        store.acquire(&key, super::fixture::lease()).await.unwrap_err(),
        store.update(&key, steadfast::store::Version::fresh(), &record("two"), end).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NewerFormat, "{error:?}");
    }
    server.command(&["SETRANGE", &name(&key), "0", "\u{1}"]).unwrap();
    assert_eq!(load(&store, &key).await.expect("it was left").payload, "one");
}

fn name(key: &StoreKey) -> String {
    format!("steadfast:{{{}}}", key.to_hex())
}
