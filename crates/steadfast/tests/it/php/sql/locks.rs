//! Locks: PHP's are respected, Rust's are PHP's, and none is left behind.

use std::time::Duration;

use serde_json::json;
use steadfast::ErrorKind;
use steadfast::store::{Acquired, Lease, LeaseEnd, LeaseToken, Renewed, Store as _, Updated};

use super::fixture::{Db, Form, Kind, LOCK_WAIT, acquired, held, lease, load, record, site};

pub(crate) async fn a_lock_of_php_is_respected_and_waited_for_in_its_queue(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, mut first, mut last) = (db.store().await, db.peer(), db.peer());
    let id = first.request(None, json!([{"op": "set", "key": "n", "value": 1}])).await.id.unwrap();
    let key = db.key(&id);
    first.send(&json!({"cookie": id, "ops": [{"op": "wait"}, {"op": "set", "key": "n", "value": 2}]}));
    first.event("waiting").await;
    assert_eq!(store.acquire(&key, lease()).await.unwrap(), Acquired::Busy);
    assert!(load(&store, &key).await.is_some(), "a view waits for nobody");
    let waiting = store.clone();
    let won = tokio::spawn(async move { waiting.released(&key, LOCK_WAIT).await });
    db.until_waiting(&id, 1).await;
    last.send(&json!({"cookie": id, "ops": [{"op": "set", "key": "n", "value": 3}]}));
    db.until_waiting(&id, 2).await;
    first.go_on();
    first.answer().await;
    won.await.unwrap();
    let lease = lease();
    let found = held(store.acquire(&key, lease).await.unwrap());
    assert!(
        found.record.payload.ends_with(b"n|i:2;"),
        "its turn came before that of the PHP process behind it"
    );
    store.release(&key, lease.token).await.unwrap();
    assert_eq!(last.answer().await.status, 200);
    assert!(db.bytes(&id).await.unwrap().ends_with(b"n|i:3;"));
}

pub(crate) async fn php_waits_for_a_lock_of_rust(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, mut php, id) = (db.store().await, db.peer(), db.id(9));
        db.put(&id, b"n|i:1;", 0).await;
        let (key, lease) = (db.key(&id), lease());
        let found = held(store.acquire(&key, lease).await.unwrap());
        assert!(db.holder(&id).await.is_some(), "{form:?}: it is PHP's lock");
        php.send(&json!({"cookie": id, "ops": [{"op": "incr", "key": "n"}]}));
        db.until_waiting(&lock_text(&db, &id), 1).await;
        let next = record("n|i:5;", found.now);
        let updated = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await;
        assert_eq!(updated.unwrap(), Updated::Stored);
        assert_eq!(php.answer().await.results, [json!(6)], "{form:?}");
    }
}

/// What the waiting statement has in it: the id, or with an address MySQL's name of the lock.
fn lock_text(db: &Db, id: &str) -> String {
    match (db.kind, db.form) {
        (Kind::Mysql, Form::WithIp) => format!("{id}_{}", super::fixture::HOME),
        _ => id.to_owned(),
    }
}

pub(crate) async fn a_killed_php_delays_nobody(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, mut php) = (db.store().await, db.peer());
    let id = php.request(None, json!([{"op": "set", "key": "n", "value": 1}])).await.id.unwrap();
    php.send(&json!({"cookie": id, "ops": [{"op": "wait"}]}));
    php.event("waiting").await;
    let key = db.key(&id);
    assert_eq!(store.acquire(&key, lease()).await.unwrap(), Acquired::Busy);
    php.kill();
    let found = acquired(&store, &key, lease()).await;
    assert!(found.record.payload.ends_with(b"n|i:1;"));
}

pub(crate) async fn a_lock_whose_connection_broke_is_lost_and_overwrites_nothing(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, mut php, id) = (db.store().await, db.peer(), db.id(4));
    db.put(&id, b"n|i:1;", 0).await;
    let (key, lease) = (db.key(&id), lease());
    let found = held(store.acquire(&key, lease).await.unwrap());
    db.kill(&db.holder(&id).await.unwrap()).await;
    db.until_free(&id).await;
    assert_eq!(php.results(Some(&id), json!([{"op": "incr", "key": "n"}])).await, [json!(2)], "PHP goes on");
    assert_eq!(store.renew(&key, lease).await.unwrap(), Renewed::Lost);
    let next = record("n|i:9;", found.now);
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await;
    assert_eq!(updated.unwrap(), Updated::Stale);
    let bytes = db.bytes(&id).await.unwrap();
    assert!(bytes.windows(6).any(|window| window == b"n|i:2;"), "what PHP wrote is there");
    assert_eq!(db.holder(&id).await, None);
    // Without a renewal in between the write itself finds the connection broken, and writes nothing.
    let found = held(store.acquire(&key, lease).await.unwrap());
    db.kill(&db.holder(&id).await.unwrap()).await;
    db.until_free(&id).await;
    let next = record("n|i:9;", found.now);
    let error =
        store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(db.bytes(&id).await.unwrap(), bytes);
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await;
    assert_eq!(
        updated.unwrap(),
        Updated::Stored,
        "the second try takes a lock by itself, and nobody wrote meanwhile"
    );
}

pub(crate) async fn a_lease_that_is_not_renewed_is_given_back(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(5));
    db.put(&id, b"n|i:1;", 0).await;
    let (key, short) = (db.key(&id), Lease { token: LeaseToken::fresh(), ttl: Duration::from_millis(50) });
    let _held = held(store.acquire(&key, short).await.unwrap());
    db.until_free(&id).await;
    assert_eq!(store.renew(&key, short).await.unwrap(), Renewed::Lost);
}

pub(crate) async fn a_lock_that_was_won_is_given_back_if_nobody_comes_for_it(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(6));
    db.put(&id, b"n|i:1;", 0).await;
    store.released(&db.key(&id), LOCK_WAIT).await;
    assert!(db.holder(&id).await.is_some(), "it is kept for the acquire that follows");
    db.until_free(&id).await;
}

pub(crate) async fn a_call_that_was_given_up_leaves_no_lock(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(8));
    db.put(&id, b"n|i:1;", 0).await;
    let key = db.key(&id);
    for polls in 1..12 {
        let mut acquire = Box::pin(store.acquire(&key, lease()));
        for _ in 0..polls {
            let one_look = tokio::time::timeout(Duration::from_micros(300), &mut acquire).await;
            if one_look.is_ok() {
                break;
            }
        }
        drop(acquire);
        // Whoever got it holds it for a lease of 30 s, which nobody ends but the test.
        if let Some(holder) = db.holder(&id).await {
            db.kill(&holder).await;
        }
        db.until_free(&id).await;
    }
    let blocker = db.store().await;
    let lease = lease();
    let _held = held(blocker.acquire(&key, lease).await.unwrap());
    let waiting = store.clone();
    let wait = tokio::spawn(async move { waiting.released(&key, LOCK_WAIT).await });
    db.until_waiting(&id, 1).await;
    wait.abort();
    assert!(wait.await.unwrap_err().is_cancelled());
    blocker.release(&key, lease.token).await.unwrap();
    db.until_free(&id).await;
}

pub(crate) async fn a_store_that_is_dropped_leaves_no_lock(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, mut php, id) = (db.store().await, db.peer(), db.id(10));
    db.put(&id, b"n|i:1;", 0).await;
    let _held = held(store.acquire(&db.key(&id), lease()).await.unwrap());
    php.send(&json!({"cookie": id, "ops": [{"op": "incr", "key": "n"}]}));
    db.until_waiting(&id, 1).await;
    drop(store);
    assert_eq!(php.answer().await.results, [json!(2)]);
}

pub(crate) async fn no_more_locks_than_connections(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let store = db.open(&db.shared().lock_connections(1)).await.unwrap();
    let (one, two, lease) = (db.id(11), db.id(12), lease());
    for id in [&one, &two] {
        db.put(id, b"n|i:1;", 0).await;
    }
    let _held = held(store.acquire(&db.key(&one), lease).await.unwrap());
    let error = store.acquire(&db.key(&two), lease).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("`lock_connections`"), "{error}");
    assert!(load(&store, &db.key(&two)).await.is_some(), "who only reads needs none of them");
    store.release(&db.key(&one), lease.token).await.unwrap();
    let _held = held(store.acquire(&db.key(&two), lease).await.unwrap());
}

pub(crate) async fn a_lock_is_waited_for_no_longer_than_allowed(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let mut site = site(steadfast::Layout::CodeIgniter4);
    site.lock_wait = Duration::from_millis(1_100);
    let store = db.open(&steadfast::store::php::SharedTable::new(site)).await.unwrap();
    let (holder, id, lease) = (db.store().await, db.id(13), lease());
    db.put(&id, b"n|i:1;", 0).await;
    let key = db.key(&id);
    let found = held(holder.acquire(&key, lease).await.unwrap());
    let next = record("n|i:2;", found.now);
    let error = store.update(&key, found.record.version, &next, LeaseEnd::None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(store.delete(&key, None).await.unwrap_err().kind(), ErrorKind::Busy);
    store.released(&key, Duration::from_millis(300)).await;
    assert_eq!(db.waiting(&id).await, 0, "it has left the queue");
    assert_eq!(db.bytes(&id).await.unwrap(), b"n|i:1;");
    holder.release(&key, lease.token).await.unwrap();
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::None).await.unwrap();
    assert_eq!(updated, Updated::Stored);
    assert_eq!(db.holder(&id).await, None);
}

pub(crate) async fn a_commit_waits_for_a_renewal_under_way(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(14));
    db.put(&id, b"n|i:0;", 0).await;
    let key = db.key(&id);
    for n in 1..20 {
        let lease = lease();
        let found = held(store.acquire(&key, lease).await.unwrap());
        let renewing = store.clone();
        let renewal = tokio::spawn(async move { renewing.renew(&key, lease).await.unwrap() });
        let next = record(format!("n|i:{n};"), found.now);
        let commit = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token));
        let updated = tokio::time::timeout(LOCK_WAIT / 2, commit).await.expect("it does not wait for itself");
        assert_eq!(updated.unwrap(), Updated::Stored);
        let _ = renewal.await.unwrap();
    }
    assert_eq!(db.holder(&id).await, None);
}

pub(crate) async fn a_holder_of_the_same_process_is_respected(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id, mine) = (db.store().await, db.id(15), lease());
    db.put(&id, b"n|i:1;", 0).await;
    let key = db.key(&id);
    let found = held(store.acquire(&key, mine).await.unwrap());
    assert_eq!(store.acquire(&key, lease()).await.unwrap(), Acquired::Busy);
    assert_eq!(held(store.acquire(&key, mine).await.unwrap()).record, found.record, "the same token again");
    store.release(&key, LeaseToken::fresh()).await.unwrap();
    assert_eq!(
        store.acquire(&key, lease()).await.unwrap(),
        Acquired::Busy,
        "a stranger's release ends nothing"
    );
    assert_eq!(store.renew(&key, lease()).await.unwrap(), Renewed::Lost);
    let next = record("n|i:2;", found.now);
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::Renew(mine)).await.unwrap();
    assert_eq!(updated, Updated::Stored);
    assert_eq!(store.renew(&key, mine).await.unwrap(), Renewed::Extended, "the lock was kept");
    store.release(&key, mine.token).await.unwrap();
    assert_eq!(db.holder(&id).await, None);
}
