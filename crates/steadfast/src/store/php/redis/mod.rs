//! Sessions that CodeIgniter's Redis handlers or phpredis' own keep in Redis, under their lock.
//!
//! Data flow: `PhpRedisStore` (`store`) turns a call into one script (`scripts`), which looks at the lock and at
//! the bytes and writes, in one step. Connections, sentinels and errors are those of the native driver.
//! `listing` walks through the keys.
//!
//! The operator's page is `docs/layouts/redis-memcached.md`.

mod listing;
mod scripts;
mod store;

pub use store::PhpRedisStore;
