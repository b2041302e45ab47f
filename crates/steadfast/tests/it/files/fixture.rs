//! Records that tell whether they are whole, and processes to kill.

use std::path::{Path, PathBuf};
use std::process::Command;

use steadfast::Timestamp;
use steadfast::store::files::FilesStore;
use steadfast::store::{Created, Found, LeaseEnd, Loaded, Record, Store, StoreKey, Updated, Version};
use tempfile::TempDir;

/// A deadline that no test reaches: 2100-01-01 00:00:00 UTC.
pub(super) const LATER: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

/// Tells a child process the directory to work in, and that it is one.
const CHILD_DIR: &str = "STEADFAST_TEST_FILES_DIR";

/// Returns a command that runs one test again, in a process of its own, where [`child_dir`] is `dir`.
pub(super) fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test is a program"));
    command.args([test, "--exact", "--nocapture"]).env(CHILD_DIR, dir);
    command
}

/// Returns the directory to work in if this process is the child of a test.
pub(super) fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

/// Returns a directory for a store, which goes away with the guard.
pub(super) fn directory() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let path = temp.path().join("sessions");
    (temp, path)
}

/// Runs the body of a child process.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime starts").block_on(future)
}

pub(super) fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 16])
}

pub(super) fn record(payload: Vec<u8>) -> Record {
    Record { payload: payload.into(), version: Version::fresh(), expires_at: LATER, user: None }
}

/// Returns a record whose every byte follows from the number in it; the length goes up and down with it.
pub(super) fn numbered(number: u64) -> Record {
    let fill = usize::try_from(number * 911 % 6_000).expect("less than 6,000");
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + fill, number.to_le_bytes()[0]);
    record(payload)
}

/// Returns the number in a record, after checking every other byte.
#[track_caller]
pub(super) fn number(record: &Record) -> u64 {
    let head = record.payload.first_chunk().expect("a record has a number");
    let number = u64::from_le_bytes(*head);
    assert!(record.payload == numbered(number).payload, "the record {number} is torn");
    number
}

pub(super) async fn create(store: &FilesStore, key: &StoreKey, record: &Record) {
    assert_eq!(store.create(key, record).await.expect("create works"), Created::Stored);
}

pub(super) async fn find(store: &FilesStore, key: &StoreKey) -> Record {
    match store.load(key).await.expect("load works") {
        Loaded::Found(Found { record, .. }) => record,
        Loaded::Missing => panic!("the record is there"),
    }
}

pub(super) async fn update(store: &FilesStore, key: &StoreKey, seen: Version, record: &Record) -> Updated {
    store.update(key, seen, record, LeaseEnd::None).await.expect("update works")
}

/// Returns the path of a record's file.
pub(super) fn file_of(dir: &Path, key: &StoreKey) -> PathBuf {
    let name = key.to_hex();
    dir.join("records").join(&name[..3]).join(name)
}
