//! The raw calls of an engine: those that no session layer could do without, each one round trip where there
//! is a network, on the client library and with the settings of the driver.

mod files;
mod mariadb;
mod memcached;
mod memory;
mod postgres;
mod redis;
mod sqlite;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::engine::Engine;
use crate::stats::quantile;

pub(crate) use files::Files;
pub(crate) use mariadb::MariaDb;
pub(crate) use memcached::Memcached;
pub(crate) use memory::Memory;
pub(crate) use postgres::Postgres;
pub(crate) use redis::Redis;
pub(crate) use sqlite::Sqlite;

/// Bytes of a blob: what a session of the load has as a record.
pub(crate) const BLOB: usize = 480;

/// How long a lease is held.
const LEASE: Duration = Duration::from_secs(10);

/// How long nothing happens before a round trip that is measured alone.
const PAUSE: Duration = Duration::from_millis(60);

/// The key of a blob: the digits in the cookie.
pub(crate) type Key = [u8; 16];

pub(crate) trait Raw: Sized + Send + Sync + 'static {
    /// Opens the store, and makes the table if one is needed.
    async fn connect(dsn: &str) -> Result<Self>;

    fn create(&self, key: Key, blob: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    fn read(&self, key: Key) -> impl Future<Output = Result<Vec<u8>>> + Send;

    fn write(&self, key: Key, blob: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    /// Takes the lease and reads.
    fn acquire(&self, key: Key, token: u64) -> impl Future<Output = Result<Vec<u8>>> + Send;

    /// Writes and ends the lease.
    fn release(&self, key: Key, token: u64, blob: Vec<u8>) -> impl Future<Output = Result<()>> + Send;
}

/// Returns a number that it never returned before.
pub(crate) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns how long a raw read takes, in milliseconds, in the median. Each comes after a pause, as what is
/// counted in round trips does: what has slept has to wake up.
pub(crate) async fn round_trip(engine: Engine, dsn: &str, times: usize) -> Result<f64> {
    match engine {
        Engine::Redis => round_trip_of::<Redis>(dsn, times).await,
        Engine::Postgres => round_trip_of::<Postgres>(dsn, times).await,
        Engine::Mariadb => round_trip_of::<MariaDb>(dsn, times).await,
        Engine::Memcached => round_trip_of::<Memcached>(dsn, times).await,
        Engine::Memory | Engine::Files | Engine::Sqlite => Err("there is no way to go".into()),
    }
}

async fn round_trip_of<R: Raw>(dsn: &str, times: usize) -> Result<f64> {
    let raw = R::connect(dsn).await?;
    let key = format!("{:016}", number()).as_bytes().try_into()?;
    raw.create(key, vec![0; BLOB]).await?;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        raw.read(key).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(quantile(&mut took, 0.5))
}
