//! What the table does inside the server.

use std::num::NonZeroUsize;

use std::time::Duration;
use steadfast::Timestamp;
use steadfast::store::postgres::PostgresStore;
use steadfast::store::{Record, Store, StoreKey};
use steadfast_servers::{Postgres, Server as _};
use tokio_postgres::Client;

use super::fixture::{KEY, Table, create, hold, in_a_day, is_there, record, soon};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_page_prints_the_statements_that_make_the_tables() {
    let page = include_str!("../../../../../docs/drivers/postgres.md");
    assert!(page.contains(&PostgresStore::options().ddl().unwrap()));
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until a counter of the server is this high: it is written when a connection ends.
async fn reaches(client: &Client, sql: &str, expected: i64) {
    soon("the server's statistics", async {
        while number(client, sql).await < expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn start_of_an_hour(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros() / 3_600_000_000 * 3_600_000_000)
}

#[tokio::test]
async fn touches_and_leases_within_an_hour_stay_in_their_page_and_leave_the_indexes_alone() {
    const TIMES: u64 = 50;
    // Of its own: a transaction that another test leaves open keeps old versions of rows in their pages.
    let server = Postgres::start().unwrap();
    let table = Table::on(&server.dsn()).await;
    let store = table.open().await;
    let hour = start_of_an_hour(in_a_day());
    let written = Record { expires_at: hour, ..record(vec![7; 600]) };
    let _ = store.create(&KEY, &written).await.unwrap();
    for n in 1..=TIMES {
        let _ = store.touch(&KEY, hour + Duration::from_secs(n)).await.unwrap();
        let held = hold(&store, &KEY).await;
        store.release(&KEY, held.token).await.unwrap();
    }
    drop(store);
    let client = table.client().await;
    let updates = format!("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = '{}'", table.name);
    let hot = updates.replace("n_tup_upd", "n_tup_hot_upd");
    let expected = i64::try_from(3 * TIMES).unwrap();
    reaches(&client, &updates, expected).await;
    assert_eq!((number(&client, &updates).await, number(&client, &hot).await), (expected, expected));
}

#[tokio::test]
async fn a_purge_finds_expired_records_by_their_hour_and_reads_no_others() {
    let table = Table::new().await;
    let client = table.client().await;
    // As many that live on as make a scan of the table the wrong plan, in the next hours of many days.
    let fill = |from: u32, to: u32, expires_at: &str| {
        format!(
            "INSERT INTO {} (version, expires_at, lease_token, lease_until, purge_hour, waited, key, payload) \
             SELECT 1, e, 0, 0, e / 3600000000, false, decode(md5(i::text), 'hex'), 'x' \
             FROM generate_series({from}, {to}) i, LATERAL (SELECT {expires_at} AS e) AS e",
            table.name
        )
    };
    let now = "(extract(epoch FROM now()) * 1000000)::bigint";
    client.batch_execute(&fill(1, 20_000, &format!("{now} + i * 3600000000::bigint"))).await.unwrap();
    client.batch_execute(&fill(20_001, 20_200, &format!("{now} - 2 * 3600000000"))).await.unwrap();
    client.batch_execute(&format!("ANALYZE {}", table.name)).await.unwrap();
    let scans = format!("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = '{}'", table.name);
    let read = format!(
        "SELECT coalesce(idx_tup_read, 0) FROM pg_stat_user_indexes WHERE indexrelname = '{}_purge_hour'",
        table.name
    );
    let before = number(&client, &scans).await;
    let store = table.open().await;
    assert_eq!(store.purge(NonZeroUsize::new(150).unwrap()).await.unwrap(), 150);
    assert_eq!(store.purge(NonZeroUsize::new(150).unwrap()).await.unwrap(), 50);
    assert_eq!(store.count().await.unwrap(), 20_000);
    drop(store);
    reaches(&client, &read, 200).await;
    // Dead entries of the first purge may be met again by the second.
    let read = number(&client, &read).await;
    assert!(read <= 400, "{read} entries of the index were read");
    // The one is `count`.
    assert!(number(&client, &scans).await - before <= 1, "no purge scans the table");
}

#[tokio::test]
async fn a_purge_passes_over_what_others_work_on() {
    let table = Table::new().await;
    let store = table.open().await;
    let two = StoreKey::from_bytes([8; 16]);
    for key in [KEY, two] {
        create(&store, &key).await;
        let _ = store.touch(&key, Timestamp::from_micros(1)).await.unwrap();
    }
    let mut client = table.client().await;
    let locked = client.transaction().await.unwrap();
    let lock = format!("SELECT FROM {} WHERE key = $1 FOR UPDATE", table.name);
    locked.execute(&lock, &[&&KEY.as_bytes()[..]]).await.unwrap();
    assert_eq!(soon("a purge", store.purge(NonZeroUsize::new(10).unwrap())).await.unwrap(), 1);
    locked.rollback().await.unwrap();
    assert!(is_there(&store, &KEY).await && !is_there(&store, &two).await);
    assert_eq!(store.purge(NonZeroUsize::new(10).unwrap()).await.unwrap(), 1);
}

#[tokio::test]
async fn what_expired_within_the_present_hour_is_purged_too() {
    let table = Table::new().await;
    let store = table.open().await;
    create(&store, &KEY).await;
    let now = store.now().await.unwrap();
    let _ = store.touch(&KEY, now).await.unwrap();
    assert_eq!(store.purge(NonZeroUsize::MIN).await.unwrap(), 1);
    create(&store, &KEY).await;
    let _ = store.touch(&KEY, now + HOUR).await.unwrap();
    assert_eq!(store.purge(NonZeroUsize::MIN).await.unwrap(), 0);
}

#[tokio::test]
async fn damaged_records_are_kept_for_an_operator_the_newest_hundred() {
    let table = Table::new().await;
    let store = table.open().await;
    for byte in 0..103 {
        let key = StoreKey::from_bytes([byte; 16]);
        create(&store, &key).await;
        store.set_aside(&key).await.unwrap();
        assert!(!is_there(&store, &key).await);
    }
    let client = table.client().await;
    let sql = format!("SELECT count(*), min(get_byte(key, 0))::bigint FROM {}_set_aside", table.name);
    let row = client.query_one(&sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (100, 3));
}
