//! CodeIgniter's table on MariaDB.

use bytes::Bytes;
use steadfast::ErrorKind;
use steadfast::store::php::mysql;
use steadfast::store::{Acquired, Created, LeaseEnd, Predecessor, Replaced, Store as _, Updated};

use super::sql::all_cases;
use super::sql::fixture::{Db, Form, Kind, held, lease, load, record};

all_cases!(Kind::Mysql);

#[tokio::test]
async fn what_a_blob_can_t_hold_is_refused_before_anything_is_written() {
    for form in [Form::New, Form::Old] {
        let db = Db::new(Kind::Mysql, form).await;
        let (store, id) = (db.store().await, db.id(1));
        let (key, now) = (db.key(&id), store.now().await.unwrap());
        let (most, over) = (record(vec![b'x'; 65_535], now), record(vec![b'x'; 70_000], now));
        assert_eq!(store.create(&key, &over).await.unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(db.bytes(&id).await, None);
        assert_eq!(store.create(&key, &most).await.unwrap(), Created::Stored);
        let error = store.update(&key, most.version, &over, LeaseEnd::None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("MEDIUMBLOB"), "{error}");
        assert_eq!(db.bytes(&id).await.unwrap(), most.payload);
    }
}

/// The id, the lock and the row of a recorded request.
#[tokio::test]
async fn lock_and_row_are_those_that_were_recorded() {
    const ID: &str = "bb4db2a3ccbf9d3186cb157f87306c31";
    const LOCK: &str = "SELECT IS_USED_LOCK('466d97c6cf196564452aca8427d5540e')";
    const READ: &str = "__ci_last_regenerate|i:1795307058;n|i:1;";
    const WRITTEN: &str = "__ci_last_regenerate|i:1795307058;n|i:2;";
    let db = Db::new(Kind::Mysql, Form::WithIp).await;
    let (t, store, lease) = (db.quoted(), db.store().await, lease());
    db.query(&format!(
        "INSERT INTO {t} (`timestamp`, `id`, `ip_address`, `data`) VALUES (now(), 'ci_session:{ID}', '127.0.0.1', '{READ}')"
    ))
    .await;
    let key = db.key(ID);
    let found = held(store.acquire(&key, lease).await.unwrap());
    assert_eq!(found.record.payload, READ);
    assert_eq!(db.query(LOCK).await[0][0], db.holder(ID).await);
    assert!(db.holder(ID).await.is_some());
    let next = record(WRITTEN, found.now);
    let updated = store.update(&key, found.record.version, &next, LeaseEnd::Release(lease.token)).await;
    assert_eq!(updated.unwrap(), Updated::Stored);
    let row = format!("SELECT `data` FROM {t} WHERE `id` = 'ci_session:{ID}' AND `ip_address` = '127.0.0.1'");
    assert_eq!(db.query(&row).await, [[Some(WRITTEN.to_owned())]]);
    assert_eq!(db.query(LOCK).await, [[None]]);
}

#[tokio::test]
async fn letters_of_another_case_are_another_id() {
    let db = Db::new(Kind::Mysql, Form::Old).await;
    let store = db.store().await;
    db.put("abcdef", b"n|i:1;", 0).await;
    assert!(load(&store, &db.key("ABCDEF")).await.is_none(), "the column's collation says otherwise");
    let now = store.now().await.unwrap();
    assert_eq!(store.create(&db.key("ABCDEF"), &record("n|i:2;", now)).await.unwrap(), Created::IdTaken);
}

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let db = Db::new(Kind::Mysql, Form::New).await;
    db.query(&format!("ALTER TABLE {} ENGINE=MyISAM", db.quoted())).await;
    let error = db.open(&db.shared()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("InnoDB"), "{error}");
}

#[tokio::test]
async fn one_statement_at_a_time_does_the_same() {
    let db = Db::new(Kind::Mysql, Form::New).await;
    let store = mysql::open(&db.mysql().multi_statements(false), &db.shared()).await.unwrap();
    let ([one, two], lease) = ([1, 2].map(|n| db.id(n)), lease());
    let (from, to) = (db.key(&one), db.key(&two));
    let now = store.now().await.unwrap();
    let (before, after) = (record("n|i:1;", now), record("n|i:2;", now));
    assert_eq!(store.create(&from, &before).await.unwrap(), Created::Stored);
    let _held = held(store.acquire(&from, lease).await.unwrap());
    assert_eq!(
        db.store().await.acquire(&from, lease).await.unwrap(),
        Acquired::Busy,
        "another process holds it"
    );
    let updated = store.update(&from, before.version, &after, LeaseEnd::Renew(lease)).await.unwrap();
    assert_eq!(updated, Updated::Stored);
    let replaced = store.replace(&from, after.version, Predecessor::Delete, &to, &before).await.unwrap();
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!((db.bytes(&one).await, db.bytes(&two).await), (None, Some(before.payload.to_vec())));
    assert_eq!((db.holder(&one).await, db.holder(&two).await), (None, None));
}

#[tokio::test]
async fn every_byte_comes_back() {
    let db = Db::new(Kind::Mysql, Form::New).await;
    let (store, id) = (db.store().await, db.id(2));
    let all: Bytes = (0..=255).collect();
    let now = store.now().await.unwrap();
    assert_eq!(store.create(&db.key(&id), &record(all.clone(), now)).await.unwrap(), Created::Stored);
    assert_eq!(load(&store, &db.key(&id)).await.unwrap().record.payload, all);
}
