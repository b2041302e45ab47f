//! Statements that had to wait for another one: what they say must be true of what it left behind.
//!
//! In each test another transaction has written the row and is not over yet when the store's statement
//! begins. So the statement's snapshot is the old one, and its outcome must not be.

use std::time::Duration;

use steadfast::Result;
use steadfast::store::postgres::PostgresStore;
use steadfast::store::{
    Acquired, Deleted, LeaseEnd, Predecessor, Record, Replaced, Store, StoreKey, Updated, Version,
};
use tokio_postgres::Client;

use super::fixture::{KEY, Table, create, hold, is_there, lease, record, soon};

const NEW: StoreKey = StoreKey::from_bytes([9; 16]);

/// What the other transaction does to the record.
#[derive(Clone, Copy)]
enum Meanwhile {
    Deletes,
    /// It stores the payload `meanwhile` under another version.
    Updates,
    /// It ends the lease, and nothing else.
    Releases,
}

impl Meanwhile {
    fn sql(self, table: &Table) -> String {
        let Table { name, .. } = table;
        match self {
            Self::Deletes => format!("DELETE FROM {name} WHERE key = $1"),
            Self::Updates => format!("UPDATE {name} SET version = 1, payload = 'meanwhile' WHERE key = $1"),
            Self::Releases => format!("UPDATE {name} SET lease_until = 0 WHERE key = $1"),
        }
    }
}

/// Lets a call of the store begin while the other transaction is under way, and returns its outcome.
async fn overtaken<T, F>(
    table: &Table,
    meanwhile: Meanwhile,
    call: impl FnOnce(PostgresStore) -> F,
) -> (PostgresStore, T)
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let store = table.open().await;
    let (other, watch) = (table.client().await, table.client().await);
    other.batch_execute("BEGIN").await.unwrap();
    other.execute(&meanwhile.sql(table), &[&&KEY.as_bytes()[..]]).await.unwrap();
    let calling = tokio::spawn(call(store.clone()));
    waits_for(&other, &watch).await;
    other.batch_execute("COMMIT").await.unwrap();
    (store, soon("the call", calling).await.unwrap().unwrap())
}

/// Waits until a statement of somebody waits for this client's transaction.
async fn waits_for(holder: &Client, watch: &Client) {
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))";
    soon("the call to wait", async {
        while !watch.query_one(sql, &[&pid]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn table_with_a_record() -> (Table, Record) {
    let table = Table::new().await;
    let record = create(&table.open().await, &KEY).await;
    (table, record)
}

async fn check_update(meanwhile: Meanwhile, expected: Updated) {
    let (table, seen) = table_with_a_record().await;
    let (store, updated) = overtaken(&table, meanwhile, |store| async move {
        store.update(&KEY, seen.version, &record("late"), LeaseEnd::None).await
    })
    .await;
    assert_eq!(updated, expected);
    assert_eq!(is_there(&store, &KEY).await, expected != Updated::Missing);
}

#[tokio::test]
async fn an_update_that_was_overtaken_says_by_what() {
    check_update(Meanwhile::Updates, Updated::Stale).await;
    check_update(Meanwhile::Deletes, Updated::Missing).await;
    check_update(Meanwhile::Releases, Updated::Stored).await;
}

async fn check_delete(meanwhile: Meanwhile, expected: Deleted) {
    let (table, seen) = table_with_a_record().await;
    let (store, deleted) =
        overtaken(&table, meanwhile, |store| async move { store.delete(&KEY, Some(seen.version)).await })
            .await;
    assert_eq!(deleted, expected);
    assert_eq!(is_there(&store, &KEY).await, expected == Deleted::Stale);
}

#[tokio::test]
async fn a_deletion_that_was_overtaken_says_by_what() {
    check_delete(Meanwhile::Updates, Deleted::Stale).await;
    check_delete(Meanwhile::Deletes, Deleted::Missing).await;
    check_delete(Meanwhile::Releases, Deleted::Gone).await;
}

async fn check_replace(meanwhile: Meanwhile, freezes: bool, expected: Replaced) {
    let (table, seen) = table_with_a_record().await;
    let (store, replaced) = overtaken(&table, meanwhile, |store| async move {
        let (new, frozen) = (record("new"), record("frozen"));
        let predecessor = if freezes { Predecessor::Update(&frozen) } else { Predecessor::Delete };
        store.replace(&KEY, seen.version, predecessor, &NEW, &new).await
    })
    .await;
    assert_eq!(replaced, expected);
    assert_eq!(is_there(&store, &NEW).await, expected == Replaced::Stored);
}

#[tokio::test]
async fn a_replacement_that_was_overtaken_says_by_what_and_leaves_nothing() {
    for freezes in [false, true] {
        check_replace(Meanwhile::Updates, freezes, Replaced::Stale).await;
        check_replace(Meanwhile::Deletes, freezes, Replaced::Missing).await;
        check_replace(Meanwhile::Releases, freezes, Replaced::Stored).await;
    }
}

#[tokio::test]
async fn a_lease_comes_with_the_newest_record() {
    let (table, _) = table_with_a_record().await;
    let taking = |store: PostgresStore| async move { store.acquire(&KEY, lease()).await };
    let (_, acquired) = overtaken(&table, Meanwhile::Updates, taking).await;
    let Acquired::Held(found) = acquired else { panic!("nobody holds the lease") };
    assert_eq!((&found.record.payload[..], found.record.version), (&b"meanwhile"[..], Version::from_u64(1)));
}

#[tokio::test]
async fn a_lease_of_a_record_that_was_deleted_is_not_held() {
    let (table, _) = table_with_a_record().await;
    let taking = |store: PostgresStore| async move { store.acquire(&KEY, lease()).await };
    let (store, acquired) = overtaken(&table, Meanwhile::Deletes, taking).await;
    // Either is true of one moment; the next question has one answer.
    assert!(matches!(acquired, Acquired::Busy | Acquired::Missing));
    soon("the wait", store.released(&KEY, Duration::from_secs(3600))).await;
    assert_eq!(store.acquire(&KEY, lease()).await.unwrap(), Acquired::Missing);
}

#[tokio::test]
async fn a_waiter_that_asks_to_be_told_in_the_moment_of_the_release_does_not_wait() {
    let (table, _) = table_with_a_record().await;
    hold(&table.open().await, &KEY).await;
    let waiting = |store: PostgresStore| async move {
        store.released(&KEY, Duration::from_secs(3600)).await;
        Ok(())
    };
    overtaken(&table, Meanwhile::Releases, waiting).await;
}
