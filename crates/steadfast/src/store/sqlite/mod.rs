//! The SQLite driver: one file, several processes, commits in groups.
//!
//! Data flow: [`SqliteStore`] turns a call into a job, puts it into a queue and waits for the answer. One
//! writer thread runs all jobs that wait in one transaction and answers them after its `COMMIT`; a few
//! reader threads do the same on snapshots. What a job does to the tables is in `reads` and `writes`.
//!
//! The operator's page is `docs/drivers/sqlite.md`; why writes are grouped is decision 0003.

mod config;
mod db;
mod error;
mod file;
mod job;
mod queue;
mod readers;
mod reads;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod writer;
mod writes;

pub use config::SqliteOptions;
pub use schema::SCHEMA;
pub use store::{SqliteStore, Statistics};
