//! CodeIgniter's table on PostgreSQL.

use steadfast::ErrorKind;
use steadfast::store::php::postgres;
use steadfast::store::postgres::PostgresStore;
use steadfast::store::{Acquired, LeaseEnd, Store as _, Updated};

use super::sql::all_cases;
use super::sql::fixture::{Db, Form, Kind, held, lease, load, record};
use crate::servers::dsn;

all_cases!(Kind::Postgres);

/// The ids of recorded requests, and what the server said about their locks.
#[tokio::test]
async fn locks_are_those_that_were_recorded() {
    let cases = [
        (Form::New, "bdccf34df019464f11d80fe1483a6d7e", ["4294967295", "3000594753", "1"]),
        (Form::WithIp, "247ff76e6fd3edf62290f6faec2b0cee", ["4145636952", "1892670745", "2"]),
    ];
    for (form, id, recorded) in cases {
        let db = Db::new(Kind::Postgres, form).await;
        let store = db.store().await;
        db.put(id, b"n|i:1;", 0).await;
        let _held = held(store.acquire(&db.key(id), lease()).await.unwrap());
        let pid = db.holder(id).await.unwrap();
        let ask =
            format!("SELECT classid, objid, objsubid FROM pg_locks WHERE locktype='advisory' AND pid={pid}");
        assert_eq!(db.query(&ask).await, [recorded.map(|number| Some(number.to_owned()))], "{form:?}");
    }
}

#[tokio::test]
async fn a_pooler_is_refused() {
    let db = Db::new(Kind::Postgres, Form::New).await;
    let pooler = dsn("PGBOUNCER");
    let (who, place) = pooler.split_once("://").unwrap().1.rsplit_once('@').unwrap();
    let ((user, password), (server, database)) =
        (who.split_once(':').unwrap(), place.split_once('/').unwrap());
    let (host, port) = server.split_once(':').unwrap();
    let options = PostgresStore::options()
        .server(host, port.parse().unwrap())
        .user(user)
        .password(password)
        .database(database)
        .table(&db.table);
    for options in [options.clone(), options.prepared(false)] {
        let error = postgres::open(&options, &db.shared()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("pooler") || format!("{error:?}").contains("pooler"), "{error:?}");
    }
}

/// Two ids whose `hashtext` is the same share a lock, in PHP as here: they wait for each other, and no more.
#[tokio::test]
async fn sessions_whose_hashes_collide_wait_for_each_other() {
    let db = Db::new(Kind::Postgres, Form::New).await;
    let store = db.store().await;
    let pair = db
        .query(
            "SELECT min(id), max(id) FROM (SELECT md5(n::text) AS id FROM generate_series(1, 300000) AS n) AS ids \
             GROUP BY hashtext(id) HAVING count(*) > 1 LIMIT 1",
        )
        .await;
    let [one, two] = [0, 1].map(|n| pair[0][n].clone().unwrap());
    assert_ne!(one, two);
    for id in [&one, &two] {
        db.put(id, b"n|i:1;", 0).await;
    }
    let lease = lease();
    let _one = held(store.acquire(&db.key(&one), lease).await.unwrap());
    assert_eq!(store.acquire(&db.key(&two), lease).await.unwrap(), Acquired::Busy);
    store.release(&db.key(&one), lease.token).await.unwrap();
    let found = held(store.acquire(&db.key(&two), lease).await.unwrap());
    let next = record("n|i:2;", found.now);
    let updated =
        store.update(&db.key(&two), found.record.version, &next, LeaseEnd::Release(lease.token)).await;
    assert_eq!(updated.unwrap(), Updated::Stored);
    assert_eq!(db.bytes(&one).await.unwrap(), b"n|i:1;");
}

#[tokio::test]
async fn base64_is_read_with_line_breaks_and_damaged_base64_is_corrupt() {
    let db = Db::new(Kind::Postgres, Form::Old).await;
    let (store, good, bad) = (db.store().await, db.id(1), db.id(2));
    let payload = vec![b'x'; 500];
    db.put(&good, &payload, 0).await;
    db.put(&bad, b"n|i:1;", 0).await;
    db.query(&format!("UPDATE {} SET data='bm?=' WHERE id='{bad}'", db.quoted())).await;
    assert_eq!(load(&store, &db.key(&good)).await.unwrap().record.payload, payload);
    let error = store.load(&db.key(&bad)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(store.acquire(&db.key(&bad), lease()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(db.holder(&bad).await, None);
    let listed = store.page(None, 10.try_into().unwrap()).await.unwrap();
    assert_eq!(listed.len(), 1, "it does not hide the others");
    store.set_aside(&db.key(&bad)).await.unwrap();
    assert!(load(&store, &db.key(&bad)).await.is_none());
}
