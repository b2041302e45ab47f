//! Servers that are slow, restarted, gone or full.

use std::time::Duration;

use steadfast::ErrorKind;
use steadfast::store::Store;
use steadfast::store::postgres::PostgresStore;
use steadfast_servers::{Options, Postgres, Server as _};
use tokio::time::Instant;

use super::fixture::{KEY, Table, assert_says, create, hold, is_there, proxied, record, soon};

/// Short limits, so that the tests are.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Opens a store that gives up soon.
async fn impatient(table: &Table, dsn: &str) -> PostgresStore {
    table.options_by(dsn).timeout(TIMEOUT).connect_timeout(TIMEOUT).open().await.unwrap()
}

/// Calls until it works again, and returns all that it was told before.
async fn recovers(store: &PostgresStore) -> Vec<steadfast::Error> {
    let mut told = Vec::new();
    soon("the recovery", async {
        while let Err(error) = store.load(&KEY).await {
            told.push(error);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_paused_or_restarted_is_bounded_and_loses_nothing() {
    let server = Postgres::start().unwrap();
    let table = Table::on(&server.dsn()).await;
    let store = impatient(&table, &server.dsn()).await;
    create(&store, &KEY).await;
    let held = hold(&store, &KEY).await;

    server.kill().unwrap();
    let began = Instant::now();
    let error = store.load(&KEY).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "look whether the server runs");
    assert!(began.elapsed() < 3 * TIMEOUT);
    server.restart().unwrap();
    recovers(&store).await;
    store.release(&KEY, held.token).await.unwrap();

    server.pause();
    let began = Instant::now();
    let error = store.load(&KEY).await.unwrap_err();
    assert_says(&error, ErrorKind::TimedOut, "did not answer");
    let error = store.load(&KEY).await.unwrap_err();
    assert_says(&error, ErrorKind::TimedOut, "no connection within");
    assert!(began.elapsed() < 6 * TIMEOUT);
    server.resume();
    recovers(&store).await;
    assert!(is_there(&store, &KEY).await);

    // A restart in between is not noticed: nothing was under way, so a new connection is made first.
    server.restart().unwrap();
    assert!(is_there(&store, &KEY).await);
}

#[tokio::test]
async fn a_call_on_a_connection_that_is_reset_fails_and_the_next_one_works() {
    let table = Table::new().await;
    let (proxy, dsn) = proxied();
    let store = impatient(&table, &dsn).await;
    let before = create(&store, &KEY).await;
    // The answer is lost, not the write.
    proxy.cut_after(0);
    let after = record("after");
    let end = steadfast::store::LeaseEnd::None;
    let error = store.update(&KEY, before.version, &after, end).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "lost");
    assert!(is_there(&store, &KEY).await);
    assert_eq!(
        store.update(&KEY, after.version, &record("again"), end).await.unwrap(),
        steadfast::store::Updated::Stored
    );
}

#[tokio::test]
async fn a_silent_connection_is_replaced_although_its_callers_gave_up_early() {
    let table = Table::new().await;
    let (proxy, dsn) = proxied();
    let store = impatient(&table, &dsn).await;
    create(&store, &KEY).await;
    proxy.blackhole();
    let began = Instant::now();
    // As the deadline above the driver does it: the future is dropped, so the driver can't see it fail.
    while began.elapsed() < TIMEOUT + TIMEOUT / 2 {
        let call = tokio::time::timeout(Duration::from_millis(50), store.load(&KEY));
        assert!(call.await.is_err() || began.elapsed() > TIMEOUT);
    }
    let connections = proxy.traffic().connections;
    let call = tokio::time::timeout(3 * TIMEOUT, store.load(&KEY)).await;
    assert!(call.expect("the connection attempt is bounded").is_err());
    assert!(proxy.traffic().connections >= connections, "a new connection was tried");
    proxy.restore().unwrap();
    recovers(&store).await;
}

#[tokio::test]
async fn a_record_that_somebody_keeps_locked_fails_alone() {
    let table = Table::new().await;
    let store = table.options().connections(1).timeout(2 * TIMEOUT).open().await.unwrap();
    let other = steadfast::store::StoreKey::from_bytes([8; 16]);
    let written = create(&store, &KEY).await;
    create(&store, &other).await;
    let mut client = table.client().await;
    let open = client.transaction().await.unwrap();
    let lock = format!("SELECT FROM {} WHERE key = $1 FOR UPDATE", table.name);
    open.execute(&lock, &[&&KEY.as_bytes()[..]]).await.unwrap();
    let error = store.delete(&KEY, Some(written.version)).await.unwrap_err();
    assert_says(&error, ErrorKind::TimedOut, "another transaction");
    assert!(is_there(&store, &other).await);
    open.rollback().await.unwrap();
    assert!(is_there(&store, &KEY).await);
}

#[tokio::test]
async fn a_table_that_is_dropped_says_how_to_make_it() {
    let table = Table::new().await;
    let store = table.open().await;
    table.client().await.batch_execute(&format!("DROP TABLE {}", table.name)).await.unwrap();
    let error = store.load(&KEY).await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "PostgresOptions::ddl");
}

#[tokio::test]
async fn a_server_without_connections_left_says_so_and_is_used_again_when_there_are() {
    let server = Postgres::start_with(&Options::new().set("max_connections=8")).unwrap();
    let table = Table::on(&server.dsn()).await;
    let store = impatient(&table, &server.dsn()).await;
    create(&store, &KEY).await;
    // All others are taken; then the store loses its own, and somebody takes those, too.
    let mut taken = Vec::new();
    let config: tokio_postgres::Config = server.dsn().parse().unwrap();
    while let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        taken.push(client);
    }
    let error = table.options().open().await.unwrap_err();
    assert_says(&error, ErrorKind::Unavailable, "max_connections");
    assert!(is_there(&store, &KEY).await, "who has a connection works on");

    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'steadfast'";
    taken[0].query(end, &[]).await.unwrap();
    while let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        taken.push(client);
    }
    let error = soon("a refusal", async {
        loop {
            match store.load(&KEY).await {
                Err(error) if steadfast::chain(&error).to_string().contains("max_connections") => {
                    return error;
                }
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    taken.clear();
    recovers(&store).await;
}
