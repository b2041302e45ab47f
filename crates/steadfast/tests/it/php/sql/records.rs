//! Rows: conditional writes and their outcomes, times, lists, purges.

use std::num::NonZeroUsize;
use std::time::Duration;

use steadfast::ErrorKind;
use steadfast::store::{
    Acquired, Created, Deleted, LeaseEnd, Predecessor, Replaced, Store as _, Touched, Updated, UserKey,
    Version,
};

use super::fixture::{Db, Form, HOME, Kind, LIFETIME, held, lease, load, record};

const MANY: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

pub(crate) async fn every_outcome_of_a_conditional_write(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, id) = (db.store().await, db.id(1));
        let key = db.key(&id);
        let now = store.now().await.unwrap();
        let (one, two) = (record("n|i:1;", now), record("n|i:2;", now));
        assert_eq!(store.update(&key, one.version, &two, LeaseEnd::None).await.unwrap(), Updated::Missing);
        assert_eq!(store.acquire(&key, lease()).await.unwrap(), Acquired::Missing);
        assert_eq!(db.bytes(&id).await, None, "nothing was created");
        assert_eq!(store.create(&key, &one).await.unwrap(), Created::Stored);
        assert_eq!(store.update(&key, two.version, &one, LeaseEnd::None).await.unwrap(), Updated::Stale);
        assert_eq!(
            store.update(&key, one.version, &one, LeaseEnd::None).await.unwrap(),
            Updated::Stored,
            "found, not changed"
        );
        assert_eq!(store.update(&key, one.version, &two, LeaseEnd::None).await.unwrap(), Updated::Stored);
        assert_eq!(store.delete(&key, Some(one.version)).await.unwrap(), Deleted::Stale);
        assert_eq!(load(&store, &key).await.unwrap().record.version, two.version);
        assert_eq!(store.delete(&key, Some(two.version)).await.unwrap(), Deleted::Gone);
        assert_eq!(store.delete(&key, None).await.unwrap(), Deleted::Missing);
        assert_eq!(db.holder(&id).await, None, "{form:?}");
    }
}

pub(crate) async fn a_row_that_vanished_is_missing(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id, lease) = (db.store().await, db.id(2), lease());
    db.put(&id, b"n|i:1;", 0).await;
    let key = db.key(&id);
    let found = held(store.acquire(&key, lease).await.unwrap());
    // As CodeIgniter's gc does, which asks for no lock.
    db.query(&format!("DELETE FROM {}", db.quoted())).await;
    let next = record("n|i:2;", found.now);
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await;
    assert_eq!(updated.unwrap(), Updated::Missing);
    assert_eq!(db.bytes(&id).await, None);
}

pub(crate) async fn an_id_is_taken_once(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(3));
    let (key, now) = (db.key(&id), store.now().await.unwrap());
    assert_eq!(store.create(&key, &record("n|i:1;", now)).await.unwrap(), Created::Stored);
    assert_eq!(store.create(&key, &record("n|i:2;", now)).await.unwrap(), Created::IdTaken);
    assert_eq!(db.bytes(&id).await.unwrap(), b"n|i:1;");
    assert_eq!(db.holder(&id).await, None);
}

pub(crate) async fn a_replacement_is_whole_or_nothing(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let store = db.store().await;
    let [old, new, other] = [4, 5, 6].map(|n| db.id(n));
    let now = store.now().await.unwrap();
    let (before, after, frozen) = (record("n|i:1;", now), record("n|i:2;", now), record("frozen|b:1;", now));
    let (from, to) = (db.key(&old), db.key(&new));
    let replace = async |seen: Version, predecessor: Predecessor<'_>| {
        store.replace(&from, seen, predecessor, &to, &after).await.unwrap()
    };
    assert_eq!(replace(before.version, Predecessor::Delete).await, Replaced::Missing);
    db.put(&old, &before.payload, 0).await;
    assert_eq!(replace(after.version, Predecessor::Delete).await, Replaced::Stale);
    assert_eq!((db.bytes(&old).await, db.bytes(&new).await), (Some(before.payload.to_vec()), None));
    db.put(&new, b"other", 0).await;
    assert_eq!(replace(before.version, Predecessor::Delete).await, Replaced::IdTaken);
    assert_eq!(
        (db.bytes(&old).await, db.bytes(&new).await),
        (Some(before.payload.to_vec()), Some(b"other".to_vec()))
    );
    db.query(&format!("DELETE FROM {} WHERE id='{}'", db.quoted(), db.row(&new))).await;
    // Under a lease, and updating; the lease ends with it.
    let lease = lease();
    let _held = held(store.acquire(&from, lease).await.unwrap());
    assert_eq!(replace(before.version, Predecessor::Update(&frozen)).await, Replaced::Stored);
    assert_eq!(
        (db.bytes(&old).await, db.bytes(&new).await),
        (Some(frozen.payload.to_vec()), Some(after.payload.to_vec()))
    );
    assert_eq!((db.holder(&old).await, db.holder(&new).await), (None, None));
    // Without one, and deleting.
    let replaced =
        store.replace(&to, after.version, Predecessor::Delete, &db.key(&other), &before).await.unwrap();
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!((db.bytes(&new).await, db.bytes(&other).await), (None, Some(before.payload.to_vec())));
    assert_eq!((db.holder(&new).await, db.holder(&other).await), (None, None));
}

pub(crate) async fn a_touch_moves_the_time_alone(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, id) = (db.store().await, db.id(7));
        let key = db.key(&id);
        let now = store.now().await.unwrap();
        assert_eq!(store.touch(&key, now + LIFETIME).await.unwrap(), Touched::Missing);
        db.put(&id, b"n|i:1;", 600).await;
        let before = load(&store, &key).await.unwrap();
        let used = before.now.saturating_since(before.record.expires_at - LIFETIME).as_secs();
        assert!((599..=605).contains(&used), "{form:?}: {used}");
        let other = db.store().await;
        let _held = held(other.acquire(&key, lease()).await.unwrap());
        let expires_at = before.now + Duration::from_secs(5_000);
        assert_eq!(store.touch(&key, expires_at).await.unwrap(), Touched::Moved, "it waits for no lock");
        let after = load(&store, &key).await.unwrap().record;
        assert_eq!(
            (after.expires_at.as_secs(), after.version),
            (expires_at.as_secs(), before.record.version),
            "{form:?}"
        );
    }
}

pub(crate) async fn the_database_s_clock_decides(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(8));
    db.put(&id, b"n|i:1;", 0).await;
    let ask = match kind {
        Kind::Mysql => "SELECT UNIX_TIMESTAMP()",
        Kind::Postgres => "SELECT floor(extract(epoch FROM now()))::bigint",
    };
    let seconds = async || db.query(ask).await[0][0].as_ref().unwrap().parse::<u64>().unwrap();
    let before = seconds().await;
    let times = [store.now().await.unwrap(), load(&store, &db.key(&id)).await.unwrap().now];
    let after = seconds().await;
    for time in times {
        assert!((before..=after).contains(&time.as_secs()));
    }
}

pub(crate) async fn damaged_bytes_are_kept_aside(kind: Kind) {
    for form in [Form::New, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, id) = (db.store().await, db.id(9));
        let key = db.key(&id);
        store.set_aside(&key).await.unwrap();
        for payload in [&b"first"[..], b"second"] {
            db.put(&id, payload, 0).await;
            store.set_aside(&key).await.unwrap();
            assert!(load(&store, &key).await.is_some(), "nobody has looked at it under the lock");
            assert_eq!(db.holder(&id).await, None);
            assert!(matches!(store.acquire(&key, lease()).await.unwrap(), Acquired::Held(_)));
            store.set_aside(&key).await.unwrap();
            assert!(load(&store, &key).await.is_none());
        }
        store.set_aside(&key).await.unwrap();
        assert_eq!(store.count().await.unwrap(), 0, "no list shows it");
        let rows = db.query(&format!("SELECT id FROM {}", db.quoted())).await;
        assert_eq!(rows, [[Some(format!("steadfast-damaged:{}", db.row(&id)))]]);
        assert_eq!(store.purge(MANY).await.unwrap(), 0, "it stays for a week");
        assert_eq!(db.holder(&id).await, None);
    }
}

pub(crate) async fn a_purge_takes_what_php_would_but_nothing_in_use(kind: Kind) {
    let ago = |seconds: u64| i64::try_from(LIFETIME.as_secs() + seconds).unwrap();
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let (store, worker) = (db.store().await, db.store().await);
        for n in 0..5 {
            db.put(&db.id(n), b"n|i:1;", ago(60 + i64::from(n).unsigned_abs())).await;
        }
        let (in_use, young) = (db.id(20), db.id(21));
        db.put(&in_use, b"n|i:1;", ago(100)).await;
        db.put(&young, b"n|i:1;", ago(0) - 60).await;
        let _held = held(worker.acquire(&db.key(&in_use), lease()).await.unwrap());
        assert_eq!(
            store.purge(NonZeroUsize::new(2).unwrap()).await.unwrap() + store.purge(MANY).await.unwrap(),
            5,
            "{form:?}"
        );
        assert_eq!(store.count().await.unwrap(), 2);
        assert!(db.bytes(&in_use).await.is_some() && db.bytes(&young).await.is_some());
    }
}

pub(crate) async fn lists_are_of_this_site_and_in_order(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::new(kind, form).await;
        let store = db.store().await;
        for n in 0..7 {
            db.put(&db.id(n), format!("n|i:{n};").as_bytes(), 0).await;
        }
        let stranger = format!("admin_session:{}", db.id(1));
        db.put(&stranger, b"theirs", 0).await;
        db.query(&format!("UPDATE {0} SET id='{stranger}' WHERE id LIKE '%{stranger}'", db.quoted())).await;
        assert_eq!(store.count().await.unwrap(), 7);
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = store.page(after.as_ref(), NonZeroUsize::new(3).unwrap()).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            seen.extend(page.into_iter().map(|listed| {
                let name = *listed.key.shared().unwrap();
                assert_eq!(
                    name.ip().map(|ip| ip.to_string()),
                    (form == Form::WithIp).then(|| HOME.to_owned())
                );
                assert_eq!(listed.record.version, Version::of_content(&listed.record.payload));
                name.id().to_owned()
            }));
        }
        assert_eq!(seen, (0..7).map(|n| db.id(n)).collect::<Vec<_>>(), "{form:?}");
    }
}

pub(crate) async fn users_are_not_indexed(kind: Kind) {
    let store = Db::new(kind, Form::New).await.store().await;
    let error = store.of_user(&UserKey::from_bytes([1; 16]), None, MANY).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

pub(crate) async fn an_empty_payload_is_a_session(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id) = (db.store().await, db.id(11));
    db.put(&id, b"", 0).await;
    assert!(held(store.acquire(&db.key(&id), lease()).await.unwrap()).record.payload.is_empty());
}

pub(crate) async fn a_deletion_ends_the_lease(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let (store, id, lease) = (db.store().await, db.id(12), lease());
    db.put(&id, b"n|i:1;", 0).await;
    let key = db.key(&id);
    let found = held(store.acquire(&key, lease).await.unwrap());
    let wrong = Version::of_content(b"another");
    assert_eq!(store.delete(&key, Some(wrong)).await.unwrap(), Deleted::Stale);
    assert!(db.holder(&id).await.is_some(), "the holder goes on");
    assert_eq!(store.delete(&key, Some(found.record.version)).await.unwrap(), Deleted::Gone);
    assert_eq!(db.holder(&id).await, None);
    let next = record("n|i:2;", found.now);
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await;
    assert_eq!(updated.unwrap(), Updated::Missing, "nothing comes back");
}
