//! The PostgreSQL driver: a few shared connections, one statement for each call.
//!
//! Data flow: [`PostgresStore`] picks a connection by the record's key (`slot`, which opens it anew if it is
//! gone), runs one of the `statements` on it with parameters from `columns`, and reads the outcome from at
//! most one row. Many calls are under way on a connection at once; none waits for another's answer, and none
//! holds the connection. Who waits for a lease is woken by a notification, or looks again.
//!
//! The operator's page is `docs/drivers/postgres.md`; why it is so is decision 0016.

mod clients;
mod columns;
mod config;
mod connection;
mod error;
mod names;
mod own;
mod reads;
mod released;
mod schema;
mod slot;
mod statements;
mod store;
mod writes;

pub use clients::Clients;
pub(crate) use config::DEFAULT_PORT;
pub use config::PostgresOptions;
pub use store::PostgresStore;

/// What the driver for CodeIgniter's table uses of this one.
#[cfg(feature = "php")]
pub(in crate::store) mod shared {
    pub(in crate::store) use super::clients::{Held, Role, Source};
    pub(in crate::store) use super::connection::all;
    pub(in crate::store) use super::error::{DRIVER, at_open, at_run, failed, too_slow_to_connect};
    pub(in crate::store) use super::names::Names;
    pub(in crate::store) use super::own::Own;
}
