//! The Memcached driver: one server or several, by consistent hashing; memcached 1.6 and later.
//!
//! Data flow: [`MemcachedStore`] turns a call into a packet of meta commands (`records`, `leases`, `index`,
//! `listing`; `packet`), finds the server on the `ring`, and sends the packet over the one connection that all
//! calls share (`server`, `connection`; opened with a `greeting`). What comes back is read by `reply`. The
//! bytes of items are in `item`, their names in `keys`. The `clock` of the server is heard with every load.
//! What a version is called in the server's own tags is remembered (`store::recent`).
//!
//! The operator's page is `docs/drivers/memcached.md`; why it is built like this is decision 0018.

mod clock;
pub(super) mod connection;
mod dump;
pub(super) mod error;
mod greeting;
mod index;
pub(super) mod item;
pub(super) mod keys;
mod leases;
mod listing;
mod options;
pub(super) mod packet;
pub(super) mod pool;
mod records;
pub(super) mod reply;
pub(super) mod ring;
pub(super) mod server;
mod store;
pub(super) mod stream;
#[cfg(test)]
mod tests;

pub use options::{Distribution, MemcachedOptions};
pub use store::MemcachedStore;

/// Reads a stream of replies that arrives in two pieces, and holds what was read against the other way to cut
/// it.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_for_fuzzing(stream: &[u8], cut: usize) {
    reply::read_for_fuzzing(stream, cut);
}
