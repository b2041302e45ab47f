//! The files driver for session files that are PHP's: those of CodeIgniter and of PHP's own handler.
//!
//! For Unix systems. Names, modes and the lock protocol, and what PHP's side can still break, are in
//! `docs/layouts/files.md`.
//!
//! # What it promises
//!
//! - **PHP's lock.** Whoever works on a record holds an exclusive `flock` on its file, as PHP does from its
//!   read to its close. So PHP waits for us, and we for PHP, in the kernel's own queue.
//! - **The file that PHP has open.** A record is rewritten in place, because whoever waits for the lock has the
//!   file open: a file renamed over it would be written by one side and read by the other.
//! - **No resurrection.** PHP deletes without the lock. A write counts only if the path still names the file
//!   after it, so what was deleted meanwhile is missing.
//! - **No waiting for the dead.** The kernel drops the lock of a process that ends.
//! - **Nobody else's file.** A link is not followed, and a file of another user is refused, as PHP does.
//!
//! What it can't promise is that a write is whole after `kill -9`: see the module `record`.
//!
//! # How it is built
//!
//! From the names up: `save_path` and `names` (where a record is), `root` (the directory), `lock` (the file and
//! its lock), `record` (what is read and written in which order), `queue`
//! (waiting for PHP), `walk` and `purge` (everything beside a single record), `operations` (each operation as one
//! synchronous step), `store` (the steps on the right thread, under the right lock).

mod config;
mod error;
mod lock;
mod names;
mod operations;
mod purge;
mod queue;
mod record;
mod root;
mod save_path;
mod store;
mod walk;

pub use config::PhpFilesOptions;
pub use store::PhpFiles;
