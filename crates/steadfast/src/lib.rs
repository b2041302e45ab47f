//! Sessions that stay: the session layer for Rust web servers that never loses a session.

mod error;
mod hex;
mod random;
pub mod store;
mod time;

pub use error::{Error, ErrorKind, Result, chain};
pub use time::{Clock, SystemClock, Timestamp};
