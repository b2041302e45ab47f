//! The MySQL driver: one table on a MySQL or MariaDB server, reached through a pool of connections.
//!
//! Data flow: [`MysqlStore`] turns a call into work on a connection; `lender` takes the connection from the
//! pool, bounds the time, repeats what a deadlock undid, and makes sure that a connection of which nobody
//! knows how far it got is closed. What the work says to the server is in `reads`, `writes`, `replace` and
//! `purge`, in the words of `sql`.
//!
//! The operator's page is `docs/drivers/mysql.md`; how one round trip is enough is decision 0017.

mod columns;
mod config;
mod error;
mod lender;
mod link;
mod open;
mod purge;
mod reads;
mod replace;
mod schema;
mod sql;
mod store;
mod writes;

pub use config::MysqlOptions;
pub use schema::SESSION;
pub use store::MysqlStore;

/// What the driver for CodeIgniter's table uses of this one.
#[cfg(feature = "php")]
pub(in crate::store) mod shared {
    pub(in crate::store) use super::error::{DRIVER, Fault, When, explain, no_connection};
    pub(in crate::store) use super::link::Link;
    pub(in crate::store) use super::open::pool;
    pub(in crate::store) use super::schema::check_version;
    pub(in crate::store) use super::sql::{BEGIN, COMMIT, NOW_IN_MICROS};
}
