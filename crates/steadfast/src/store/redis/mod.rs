//! The Redis driver: Redis 6.2 and later, Valkey; one server, Sentinel, Cluster.
//!
//! Data flow: `RedisStore` (`store`) turns a call into one command, most often a script (`scripts`), and
//! sends it over a connection that all calls share (`link`, opened by `dial`). What a script needs to know of
//! a record stands in front of the payload, at fixed places (`layout`). Waiters are woken by messages on the
//! same connection (`waits`). The server's time is told with some answers and gone by for a moment (`clock`).
//! Lists, counts and the purge are in `listing`, replicas in `settle`.
//!
//! The operator's page is `docs/drivers/redis.md`; why it is built like this is in decisions 0015 and 0029.

mod clock;
pub(super) mod command;
pub(super) mod conn;
mod dial;
pub(super) mod error;
mod layout;
pub(super) mod link;
mod listing;
mod options;
pub(super) mod scan;
pub(super) mod scripts;
mod sentinel;
mod server;
pub(super) mod settle;
pub(super) mod start;
mod store;
pub(super) mod waits;

pub use options::{RedisOptions, Servers};
pub use store::RedisStore;
