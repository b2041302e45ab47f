//! The files driver: one file for each record, in a directory that several processes can share.
//!
//! For Unix systems. What an operator needs to know is in `docs/drivers/files.md`, the bytes are in
//! `docs/wire-format.md`, and why it is done so in `docs/decisions/`.
//!
//! # What it promises
//!
//! - **No torn record.** A file has two slots, and a write goes to the one that is not in use; a checksum
//!   tells whether it got there whole. `kill -9` at any moment leaves the old record or the new one. With
//!   [`Durability::Fsync`](super::Durability::Fsync) the same holds for the loss of power.
//! - **No resurrection.** A writer checks, under the file's lock, that the path still names its file. One
//!   that comes after a deletion finds the record missing.
//! - **No waiting for the dead.** The kernel drops the lock of a process that ends, and a lease is a
//!   deadline in the file.
//! - **No other user.** The directory is 0700 and its files 0600; a directory that other users can enter,
//!   read or write is refused.
//! - **No way to mistake trouble for "no session".** A damaged file, a full disk, a wrong owner and a
//!   vanished directory are errors that say what to do.
//!
//! # How it is built
//!
//! From the bytes up: `wire` (the bytes), `snapshot` (which of them count), `root` and `lock` (the
//! directory, and who may write), `record_file` (what is written in which order), `stamp`, `index`, `walk`,
//! `purge` and `aside` (everything beside a single record), `operations` (each operation as one synchronous
//! step), `store` (the steps on the right thread, tried again while a lock is taken).

mod aside;
mod config;
mod error;
mod index;
mod lock;
mod operations;
mod purge;
mod record_file;
mod root;
mod snapshot;
mod stamp;
mod store;
#[cfg(test)]
mod tests;
mod walk;
mod wire;

#[cfg(feature = "fuzzing")]
pub(crate) use wire::read_for_fuzzing;

pub use config::{FilesOptions, Io};
pub use store::FilesStore;
