//! Tables: made on request, looked at, refused if CodeIgniter could not have made them.

use steadfast::store::php::SharedTable;
use steadfast::store::{Created, Store as _};
use steadfast::{ErrorKind, Layout};

use super::fixture::{Db, Form, Kind, load, record, site};

pub(crate) async fn a_new_table_is_made_on_request_only(kind: Kind) {
    for form in [Form::New, Form::WithIp, Form::Old] {
        let db = Db::without_table(kind, form);
        let error = db.open(&db.shared()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("there is no table"), "{error}");
        db.create(&db.shared()).await.unwrap();
        db.create(&db.shared()).await.unwrap();
        let (store, id) = (db.store().await, db.id(1));
        let large = vec![b'x'; 70_000];
        let now = store.now().await.unwrap();
        assert_eq!(store.create(&db.key(&id), &record(large.clone(), now)).await.unwrap(), Created::Stored);
        assert_eq!(
            load(&store, &db.key(&id)).await.unwrap().record.payload,
            large,
            "it holds more than a BLOB"
        );
        let answer =
            db.peer().request(None, serde_json::json!([{"op": "set", "key": "n", "value": 1}])).await;
        assert_eq!((answer.status, answer.errors), (200, Vec::new()), "PHP works with it");
        let of_php = load(&store, &db.key(&answer.id.expect("a session"))).await.unwrap();
        assert_eq!(of_php.record.payload, "n|i:1;");
        assert!(of_php.record.expires_at > now, "and its time is one");
    }
}

pub(crate) async fn what_is_wrong_with_a_table_is_named(kind: Kind) {
    let db = Db::without_table(kind, Form::New);
    let (columns, says): (_, &[&str]) = match kind {
        Kind::Mysql => (
            "id varchar(40) NOT NULL PRIMARY KEY, `timestamp` datetime NOT NULL, data mediumtext NOT NULL",
            &[
                "`ip_address` is missing",
                "`id` is varchar(40)",
                "`timestamp` is datetime",
                "`data` is mediumtext",
            ],
        ),
        Kind::Postgres => (
            "id varchar(40) NOT NULL PRIMARY KEY, \"timestamp\" timestamp NOT NULL, data json NOT NULL",
            &[
                "\"ip_address\" is missing",
                "\"id\" holds 40",
                "\"timestamp\" is timestamp without",
                "\"data\" is json",
            ],
        ),
    };
    db.query(&format!("CREATE TABLE {} ({columns})", db.quoted())).await;
    let error = db.open(&db.shared()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    for says in says {
        assert!(error.to_string().contains(says), "{says} in {error}");
    }
}

pub(crate) async fn php_itself_has_no_such_handler(kind: Kind) {
    let db = Db::without_table(kind, Form::New);
    let error = db.open(&SharedTable::new(site(Layout::Php))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("`ci4` and `ci3`"), "{error}");
}
