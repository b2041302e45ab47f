//! Sessions that stay: the session layer for Rust web servers that never loses a session.

mod client;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cookie;
mod error;
mod hex;
mod ows;
mod policy;
mod random;
pub mod store;
#[cfg(any(feature = "testing", feature = "conformance"))]
pub mod testing;
mod time;

pub use client::{Cidr, ProxyHeader};
#[cfg(feature = "config")]
pub use config::Settings;
pub use error::{Error, ErrorKind, Result, chain};
pub use policy::{Codec, Concurrency, IpMatch, OnServerError, Policy, PolicyBuilder, SameSite};
pub use time::{Clock, SystemClock, Timestamp};
