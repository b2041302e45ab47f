//! The ceiling: the same server, with the least that any session layer could do on the same storage.
//!
//! A cookie is found, a blob of the same size is read, and, for an increment, eight of its bytes are
//! changed in place. Nothing is checked, hashed, decoded, locked for longer than a call, or made safe.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::response::IntoResponse;
use axum::routing::get;
use rusqlite::Connection;

use crate::Result;

/// Bytes of a blob: what a session of the application has as a record.
const BLOB: usize = 480;

/// Where blobs are kept, by the number in the cookie.
trait Blobs: Send + Sync + 'static {
    fn put(&self, key: u64, blob: [u8; BLOB]) -> Result<()>;
    fn read(&self, key: u64) -> Result<[u8; BLOB]>;
    /// Adds one to the first eight bytes.
    fn increment(&self, key: u64) -> Result<u64>;
}

/// Makes the routes of a driver's ceiling, below `/ceiling-DRIVER/`.
pub(crate) fn routes(driver: &str, folder: &Path) -> Result<Router> {
    Ok(match driver {
        "memory" => of(driver, InMemory::default()),
        "files" => of(driver, InFiles::open(folder)?),
        _ => of(driver, InSqlite::open(folder)?),
    })
}

fn of<B: Blobs>(driver: &str, blobs: B) -> Router {
    let at = |name: &str| format!("/ceiling-{driver}/{name}");
    Router::new()
        .route(&at("start"), get(start::<B>))
        .route(&at("get"), get(read::<B>))
        .route(&at("incr"), get(increment::<B>))
        .with_state(Arc::new(blobs))
}

async fn start<B: Blobs>(State(blobs): State<Arc<B>>) -> impl IntoResponse {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let key = NEXT.fetch_add(1, Ordering::Relaxed);
    blobs.put(key, [0; BLOB]).expect("the benchmark's own storage works");
    [(SET_COOKIE, format!("session={key:016}"))]
}

async fn read<B: Blobs>(State(blobs): State<Arc<B>>, headers: HeaderMap) -> String {
    let blob = blobs.read(key(&headers)).expect("the benchmark's own storage works");
    first(&blob).to_string()
}

async fn increment<B: Blobs>(State(blobs): State<Arc<B>>, headers: HeaderMap) -> String {
    blobs.increment(key(&headers)).expect("the benchmark's own storage works").to_string()
}

fn key(headers: &HeaderMap) -> u64 {
    let cookie = headers.get(COOKIE).and_then(|line| line.to_str().ok());
    let value = cookie.and_then(|line| line.split("; ").find_map(|pair| pair.strip_prefix("session=")));
    value.and_then(|value| value.parse().ok()).expect("the load sends the cookie it was given")
}

fn first(blob: &[u8; BLOB]) -> u64 {
    u64::from_le_bytes(*blob.first_chunk().expect("a blob is longer than a number"))
}

fn incremented(mut blob: [u8; BLOB]) -> ([u8; BLOB], u64) {
    let n = first(&blob) + 1;
    blob[..8].copy_from_slice(&n.to_le_bytes());
    (blob, n)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hash table behind one lock.
#[derive(Default)]
struct InMemory(Mutex<HashMap<u64, Box<[u8; BLOB]>>>);

impl Blobs for InMemory {
    fn put(&self, key: u64, blob: [u8; BLOB]) -> Result<()> {
        lock(&self.0).insert(key, Box::new(blob));
        Ok(())
    }

    fn read(&self, key: u64) -> Result<[u8; BLOB]> {
        Ok(**lock(&self.0).get(&key).ok_or("no such blob")?)
    }

    fn increment(&self, key: u64) -> Result<u64> {
        let mut blobs = lock(&self.0);
        let blob = blobs.get_mut(&key).ok_or("no such blob")?;
        let (after, n) = incremented(**blob);
        **blob = after;
        Ok(n)
    }
}

/// A file for each blob, opened anew for each request: a million of them can't stay open.
struct InFiles(PathBuf);

impl InFiles {
    fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join("ceiling");
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn path(&self, key: u64) -> PathBuf {
        self.0.join(format!("{key:016}"))
    }
}

impl Blobs for InFiles {
    fn put(&self, key: u64, blob: [u8; BLOB]) -> Result<()> {
        Ok(std::fs::write(self.path(key), blob)?)
    }

    fn read(&self, key: u64) -> Result<[u8; BLOB]> {
        let mut blob = [0; BLOB];
        File::open(self.path(key))?.read_exact_at(&mut blob, 0)?;
        Ok(blob)
    }

    fn increment(&self, key: u64) -> Result<u64> {
        let file = File::options().read(true).write(true).open(self.path(key))?;
        let mut blob = [0; BLOB];
        file.read_exact_at(&mut blob, 0)?;
        let (after, n) = incremented(blob);
        file.write_all_at(&after, 0)?;
        Ok(n)
    }
}

/// One connection with prepared statements; each increment is a transaction of its own.
struct InSqlite(Mutex<Connection>);

impl InSqlite {
    fn open(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("ceiling.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute("CREATE TABLE blobs (key INTEGER PRIMARY KEY, blob BLOB NOT NULL)", [])?;
        Ok(Self(Mutex::new(connection)))
    }

    fn select(connection: &Connection, key: u64) -> Result<[u8; BLOB]> {
        let mut select = connection.prepare_cached("SELECT blob FROM blobs WHERE key = ?1")?;
        Ok(select.query_row([key.cast_signed()], |row| row.get(0))?)
    }
}

impl Blobs for InSqlite {
    fn put(&self, key: u64, blob: [u8; BLOB]) -> Result<()> {
        let connection = lock(&self.0);
        let mut insert = connection.prepare_cached("INSERT INTO blobs VALUES (?1, ?2)")?;
        insert.execute((key.cast_signed(), blob))?;
        Ok(())
    }

    fn read(&self, key: u64) -> Result<[u8; BLOB]> {
        Self::select(&lock(&self.0), key)
    }

    fn increment(&self, key: u64) -> Result<u64> {
        let connection = lock(&self.0);
        let (after, n) = incremented(Self::select(&connection, key)?);
        let mut update = connection.prepare_cached("UPDATE blobs SET blob = ?2 WHERE key = ?1")?;
        update.execute((key.cast_signed(), after))?;
        Ok(n)
    }
}
