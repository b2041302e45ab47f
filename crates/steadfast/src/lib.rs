//! Sessions that stay: the session layer for Rust web servers that never loses a session.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod hex;
mod random;
pub mod store;
#[cfg(any(feature = "testing", feature = "conformance"))]
pub mod testing;
mod time;

pub use error::{Error, ErrorKind, Result, chain};
pub use time::{Clock, SystemClock, Timestamp};
