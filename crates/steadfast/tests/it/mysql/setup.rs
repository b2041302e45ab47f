//! Tables, users and pools: what is made, what is refused, and in which words.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Pool, PoolOpts};
use steadfast::store::Store;
use steadfast::store::mysql::{MysqlStore, SESSION};
use steadfast::{ErrorKind, Sessions};
use steadfast_servers::{MariaDb, Server as _};

use super::fixture::{Server, check, create, found, fresh_name, key, made, record, shared};
use crate::servers::dsn;

#[tokio::test]
async fn no_table_is_made_unless_somebody_asks_for_it() {
    let options = shared().options();
    for _ in 0..2 {
        let error = options.clone().open().await.unwrap_err();
        check(&error, ErrorKind::InvalidConfig, "MysqlOptions::create");
    }
    options.create().await.unwrap();
    options.create().await.unwrap();
    let store = options.clone().open().await.unwrap();
    create(&store, &key(1), &record("one")).await;
    options.create().await.unwrap();
    found(&store, &key(1)).await;
}

#[tokio::test]
async fn tables_that_an_operator_made_from_the_printed_schema_are_used() {
    let server = shared();
    let options = server.options();
    server.run(&options.ddl().unwrap()).await;
    create(&options.open().await.unwrap(), &key(1), &record("one")).await;
}

#[tokio::test]
async fn a_table_that_is_not_ours_is_refused_and_left_as_it_is() {
    let server = shared();
    for (columns, kind, says) in [
        ("(name TEXT) COMMENT='users'", ErrorKind::InvalidConfig, "another application"),
        ("(name TEXT) COMMENT='steadfast schema 2'", ErrorKind::NewerFormat, "newer version"),
        ("(name TEXT) ENGINE=MyISAM COMMENT='steadfast schema 1'", ErrorKind::InvalidConfig, "InnoDB"),
    ] {
        let table = fresh_name();
        server.run(&format!("CREATE TABLE {table} {columns}")).await;
        let error = server.options().table(&table).open().await.unwrap_err();
        check(&error, kind, says);
        server.run(&format!("INSERT INTO {table} (name) VALUES ('as before')")).await;
    }
}

#[tokio::test]
async fn a_table_that_goes_away_later_is_unavailable_and_says_what_to_do() {
    let server = shared();
    let table = fresh_name();
    let store = made(server.options().table(&table)).await;
    server.run(&format!("DROP TABLE {table}")).await;
    check(&store.load(&key(1)).await.unwrap_err(), ErrorKind::Unavailable, "MysqlOptions::create");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_without_the_password() {
    let options = || shared().options();
    let refused = |options: steadfast::store::mysql::MysqlOptions| async move {
        check(&options.open().await.unwrap_err(), ErrorKind::InvalidConfig, "access denied");
    };
    refused(options().password("not-so-secret-at-all")).await;
    refused(options().user("nobody")).await;
    refused(options().database("elsewhere")).await;
}

#[tokio::test]
async fn a_connection_string_leads_to_a_table() {
    let server = shared();
    let table = fresh_name();
    for (scheme, create) in [("mysql", true), ("mariadb", false)] {
        let dsn = dsn("MYSQL").replacen("mysql", scheme, 1);
        let dsn = format!(
            "{dsn}?table={table}&create={create}&connections=2&timeout=3s&poll_interval=10ms&multi_statements=false&tls=off"
        );
        let sessions = Sessions::connect(&dsn).await.unwrap();
        let cookie = sessions.prepare(|session| session.set("cart", 1)).await.unwrap();
        let left = sessions.inspect(cookie.cookie()).await.unwrap().unwrap();
        assert_eq!(left.get::<u8>("cart").unwrap(), Some(1));
    }
    let rows: Option<u64> =
        server.connection().await.query_first(format!("SELECT COUNT(*) FROM {table}")).await.unwrap();
    assert_eq!(rows, Some(2));
}

#[tokio::test]
async fn what_a_connection_string_can_t_mean_is_told_at_once_without_the_password() {
    for (dsn, says) in [
        ("mysql://app:not-so-secret@h", "a database is missing"),
        ("mysql://app:not-so-secret@h/", "a database is missing"),
        ("mysql://app:not-so-secret@one,two/db", "there is one host"),
        ("mysql:h/db", "two slashes"),
        ("mysql://app:not-so-secret@h/db?table=a`b", "`table` is 1 to 54"),
        ("mysql://app:not-so-secret@h/db?connections=0", "`connections` (0)"),
        ("mysql://app:not-so-secret@h/db?connections=many", "a number from 1 to 1000"),
        ("mysql://app:not-so-secret@h/db?timeout=1h", "`timeout` (3600s)"),
        ("mysql://app:not-so-secret@h/db?multi_statements=some", "one of: true, false"),
        ("mysql://app:not-so-secret@h/db?ssl=1", "there is no option `ssl`"),
        ("mysql://app:not-so-secret@h/db?tls=off&tls_ca=x", "does not go with"),
        #[cfg(feature = "tls")]
        ("mysql://app:not-so-secret@h/db?tls_ca=/nowhere.pem", "no PEM file"),
        #[cfg(not(feature = "tls"))]
        ("mysql://app:not-so-secret@h/db?tls=on", "the feature `tls`"),
    ] {
        let error = Sessions::connect(dsn).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{dsn}: {text}");
        assert!(text.contains(says) && !text.contains("not-so-secret"), "{dsn}: {text}");
    }
}

#[tokio::test]
async fn a_pool_of_the_application_is_used_if_it_is_set_up_for_it() {
    let server = shared();
    let kept = PoolOpts::default().with_reset_connection(false);
    let pool = Pool::new(server.client().client_found_rows(true).setup(vec![SESSION]).pool_opts(kept));
    let store = made(server.options().pool(pool)).await;
    create(&store, &key(1), &record("one")).await;
    found(&store, &key(1)).await;

    let connect = |pool: Pool| server.options().pool(pool).open();
    let pool = Pool::new(server.client());
    check(&connect(pool).await.unwrap_err(), ErrorKind::InvalidConfig, "client_found_rows");
    let pool = Pool::new(server.client().client_found_rows(true).setup(vec!["SET autocommit=0"]));
    check(&connect(pool).await.unwrap_err(), ErrorKind::InvalidConfig, "commit by themselves");
}

#[tokio::test]
async fn connections_are_set_up_so_that_nothing_waits_long_or_is_cut_short() {
    let server = shared();
    // The last word on the settings is the server's: what does not fit is refused, not cut.
    let pool = Pool::new(server.client().setup(vec![SESSION]));
    let mut conn = pool.get_conn().await.unwrap();
    let (lock_wait, mode): (u64, String) =
        conn.query_first("SELECT @@innodb_lock_wait_timeout, @@sql_mode").await.unwrap().unwrap();
    assert_eq!(lock_wait, 1);
    assert!(mode.contains("STRICT_ALL_TABLES"), "{mode}");
}

#[tokio::test]
async fn a_unix_socket_will_do() {
    let server = MariaDb::start().unwrap();
    let over_tcp = Server::at(&server.dsn());
    over_tcp.run("CREATE USER steadfast@localhost IDENTIFIED BY 'not-so-secret'").await;
    over_tcp.run("GRANT ALL ON steadfast.* TO steadfast@localhost").await;
    let socket = server.services()[0].folder().join("socket");
    let store: MysqlStore = made(over_tcp.options().host("").socket(&socket)).await;
    create(&store, &key(1), &record("one")).await;
    found(&store, &key(1)).await;
    assert_eq!(store.driver(), "mysql");
}
