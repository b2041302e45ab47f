//! What only the inside can show: groups, failures of the engine, query plans.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::db::Db;
use super::{SqliteOptions, SqliteStore, reads, writes};
use crate::error::{Error, ErrorKind};
use crate::store::{
    Created, Deleted, Durability, Found, Lease, LeaseEnd, LeaseToken, Loaded, Predecessor, Record, Replaced,
    Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::{Clock, Timestamp};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Fixture {
    store: SqliteStore,
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(SqliteStore::options())
    }

    fn with(options: SqliteOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = options.clock(Arc::new(Stopped)).open(dir.path().join("s.db")).unwrap();
        Self { store, dir }
    }

    /// Opens the file as another program would.
    fn another_program(&self) -> Connection {
        Connection::open(self.dir.path().join("s.db")).unwrap()
    }

    /// Sets something on the connection of the writer.
    async fn set(&self, pragma: &'static str, value: i64) {
        self.store.write(move |db| db.conn.pragma_update(None, pragma, value)).await.unwrap();
    }

    async fn create(&self, key: &StoreKey, record: &Record) {
        assert_eq!(self.store.create(key, record).await.unwrap(), Created::Stored);
    }

    async fn load(&self, key: &StoreKey) -> Option<Record> {
        match self.store.load(key).await.unwrap() {
            Loaded::Found(Found { record, .. }) => Some(record),
            Loaded::Missing => None,
        }
    }
}

/// Begins a call: its job is in the queue when this returns.
fn begun<F: Future>(call: F) -> Pin<Box<F>> {
    let mut call = Box::pin(call);
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    call
}

fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

fn record(payload: &'static [u8], expires_at: Timestamp) -> Record {
    Record { payload: payload.into(), version: Version::fresh(), expires_at, user: None }
}

fn at_most(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap()
}

#[track_caller]
fn assert_fails(error: &Error, kind: ErrorKind, words: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn writes_that_wait_at_the_same_time_share_a_transaction() {
    let fixture = Fixture::new();
    let before = fixture.store.statistics();
    // While another program holds the lock, all calls gather in the queue.
    let other = fixture.another_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let new = record(b"", NOW + HOUR);
    let keys: Vec<_> = (0..100).map(key).collect();
    let calls: Vec<_> = keys.iter().map(|key| begun(fixture.store.create(key, &new))).collect();
    other.execute_batch("COMMIT").unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap(), Created::Stored);
    }
    let after = fixture.store.statistics();
    assert_eq!(after.operations - before.operations, 100);
    assert_eq!(after.transactions - before.transactions, 1);
}

#[tokio::test]
async fn a_call_that_can_t_be_done_does_not_take_its_group_down() {
    let fixture = Fixture::new();
    let other = fixture.another_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let bad = fixture.store.write(|db| db.execute("INSERT INTO records (key) VALUES (x'00')", []));
    let bad = begun(bad);
    let (key, new) = (key(1), record(b"", NOW + HOUR));
    let good = begun(fixture.store.create(&key, &new));
    other.execute_batch("COMMIT").unwrap();
    assert_fails(&bad.await.unwrap_err(), ErrorKind::Unavailable, "refused");
    assert_eq!(good.await.unwrap(), Created::Stored);
    assert_eq!(fixture.store.count().await.unwrap(), 1);
}

#[tokio::test]
async fn an_acquire_that_nobody_waits_for_any_more_takes_no_lease() {
    let fixture = Fixture::new();
    fixture.create(&key(1), &record(b"", NOW + HOUR)).await;
    let other = fixture.another_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let lease = Lease { token: LeaseToken::fresh(), ttl: HOUR };
    drop(begun(fixture.store.acquire(&key(1), lease)));
    other.execute_batch("COMMIT").unwrap();
    // Comes after it in the queue.
    assert_eq!(fixture.store.touch(&key(1), NOW + HOUR).await.unwrap(), Touched::Moved);
    assert!(!fixture.store.read(|db| db.is_leased(&key(1))).await.unwrap());
}

#[tokio::test]
async fn a_lock_that_is_never_let_go_is_a_time_out() {
    let fixture = Fixture::with(SqliteStore::options().busy_timeout(Duration::from_millis(20)));
    let other = fixture.another_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fixture.store.delete(&key(1), None).await.unwrap_err();
    assert_fails(&error, ErrorKind::TimedOut, "`busy_timeout`");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(fixture.store.delete(&key(1), None).await.unwrap(), Deleted::Missing);
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_loses_nothing() {
    let fixture = Fixture::new();
    let kept = record(b"kept", NOW + HOUR);
    fixture.create(&key(1), &kept).await;
    let pages: i64 = fixture
        .store
        .write(|db| db.conn.pragma_query_value(None, "page_count", |row| row.get(0)))
        .await
        .unwrap();
    fixture.set("max_page_count", pages).await;

    let large = Record { payload: vec![1; 100_000].into(), ..record(b"", NOW + HOUR) };
    let update = fixture.store.update(&key(1), kept.version, &large, LeaseEnd::None).await;
    assert_fails(&update.unwrap_err(), ErrorKind::Unavailable, "make room");
    let replace = fixture.store.replace(&key(1), kept.version, Predecessor::Delete, &key(2), &large).await;
    assert_fails(&replace.unwrap_err(), ErrorKind::Unavailable, "make room");
    assert_eq!(fixture.load(&key(1)).await.as_ref(), Some(&kept));
    assert_eq!(fixture.load(&key(2)).await, None);

    // What needs no room goes on, and everything does when there is room again.
    let small = record(b"less", NOW + HOUR);
    let update = fixture.store.update(&key(1), kept.version, &small, LeaseEnd::None).await;
    assert_eq!(update.unwrap(), Updated::Stored);
    fixture.set("max_page_count", 1_000_000).await;
    let update = fixture.store.update(&key(1), small.version, &large, LeaseEnd::None).await;
    assert_eq!(update.unwrap(), Updated::Stored);
}

#[tokio::test]
async fn a_database_that_went_read_only_is_an_error_and_can_still_be_read() {
    let fixture = Fixture::new();
    let kept = record(b"kept", NOW + HOUR);
    fixture.create(&key(1), &kept).await;
    fixture.set("query_only", 1).await;
    let error = fixture.store.delete(&key(1), None).await.unwrap_err();
    assert_fails(&error, ErrorKind::Unavailable, "can't be written any more");
    assert_eq!(fixture.load(&key(1)).await, Some(kept));
}

#[tokio::test]
async fn a_panic_in_a_thread_is_an_error_for_those_who_wait_and_all_who_come() {
    let fixture = Fixture::new();
    let error = fixture.store.write(|_| -> rusqlite::Result<()> { panic!("on purpose") }).await.unwrap_err();
    assert_fails(&error, ErrorKind::Unavailable, "panicked");
    let error = fixture.store.delete(&key(1), None).await.unwrap_err();
    assert_fails(&error, ErrorKind::Unavailable, "panicked");
}

#[tokio::test]
async fn the_connection_that_writes_has_the_durability_that_was_asked_for() {
    for (durability, expected) in [(Durability::Process, 1), (Durability::Fsync, 2)] {
        let fixture = Fixture::with(SqliteStore::options().durability(durability));
        let read = |db: &Db| db.conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
        assert_eq!(fixture.store.write(read).await.unwrap(), expected, "{durability:?}");
    }
}

/// Tells by being dropped that no thread uses it any more.
#[derive(Debug)]
struct Watched {
    _in_use: mpsc::Sender<()>,
}

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[tokio::test]
async fn threads_end_when_the_last_handle_is_dropped_and_all_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let (in_use, unused) = mpsc::channel();
    let clock = Arc::new(Watched { _in_use: in_use });
    let store = SqliteStore::options().clock(clock).open(dir.path().join("s.db")).unwrap();
    let other = Connection::open(dir.path().join("s.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(begun(store.create(&key(1), &record(b"", NOW + HOUR))));
    drop(store);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(unused.recv(), Err(mpsc::RecvError));
    let count: i64 = other.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_replace_that_is_refused_writes_nothing() {
    let fixture = Fixture::new();
    let old = record(b"old", NOW + HOUR);
    fixture.create(&key(1), &old).await;
    fixture.create(&key(2), &record(b"taken", NOW + HOUR)).await;
    let new = record(b"new", NOW + HOUR);
    let replace = async |from, seen, to| {
        fixture.store.replace(&key(from), seen, Predecessor::Delete, &key(to), &new).await.unwrap()
    };
    assert_eq!(replace(9, old.version, 3).await, Replaced::Missing);
    assert_eq!(replace(1, Version::fresh(), 3).await, Replaced::Stale);
    assert_eq!(replace(1, old.version, 2).await, Replaced::IdTaken);
    assert_eq!(fixture.load(&key(1)).await, Some(old));
    assert_eq!(fixture.load(&key(3)).await, None);
}

#[tokio::test]
async fn a_purge_finds_expired_records_of_the_present_hour_among_many_others() {
    let fixture = Fixture::new();
    let count = 3 * writes::PURGE_LOOKS as u64;
    let creates = (0..count).map(|n| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let expires_at = if n % 100 == 0 { NOW } else { NOW + Duration::from_secs(60) };
            store.create(&key(n), &record(b"", expires_at)).await.unwrap()
        })
    });
    for create in creates.collect::<Vec<_>>() {
        assert_eq!(create.await.unwrap(), Created::Stored);
    }
    // Each call looks at a bounded number of records and goes on where the one before it stopped.
    let mut purged = 0;
    for _ in 0..3 {
        let now = fixture.store.purge(at_most(1_000)).await.unwrap();
        assert_eq!(now, 5);
        purged += now;
    }
    assert_eq!(purged, 15);
    assert_eq!(fixture.store.purge(at_most(1_000)).await.unwrap(), 0);
    assert_eq!(fixture.store.count().await.unwrap(), count - 15);
}

#[tokio::test]
async fn a_purge_of_many_records_is_done_in_several_transactions() {
    let fixture = Fixture::new();
    for n in 0..1_200 {
        fixture.create(&key(n), &record(b"", NOW - HOUR)).await;
    }
    let before = fixture.store.statistics().transactions;
    assert_eq!(fixture.store.purge(at_most(1_100)).await.unwrap(), 1_100);
    assert_eq!(
        fixture.store.statistics().transactions - before,
        1_100_u64.div_ceil(writes::PURGE_BATCH as u64)
    );
    assert_eq!(fixture.store.purge(at_most(1_100)).await.unwrap(), 100);
}

#[tokio::test]
async fn a_damaged_record_is_corrupt_until_it_is_set_aside() {
    let fixture = Fixture::new();
    let user = UserKey::from_bytes([7; 16]);
    let bound = Record { user: Some(user), ..record(b"", NOW + HOUR) };
    fixture.create(&key(1), &bound).await;
    fixture.create(&key(2), &bound).await;
    let other = fixture.another_program();
    other
        .execute_batch("PRAGMA ignore_check_constraints = 1; UPDATE records SET user = x'00' WHERE key < x'0000000000000002'")
        .unwrap();
    assert_fails(&fixture.store.load(&key(1)).await.unwrap_err(), ErrorKind::Corrupt, "column");
    assert_eq!(fixture.store.page(None, at_most(9)).await.unwrap().len(), 1);
    fixture.store.set_aside(&key(1)).await.unwrap();
    assert_eq!(fixture.load(&key(1)).await, None);
    let kept: i64 = other.query_row("SELECT count(*) FROM set_aside", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn only_the_newest_damaged_records_are_kept() {
    let fixture = Fixture::new();
    for n in 0..120 {
        fixture.create(&key(n), &record(b"", NOW + HOUR)).await;
        fixture.store.set_aside(&key(n)).await.unwrap();
    }
    let kept: (i64, i64) = fixture
        .another_program()
        .query_row("SELECT count(*), min(id) FROM set_aside", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(kept, (100, 21));
}

/// Checks that a statement finds its rows by this step. Engines differ in the helpers they add.
#[track_caller]
fn check_plan(conn: &Connection, sql: &str, search: &str) {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![None::<i64>; statement.parameter_count()];
    let plan: Vec<String> = statement
        .query_map(rusqlite::params_from_iter(nulls), |row| row.get("detail"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(plan.iter().any(|step| step == search), "{plan:?}");
    assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("B-TREE")), "{plan:?}");
}

#[tokio::test]
async fn no_statement_scans_or_sorts_the_records() {
    let fixture = Fixture::new();
    let conn = fixture.another_program();
    let past = "SEARCH records USING COVERING INDEX records_by_purge_hour (purge_hour<?)";
    check_plan(&conn, writes::PURGE_PAST_HOURS, past);
    let after = "SEARCH records USING INDEX records_by_purge_hour (purge_hour=? AND key>?)";
    check_plan(&conn, writes::PRESENT_HOUR_AFTER, after);
    let up_to = "SEARCH records USING INDEX records_by_purge_hour (purge_hour=? AND key<?)";
    check_plan(&conn, writes::PRESENT_HOUR_UP_TO, up_to);
    check_plan(&conn, reads::OF_USER, "SEARCH records USING INDEX records_by_user (user=? AND key>?)");
    check_plan(&conn, reads::PAGE, "SEARCH records USING PRIMARY KEY (key>?)");
}
