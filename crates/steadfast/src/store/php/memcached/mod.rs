//! Sessions that CodeIgniter's Memcached handlers or php-memcached's own keep in Memcached, under their lock.
//!
//! Data flow: `PhpMemcachedStore` (`store`) turns a call into meta commands on PHP's keys, in packets (`ask`),
//! under the lock of the session (`locks`). What PHP's client library has stored is read by `value`. Servers,
//! connections and rings are those of the native driver.
//!
//! # What keeps PHP's writes
//!
//! A write names the tag of the bytes that were seen (CAS), so it never lands on bytes that nobody here has seen.
//! It is made only right after the lock was seen to be held here, and its packet ends the lock by the lock's own
//! tag: if that succeeds, the lock was held all along, so nobody had read before it who writes after it.
//!
//! The operator's page is `docs/layouts/redis-memcached.md`.

mod ask;
mod fastlz;
mod locks;
mod store;
mod value;

pub use store::PhpMemcachedStore;
