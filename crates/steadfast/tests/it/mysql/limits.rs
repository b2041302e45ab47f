//! What a server refuses: packets, connections, writes, locks.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use steadfast::ErrorKind;
use steadfast::store::mysql::MysqlStore;
use steadfast::store::{LeaseEnd, Predecessor, Replaced, Store, Updated};
use steadfast_servers::{MariaDb, Options, Server as _};

use super::fixture::{Server, check, create, found, key, made, record, shared};

const MEBIBYTE: usize = 1 << 20;

/// A server that takes packets of a mebibyte and few connections.
fn narrow() -> Server {
    static SERVER: OnceLock<MariaDb> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        MariaDb::start_with(&Options::new().set("max_allowed_packet=1M").set("max_connections=40")).unwrap()
    });
    Server::at(&server.dsn())
}

#[tokio::test]
async fn a_record_larger_than_a_packet_is_too_large_and_nothing_is_lost() {
    let store = narrow().store().await;
    let small = record("small");
    create(&store, &key(1), &small).await;
    let large = record(vec![7; MEBIBYTE]);
    check(&store.create(&key(2), &large).await.unwrap_err(), ErrorKind::TooLarge, "max_allowed_packet");
    let updated = store.update(&key(1), small.version, &large, LeaseEnd::None).await;
    check(&updated.unwrap_err(), ErrorKind::TooLarge, "max_allowed_packet");
    for (frozen, new) in [(&large, &small), (&small, &large)] {
        let replaced = store.replace(&key(1), small.version, Predecessor::Update(frozen), &key(3), new).await;
        check(&replaced.unwrap_err(), ErrorKind::TooLarge, "max_allowed_packet");
    }
    assert_eq!(found(&store, &key(1)).await, small);
    assert_eq!(store.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_record_just_below_the_limit_is_kept_also_by_a_change_of_privilege() {
    let store = narrow().store().await;
    let (old, frozen, new) = [1, 2, 3].map(|byte| record(vec![byte; MEBIBYTE - 2_000])).into();
    create(&store, &key(1), &old).await;
    let replaced = store.replace(&key(1), old.version, Predecessor::Update(&frozen), &key(2), &new).await;
    assert_eq!(replaced.unwrap(), Replaced::Stored);
    assert_eq!(found(&store, &key(1)).await, frozen);
    assert_eq!(found(&store, &key(2)).await, new);
}

#[tokio::test]
async fn a_limit_that_was_lowered_since_is_too_large_as_well() {
    let server = MariaDb::start().unwrap();
    let server = Server::at(&server.dsn()).keeping(server);
    let store = made(server.options().connections(1)).await;
    let small = record("small");
    create(&store, &key(1), &small).await;
    // Connections have the limit that was in force when they were made.
    server.run("SET GLOBAL max_allowed_packet = 65536").await;
    kill_others(&server).await;
    let large = record(vec![7; 200_000]);
    let updated = store.update(&key(1), small.version, &large, LeaseEnd::None).await;
    check(&updated.unwrap_err(), ErrorKind::TooLarge, "max_allowed_packet");
    assert_eq!(found(&store, &key(1)).await, small);
}

/// Ends all other connections to a private server.
async fn kill_others(server: &Server) {
    let mut conn = server.connection().await;
    let others: Vec<u64> = conn
        .query("SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER = 'steadfast'")
        .await
        .unwrap();
    for other in others {
        // One that has just been closed may be gone before it is killed.
        let _ = conn.query_drop(format!("KILL {other}")).await;
    }
    wait_until(&mut conn, "SELECT COUNT(*) = 1 FROM information_schema.PROCESSLIST WHERE USER = 'steadfast'")
        .await;
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_unavailable_and_says_so() {
    let server = MariaDb::start_with(&Options::new().set("max_connections=10")).unwrap();
    let server = Server::at(&server.dsn()).keeping(server);
    let store = made(server.options().connections(4)).await;
    create(&store, &key(1), &record("one")).await;
    let mut taken = Vec::new();
    while let Ok(conn) = Conn::new(server.client()).await {
        taken.push(conn);
    }
    // The store's own connection goes on working.
    found(&store, &key(1)).await;
    let options = server.options();
    check(&options.create().await.unwrap_err(), ErrorKind::Unavailable, "max_connections");
    drop(taken);
}

#[tokio::test]
async fn a_server_that_became_read_only_is_unavailable_and_left_for_another() {
    let server = MariaDb::start().unwrap();
    let server = Server::at(&server.dsn()).keeping(server);
    server.run("CREATE USER plain@'127.0.0.1' IDENTIFIED BY 'not-so-secret'").await;
    server.run("GRANT SELECT, INSERT, UPDATE, DELETE ON steadfast.* TO plain@'127.0.0.1'").await;
    let options = server.options().connections(1);
    options.create().await.unwrap();
    let store = options.user("plain").open().await.unwrap();
    let one = record("one");
    create(&store, &key(1), &one).await;
    let connections = connections_made(&server).await;
    server.run("SET GLOBAL read_only = 1").await;
    let updated = store.update(&key(1), one.version, &record("two"), LeaseEnd::None).await;
    check(&updated.unwrap_err(), ErrorKind::Unavailable, "read-only");
    assert_eq!(found(&store, &key(1)).await, one);
    server.run("SET GLOBAL read_only = 0").await;
    assert!(connections_made(&server).await > connections + 2, "the next call made a new connection");
}

async fn connections_made(server: &Server) -> u64 {
    let row: Option<(String, u64)> =
        server.connection().await.query_first("SHOW GLOBAL STATUS LIKE 'Connections'").await.unwrap();
    row.unwrap().1
}

#[tokio::test]
async fn what_a_deadlock_undid_is_done_again() {
    let server = shared();
    let (options, mut other) = (server.options(), server.connection().await);
    let table = table_of(&options.ddl().unwrap());
    let store = made(options).await;
    let old = record("old");
    create(&store, &key(1), &old).await;
    // Much to undo, so that it is the other transaction that is undone.
    other.query_drop("START TRANSACTION").await.unwrap();
    let insert = format!(
        "INSERT INTO {table} SELECT UNHEX(MD5(seq)),1,1,1,0,0,NULL,REPEAT('x',500) FROM seq_1_to_200"
    );
    other.query_drop(insert).await.unwrap();
    other
        .query_drop(format!("INSERT INTO {table} VALUES (x'{}',1,1,1,0,0,NULL,'')", key(2).to_hex()))
        .await
        .unwrap();
    let replacing = {
        let (store, old) = (store.clone(), old.clone());
        tokio::spawn(async move {
            store.replace(&key(1), old.version, Predecessor::Delete, &key(2), &record("new")).await
        })
    };
    let mut eyes = server.connection().await;
    wait_until_locks(&mut eyes, &table, true).await;
    // It holds the old record and waits for the new one; this waits for the old one.
    other
        .query_drop(format!("UPDATE {table} SET purge_hour=2 WHERE record_key=x'{}'", key(1).to_hex()))
        .await
        .unwrap();
    other.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(replacing.await.unwrap().unwrap(), Replaced::Stored);
    assert_eq!(store.count().await.unwrap(), 1);
}

/// Returns when a statement on a table waits for a lock, or none does any more.
///
/// Read from what InnoDB prints: the tables about it are renewed only while nobody asks them.
async fn wait_until_locks(conn: &mut Conn, table: &str, wanted: bool) {
    let table = table.trim_matches('`');
    let began = Instant::now();
    loop {
        let (_, _, status): (String, String, String) =
            conn.query_first("SHOW ENGINE INNODB STATUS").await.unwrap().unwrap();
        let mut transactions = status.split("---TRANSACTION").skip(1);
        if transactions.any(|one| one.contains("LOCK WAIT") && one.contains(table)) == wanted {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "nobody waits for a lock, or for ever");
    }
}

#[tokio::test]
async fn a_record_that_somebody_keeps_locked_costs_bounded_time() {
    let server = shared();
    let options = server.options().timeout(Duration::from_millis(1_500));
    let table = table_of(&options.ddl().unwrap());
    let store = made(options).await;
    let one = record("one");
    create(&store, &key(1), &one).await;
    let (mut other, mut eyes) = (server.connection().await, server.connection().await);
    other.query_drop("START TRANSACTION").await.unwrap();
    other.query_drop(format!("SELECT 1 FROM {table} FOR UPDATE")).await.unwrap();
    let began = Instant::now();
    let updated = store.update(&key(1), one.version, &record("two"), LeaseEnd::None).await;
    check(&updated.unwrap_err(), ErrorKind::TimedOut, "");
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    // Reading waits for nobody.
    assert_eq!(found(&store, &key(1)).await, one);
    // The statement that was given up ends by the server's bound.
    wait_until_locks(&mut eyes, &table, false).await;
    let updating = {
        let (store, seen) = (store.clone(), one.version);
        tokio::spawn(async move { store.update(&key(1), seen, &record("three"), LeaseEnd::None).await })
    };
    wait_until_locks(&mut eyes, &table, true).await;
    other.query_drop("COMMIT").await.unwrap();
    assert_eq!(updating.await.unwrap().unwrap(), Updated::Stored);
}

/// Returns the name of the table that a schema makes, quoted.
fn table_of(schema: &str) -> String {
    format!("`{}`", schema.split('`').nth(1).unwrap())
}

/// Asks again and again until the answer is yes.
async fn wait_until(conn: &mut Conn, question: &str) {
    let began = Instant::now();
    while conn.query_first::<bool, _>(question).await.unwrap() != Some(true) {
        assert!(began.elapsed() < Duration::from_secs(20), "never true: {question}");
    }
}

#[tokio::test]
async fn the_newest_hundred_damaged_records_are_kept() {
    let server = shared();
    let options = server.options();
    let aside = format!("`{}_set_aside`", table_of(&options.ddl().unwrap()).trim_matches('`'));
    let store: MysqlStore = made(options).await;
    for number in 0..103 {
        create(&store, &key(number), &record(vec![number])).await;
        store.set_aside(&key(number)).await.unwrap();
    }
    assert_eq!(store.count().await.unwrap(), 0);
    let kept: Vec<Vec<u8>> =
        server.connection().await.query(format!("SELECT payload FROM {aside} ORDER BY id")).await.unwrap();
    assert_eq!(kept, (3..103).map(|number| vec![number]).collect::<Vec<_>>());
}
