//! The routes that are measured, and what they do with a session: the same for every session layer.
//!
//! A layer is measured by a [`Visit`]: its own session behind the handful of operations that the routes
//! need. What is a framework's own, to take a session from a request and to send the answer, is in the server
//! of each peer; for axum, which several have in common, it is here.

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
pub mod axum;
mod process;
mod profile;
mod visit;

pub use process::{Error, Result, Serve, USAGE, usage};
pub use profile::{Item, PROFILE, Profile};
pub use visit::{NONE, Reply, Route, View, Visit, answer, answer_view, sleep};
