//! The `memcached` driver on real servers: what only this driver can get wrong.

mod clocks;
mod conformance;
mod limits;
mod links;
mod outages;
mod ring;
mod round_trips;

use bytes::Bytes;
use steadfast::Timestamp;
use steadfast::store::memcached::{MemcachedOptions, MemcachedStore};
use steadfast::store::{Created, Record, Store, StoreKey, Version};
use steadfast_servers::Server;

/// Returns a record without a user that lasts until 2033.
fn record(payload: impl Into<Bytes>) -> Record {
    let expires_at = Timestamp::from_micros(2_000_000_000_000_000);
    Record { payload: payload.into(), version: Version::fresh(), expires_at, user: None }
}

/// Returns a key by its number.
fn key(n: u64) -> StoreKey {
    // Spread as digests are: the servers of a ring are chosen by the key.
    let n = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    StoreKey::from_bytes(n.to_be_bytes())
}

/// Returns settings for one server.
fn options(server: &impl Server) -> MemcachedOptions {
    MemcachedStore::options().server(server.address().to_string())
}

/// Stores records under the first keys.
async fn fill(store: &MemcachedStore, count: u64, record: &Record) {
    for n in 0..count {
        assert_eq!(store.create(&key(n), record).await.unwrap(), Created::Stored);
    }
}
