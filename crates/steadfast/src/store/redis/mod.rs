//! The Redis driver: Redis 6.2 and later, Valkey; one server, Sentinel, Cluster.
//!
//! Data flow: `RedisStore` (`store`) turns a call into one command, most often a script (`scripts`), and
//! sends it over a connection that all calls share (`link`, opened by `dial`). What a script needs to know of
//! a record stands in front of the payload, at fixed places (`layout`). Waiters are woken by messages on the
//! same connection (`waits`). Lists, counts and the purge are in `listing`, replicas in `settle`.
//!
//! The operator's page is `docs/drivers/redis.md`; why it is built like this is decision 0015.

mod command;
mod conn;
mod dial;
mod error;
mod layout;
mod link;
mod listing;
mod options;
mod scan;
mod scripts;
mod sentinel;
mod server;
mod settle;
mod store;
mod waits;

pub use options::{RedisOptions, Servers};
pub use store::RedisStore;
