//! Sessions that stay: the session layer for Rust web servers that never loses a session.

mod cookie;
mod error;
mod hex;
mod policy;
mod random;
pub mod store;
mod time;

pub use error::{Error, ErrorKind, Result, chain};
pub use policy::SameSite;
pub use time::{Clock, SystemClock, Timestamp};
