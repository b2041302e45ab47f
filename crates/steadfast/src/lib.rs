//! Sessions that stay: the session layer for Rust web servers that never loses a session.

// In the order of the data's way: from the request to the store, and back.
#[cfg(feature = "tower")]
mod adaptor;
mod client;
mod cookie;
mod token;

mod lifecycle;
#[cfg(test)]
mod model;
mod plan;
mod rules;

mod codec;
mod record;
mod session;

mod handle;
mod sessions;

pub mod store;

#[cfg(feature = "config")]
mod config;
mod error;
mod events;
mod hex;
mod ows;
mod policy;
mod random;
mod time;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(feature = "testing", feature = "conformance"))]
pub mod testing;

#[cfg(feature = "axum")]
pub use adaptor::axum;
#[cfg(feature = "tower")]
pub use adaptor::{CommitError, PeerAddr, SessionLayer, SessionService, session, session_view};
pub use client::{Cidr, ProxyHeader};
pub use codec::Value;
#[cfg(feature = "config")]
pub use config::Settings;
pub use error::{Error, ErrorKind, Result, chain};
pub use events::{Anomaly, Event, EventKind};
pub use handle::SessionHandle;
pub use policy::{Codec, Concurrency, IpMatch, OnServerError, Policy, PolicyBuilder, SameSite};
pub use record::Mark;
#[cfg(feature = "dangerous-protocol")]
pub use rules::Rules;
pub use session::{Key, KeyFor, Metadata, Session, SessionView};
pub use sessions::{SessionInfo, Sessions, SessionsBuilder};
pub use time::{Clock, SystemClock, Timestamp};
