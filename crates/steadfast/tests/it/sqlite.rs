//! The `sqlite` driver: against the conformance suite, between processes, after `kill -9`, at wrong files.
#![expect(clippy::unwrap_used, reason = "clippy spares test functions, but not their helpers")]

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use bytes::Bytes;
use rusqlite::Connection;
use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::sqlite::{SCHEMA, SqliteStore};
use steadfast::store::{
    Acquired, Created, Found, Lease, LeaseEnd, LeaseToken, Loaded, Record, Store, StoreKey, Updated, Version,
};
use steadfast::testing::ManualClock;
use steadfast::{Error, ErrorKind, Timestamp};
use tempfile::TempDir;

/// Two separate stores on one file, which share as little as two processes.
async fn harness() -> Harness {
    let clock = ManualClock::new();
    let dir = tempfile::tempdir().unwrap();
    let open =
        || SqliteStore::options().clock(Arc::new(clock.clone())).open(dir.path().join("s.db")).unwrap();
    Harness::new(open(), open(), TestTime::Manual(clock.clone())).keeping(dir)
}

conformance_suite! { mod sqlite_driver, harness }

/// Names the database to a process that a test has started.
const PATH: &str = "STEADFAST_TEST_SQLITE_PATH";
/// What each of several processes adds to the counter.
const SHARE: u64 = 100;
const COUNTER: StoreKey = StoreKey::from_bytes([1; 16]);

fn record(payload: impl Into<Bytes>) -> Record {
    Record { payload: payload.into(), version: Version::fresh(), expires_at: Timestamp::MAX, user: None }
}

async fn create(store: &SqliteStore, key: &StoreKey, payload: impl Into<Bytes>) {
    assert_eq!(store.create(key, &record(payload)).await.unwrap(), Created::Stored);
}

async fn load(store: &SqliteStore, key: &StoreKey) -> Record {
    match store.load(key).await.unwrap() {
        Loaded::Found(Found { record, .. }) => record,
        Loaded::Missing => panic!("the record is there"),
    }
}

fn number(payload: &Bytes) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

fn plus_one(found: &Record) -> Record {
    record((number(&found.payload) + 1).to_be_bytes().to_vec())
}

/// Starts this binary again, as another process that runs one ignored test.
fn start(test: &str, path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("sqlite::{test}"), "--ignored", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn store_of_the_parent() -> SqliteStore {
    SqliteStore::open(env::var_os(PATH).expect("started by another test")).unwrap()
}

async fn increment_by_version(store: SqliteStore, times: u64) {
    for _ in 0..times {
        loop {
            let found = load(&store, &COUNTER).await;
            let updated = store.update(&COUNTER, found.version, &plus_one(&found), LeaseEnd::None).await;
            if updated.unwrap() == Updated::Stored {
                break;
            }
        }
    }
}

async fn increment_by_lease(store: SqliteStore, times: u64) {
    for _ in 0..times {
        let lease = Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(60) };
        loop {
            match store.acquire(&COUNTER, lease).await.unwrap() {
                Acquired::Held(Found { record: found, .. }) => {
                    let end = LeaseEnd::Release(lease.token);
                    let updated = store.update(&COUNTER, found.version, &plus_one(&found), end).await;
                    assert_eq!(updated.unwrap(), Updated::Stored, "nobody else writes under the lease");
                    break;
                }
                Acquired::Busy => store.released(&COUNTER, Duration::from_secs(60)).await,
                Acquired::Missing => panic!("the record is there"),
            }
        }
    }
}

/// Adds [`SHARE`] by four tasks at once.
async fn four_at_once<F>(store: &SqliteStore, increment: impl Fn(SqliteStore, u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(increment(store.clone(), SHARE / 4))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn count_in_three_processes<F>(child: &str, increment: impl Fn(SqliteStore, u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = SqliteStore::open(&path).unwrap();
    create(&store, &COUNTER, vec![0; 8]).await;
    let children = [start(child, &path), start(child, &path)];
    four_at_once(&store, increment).await;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(number(&load(&store, &COUNTER).await.payload), 3 * SHARE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_increments_of_three_processes_are_all_counted() {
    count_in_three_processes("child_that_increments_by_version", increment_by_version).await;
}

#[tokio::test]
#[ignore = "run as another process by the test above"]
async fn child_that_increments_by_version() {
    four_at_once(&store_of_the_parent(), increment_by_version).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leased_increments_of_three_processes_are_all_counted() {
    count_in_three_processes("child_that_increments_by_lease", increment_by_lease).await;
}

#[tokio::test]
#[ignore = "run as another process by the test above"]
async fn child_that_increments_by_lease() {
    four_at_once(&store_of_the_parent(), increment_by_lease).await;
}

/// Keys that the killed process writes to at once.
const WRITTEN: [StoreKey; 4] = [
    StoreKey::from_bytes([0xa0; 16]),
    StoreKey::from_bytes([0xa1; 16]),
    StoreKey::from_bytes([0xa2; 16]),
    StoreKey::from_bytes([0xa3; 16]),
];
/// Words in a payload: it fills several pages, so that a torn write would show.
const WORDS: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_during_a_thousand_commits_leaves_every_record_whole_and_no_acknowledged_one_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let before = SqliteStore::open(&path).unwrap();
    for key in &WRITTEN {
        create(&before, key, vec![0; 8 * WORDS]).await;
    }
    let mut child = start("child_that_writes_until_it_is_killed", &path);
    let mut acknowledged = [0_u64; WRITTEN.len()];
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut note = |line: io::Result<String>| {
        let line = line.unwrap();
        let Some((key, n)) = line.strip_prefix("acknowledged ").and_then(|rest| rest.split_once(' ')) else {
            return false;
        };
        acknowledged[key.parse::<usize>().unwrap()] = n.parse().unwrap();
        true
    };
    let mut seen = 0;
    while seen < 1_000 {
        seen += u32::from(note(lines.next().expect("the child writes until it is killed")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        note(line);
    }

    // A store that was open all the time and one that is opened now see the same.
    let after = SqliteStore::open(&path).unwrap();
    for (key, acknowledged) in WRITTEN.iter().zip(acknowledged) {
        let found = load(&after, key).await;
        let n = number(&found.payload);
        assert_eq!(found.payload, n.to_be_bytes().repeat(WORDS), "the record is whole");
        assert!(n == acknowledged || n == acknowledged + 1, "{n} follows {acknowledged}");
        assert_eq!(load(&before, key).await, found);
    }
}

#[tokio::test]
#[ignore = "run as another process by the test above"]
async fn child_that_writes_until_it_is_killed() {
    let store = store_of_the_parent();
    let tasks = (0..WRITTEN.len()).map(|i| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seen = load(&store, &WRITTEN[i]).await.version;
            for n in 1_u64.. {
                let next = record(n.to_be_bytes().repeat(WORDS));
                let updated = store.update(&WRITTEN[i], seen, &next, LeaseEnd::None).await;
                assert_eq!(updated.unwrap(), Updated::Stored);
                seen = next.version;
                writeln!(io::stdout(), "acknowledged {i} {n}").unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_did_not_commit_has_not_happened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = SqliteStore::open(&path).unwrap();
    create(&store, &COUNTER, vec![0; 8]).await;
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE; DELETE FROM records").unwrap();
    drop(holder);
    assert_eq!(number(&load(&store, &COUNTER).await.payload), 0);
    increment_by_version(store, 1).await;
}

#[tokio::test]
async fn a_damaged_database_is_unavailable_and_says_how_to_rescue_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    run_sql(&path, SCHEMA);
    let mut bytes = fs::read(&path).unwrap();
    // The first page tells where the tables are; the second is the root of the first one.
    bytes[4096..8192].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    for error in [store.load(&COUNTER).await.unwrap_err(), store.delete(&COUNTER, None).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(".recover"), "{error}");
    }
}

fn dir_with(name: &str, prepare: impl FnOnce(&Path)) -> (TempDir, Error) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    prepare(&path);
    let error = SqliteStore::open(&path).unwrap_err();
    (dir, error)
}

#[track_caller]
fn check_refused(kind: ErrorKind, words: &str, prepare: impl FnOnce(&Path)) {
    let (_dir, error) = dir_with("s.db", prepare);
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(error.driver(), Some("sqlite"));
}

fn run_sql(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn files_that_are_not_ours_are_refused() {
    use ErrorKind::{InvalidConfig, NewerFormat};
    check_refused(InvalidConfig, "not a SQLite database", |path| fs::write(path, "x".repeat(5_000)).unwrap());
    check_refused(InvalidConfig, "another application", |path| run_sql(path, "CREATE TABLE users (name)"));
    check_refused(InvalidConfig, "another application", |path| run_sql(path, "PRAGMA user_version = 1"));
    check_refused(InvalidConfig, "cannot open", |path| fs::create_dir(path).unwrap());
    check_refused(NewerFormat, "newer version", |path| {
        run_sql(path, SCHEMA);
        run_sql(path, "PRAGMA user_version = 2; CREATE TABLE records_of_tomorrow (key)");
    });
}

#[test]
fn a_file_that_is_refused_is_left_as_it_was() {
    let contents = "x".repeat(5_000);
    let (dir, _error) = dir_with("s.db", |path| fs::write(path, &contents).unwrap());
    assert_eq!(fs::read_to_string(dir.path().join("s.db")).unwrap(), contents);
    let (dir, _error) = dir_with("s.db", |path| run_sql(path, "CREATE TABLE users (name)"));
    let mode: String = Connection::open(dir.path().join("s.db"))
        .unwrap()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn a_directory_that_can_t_be_made_is_a_wrong_setting() {
    let (_dir, error) = dir_with("file/sessions/s.db", |path| {
        fs::write(path.parent().unwrap().parent().unwrap(), "in the way").unwrap();
    });
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("cannot create the directory"), "{error}");
}

#[tokio::test]
async fn tables_that_the_operator_made_from_the_public_schema_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    run_sql(&path, SCHEMA);
    create(&SqliteStore::open(&path).unwrap(), &COUNTER, "").await;
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_but_the_owner_can_read_what_the_driver_creates() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/deep/s.db");
    let store = SqliteStore::open(&path).unwrap();
    create(&store, &COUNTER, "").await;
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("new"), mode("new/deep")], [0o700; 2]);
    for name in ["new/deep/s.db", "new/deep/s.db-wal", "new/deep/s.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn many_can_open_a_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::open(&path).map(drop))).collect();
        openers.into_iter().for_each(|opener| opener.join().unwrap().unwrap());
    });
}

#[test]
fn names_that_mean_something_to_sqlite_are_files_here() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["file:s.db?mode=memory", ":memory:"] {
        SqliteStore::open(dir.path().join(name)).unwrap();
        assert!(dir.path().join(name).exists(), "{name}");
    }
}
