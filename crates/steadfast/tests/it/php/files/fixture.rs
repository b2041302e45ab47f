//! A directory with a store and PHP on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use steadfast::store::php::Site;
use steadfast::store::php::files::{PhpFiles, PhpFilesOptions};
use steadfast::store::{
    Acquired, Created, Found, Lease, LeaseToken, Loaded, Record, SharedName, Store, StoreKey, Version,
};
use steadfast::{Clock, Layout, SystemClock};
use tempfile::TempDir;

use super::super::peer::Peer;

/// How long an unused session is kept.
pub(super) const LIFETIME: Duration = Duration::from_secs(7_200);
/// For how long a call waits for PHP's lock.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(30);
/// More than any test takes.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// Counts up the number in a session.
pub(super) const COUNT: &str = r#"[{ "op": "incr", "key": "n" }]"#;

/// A directory of session files.
pub(super) struct Place {
    temp: TempDir,
    pub(super) layout: Layout,
}

impl Place {
    pub(super) fn new(layout: Layout) -> Self {
        Self { temp: tempfile::tempdir().expect("a temporary directory"), layout }
    }

    pub(super) fn dir(&self) -> &Path {
        self.temp.path()
    }

    pub(super) fn save_path(&self) -> &str {
        self.dir().to_str().expect("a path in UTF-8")
    }

    /// Returns another handle, which shares nothing but the directory with those before.
    pub(super) fn store(&self) -> PhpFiles {
        self.options(LOCK_WAIT).open(self.save_path()).expect("the directory opens")
    }

    pub(super) fn options(&self, lock_wait: Duration) -> PhpFilesOptions {
        let cookie_name = "ci_session".to_owned();
        PhpFiles::options(Site { layout: self.layout, cookie_name, lifetime: LIFETIME, lock_wait })
    }

    /// Starts PHP on the directory: CodeIgniter, or in layout `php` its own handler.
    pub(super) fn php(&self) -> Peer {
        let layout = self.layout.as_str();
        match self.layout {
            Layout::Php => Peer::start(
                &json!({ "driver": "native", "layout": layout, "save_path": self.save_path(), "lifetime": 7200 }),
            ),
            _ => Peer::start(
                &json!({ "driver": "files", "layout": layout, "handler": { "save_path": self.save_path() } }),
            ),
        }
    }

    /// Returns the path of a session without an address.
    pub(super) fn file(&self, id: &str) -> PathBuf {
        let prefix = if self.layout == Layout::Php { "sess_" } else { "ci_session" };
        self.dir().join(format!("{prefix}{id}"))
    }

    pub(super) fn stored(&self, id: &str) -> String {
        std::fs::read_to_string(self.file(id)).expect("the file is there")
    }
}

pub(super) fn key(id: &str) -> StoreKey {
    SharedName::new(id.as_bytes(), None).expect("an id").key()
}

/// Returns a record that was used just now.
pub(super) fn record(payload: impl Into<Vec<u8>>) -> Record {
    let expires_at = SystemClock.now() + LIFETIME;
    Record { payload: payload.into().into(), version: Version::fresh(), expires_at, user: None }
}

/// Returns a session that holds one number, so new that nobody regenerates its id.
pub(super) fn counting(n: u64) -> Record {
    record(format!("__ci_last_regenerate|i:{};n|i:{n};", SystemClock.now().as_secs()))
}

/// Returns the same session with the next number.
pub(super) fn next(record: &Record) -> Record {
    let text = text(record);
    let (before, number) = text.rsplit_once("n|i:").expect("it has a number");
    let number: u64 = number.trim_end_matches(';').parse().expect("it ends with its number");
    self::record(format!("{before}n|i:{};", number + 1))
}

pub(super) fn text(record: &Record) -> String {
    String::from_utf8(record.payload.to_vec()).expect("it is text")
}

pub(super) fn ops(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

pub(super) fn lease() -> Lease {
    Lease { token: LeaseToken::fresh(), ttl: LONG }
}

pub(super) async fn create(store: &PhpFiles, id: &str, record: &Record) {
    assert_eq!(store.create(&key(id), record).await.expect("create works"), Created::Stored);
}

pub(super) async fn find(store: &PhpFiles, id: &str) -> Option<Record> {
    match store.load(&key(id)).await.expect("load works") {
        Loaded::Found(Found { record, .. }) => Some(record),
        Loaded::Missing => None,
    }
}

pub(super) async fn acquire(store: &PhpFiles, id: &str, lease: Lease) -> Acquired {
    store.acquire(&key(id), lease).await.expect("acquire works")
}

/// Takes a lock that must be free.
pub(super) async fn hold(store: &PhpFiles, id: &str, lease: Lease) -> Record {
    match acquire(store, id, lease).await {
        Acquired::Held(found) => found.record,
        other => panic!("the lock is free, but {other:?}"),
    }
}

/// Waits for a lock as long as it takes; `None` if the record is gone.
pub(super) async fn wait_and_hold(store: &PhpFiles, id: &str, lease: Lease) -> Option<Record> {
    loop {
        match acquire(store, id, lease).await {
            Acquired::Held(found) => return Some(found.record),
            Acquired::Missing => return None,
            Acquired::Busy => store.released(&key(id), LONG).await,
        }
    }
}

/// Waits until so many wait in the kernel's queue for the lock of a file. A poller is not among them.
pub(super) async fn queued(path: &Path, waiters: usize) {
    until(|| locks(path).iter().filter(|line| line.contains("->")).count() == waiters).await;
}

/// Returns the kernel's lines about the locks of a file.
pub(super) fn locks(path: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{} ", std::fs::metadata(path).expect("the file is there").ino());
    let all = std::fs::read_to_string("/proc/locks").expect("the kernel tells");
    all.lines().filter(|line| line.contains(&inode)).map(str::to_owned).collect()
}

/// Waits for what the kernel shows but does not announce.
async fn until(is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, waited).await.expect("it comes about");
}
