//! Rust and PHP on one session.

use bytes::Bytes;
use serde_json::{Value, json};
use steadfast::store::{Created, Deleted, LeaseEnd, SharedStore, Store as _, StoreKey, Updated};
use tokio::task::JoinSet;

use super::fixture::{Db, Form, Kind, LOCK_WAIT, acquired, held, lease, load, record};

/// The number under the key `n` in a session that holds nothing else of that name.
fn number(payload: &[u8]) -> u64 {
    let text = std::str::from_utf8(payload).unwrap();
    text.split_once("n|i:").unwrap().1.split_once(';').unwrap().0.parse().unwrap()
}

fn with_number(payload: &[u8], number: u64) -> Bytes {
    let text = std::str::from_utf8(payload).unwrap();
    let (before, rest) = text.split_once("n|i:").unwrap();
    format!("{before}n|i:{number};{}", rest.split_once(';').unwrap().1).into()
}

/// Adds one under a lease, as a request does.
async fn add_one(store: &SharedStore, key: &StoreKey) {
    let lease = lease();
    let found = acquired(store, key, lease).await;
    let next = record(with_number(&found.record.payload, number(&found.record.payload) + 1), found.now);
    let updated =
        store.update(key, found.record.version, &next, LeaseEnd::Release(lease.token)).await.unwrap();
    assert_eq!(updated, Updated::Stored);
}

pub(crate) async fn a_session_goes_to_and_fro(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, mut php) = (db.store().await, db.peer());
        let answer = php.request(None, json!([{"op": "set", "key": "n", "value": 1}])).await;
        assert_eq!((answer.status, &answer.errors), (200, &Vec::new()), "{form:?}");
        let id = answer.id.unwrap();
        let key = db.key(&id);
        let found = load(&store, &key).await.unwrap();
        assert_eq!(found.record.payload, db.bytes(&id).await.unwrap(), "{form:?}");
        assert_eq!(number(&found.record.payload), 1);
        add_one(&store, &key).await;
        assert_eq!(php.results(Some(&id), json!([{"op": "incr", "key": "n"}])).await, [json!(3)], "{form:?}");
        add_one(&store, &key).await;
        assert_eq!(number(&db.bytes(&id).await.unwrap()), 4);
        assert_eq!(php.results(Some(&id), json!([{"op": "get", "key": "n"}])).await, [json!(4)], "{form:?}");
        assert_eq!(db.holder(&id).await, None, "{form:?}");
    }
}

pub(crate) async fn a_session_that_rust_began_is_php_s_too(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, mut php, id) = (db.store().await, db.peer(), db.id(7));
        let payload = |n: u8| {
            [b"__ci_last_regenerate|i:1795307058;n|i:", &[b'0' + n][..], b";bin|s:4:\"\x00'\\\xff\";"]
                .concat()
        };
        let now = store.now().await.unwrap();
        assert_eq!(
            store.create(&db.key(&id), &record(payload(1), now)).await.unwrap(),
            Created::Stored,
            "{form:?}"
        );
        assert_eq!(db.bytes(&id).await.unwrap(), payload(1), "{form:?}");
        let results =
            php.results(Some(&id), json!([{"op": "incr", "key": "n"}, {"op": "has", "key": "bin"}])).await;
        assert_eq!(results, [json!(2), json!(true)], "{form:?}");
        assert_eq!(load(&store, &db.key(&id)).await.unwrap().record.payload, payload(2), "PHP kept the rest");
    }
}

pub(crate) async fn a_counter_counts_what_both_count(kind: Kind) {
    const EACH: u64 = 15;
    let db = Db::new(kind, Form::New).await;
    let store = db.store().await;
    let id = db.id(1);
    db.put(&id, b"__ci_last_regenerate|i:1795307058;n|i:0;", 0).await;
    let key = db.key(&id);
    let mut all = JoinSet::new();
    for _ in 0..3 {
        let store = store.clone();
        all.spawn(async move {
            for _ in 0..EACH {
                add_one(&store, &key).await;
            }
        });
        let (mut php, id) = (db.peer(), id.clone());
        all.spawn(async move {
            for _ in 0..EACH {
                php.results(Some(&id), json!([{"op": "incr", "key": "n", "sleep_ms": 1}])).await;
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    assert_eq!(number(&db.bytes(&id).await.unwrap()), 6 * EACH);
    assert_eq!(db.holder(&id).await, None);
}

pub(crate) async fn the_address_is_a_part_of_the_name(kind: Kind) {
    let db = Db::new(kind, Form::WithIp).await;
    let (store, id) = (db.store().await, db.id(3));
    let (here, there) = (db.key(&id), db.key_at(&id, "2001:db8::7"));
    db.put(&id, b"n|i:1;", 0).await;
    assert!(load(&store, &there).await.is_none(), "another address has another session");
    let now = store.now().await.unwrap();
    let _here = held(store.acquire(&here, lease()).await.unwrap());
    assert_eq!(
        store.create(&there, &record("n|i:2;", now)).await.unwrap(),
        Created::Stored,
        "it has another lock"
    );
    assert_eq!(load(&store, &there).await.unwrap().record.payload, "n|i:2;");
    assert_eq!(store.delete(&there, None).await.unwrap(), Deleted::Gone);
    assert_eq!(load(&store, &here).await.unwrap().record.payload, "n|i:1;");
}

pub(crate) async fn php_starts_anew_after_a_destroy_of_rust(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, mut php) = (db.store().await, db.peer());
    let id = php.request(None, json!([{"op": "set", "key": "n", "value": 1}])).await.id.unwrap();
    php.send(&json!({"cookie": id, "ops": [{"op": "wait"}, {"op": "set", "key": "n", "value": 2}]}));
    php.event("waiting").await;
    let (deleting, key) = (store.clone(), db.key(&id));
    let deletion = tokio::spawn(async move { deleting.delete(&key, None).await.unwrap() });
    db.until_waiting(&id, 1).await;
    php.go_on();
    assert_eq!(php.answer().await.status, 200);
    assert_eq!(deletion.await.unwrap(), Deleted::Gone, "after PHP, and within {LOCK_WAIT:?}");
    assert_eq!(db.bytes(&id).await, None);
    assert_eq!(php.results(Some(&id), json!([{"op": "get", "key": "n"}])).await, [Value::Null]);
}
