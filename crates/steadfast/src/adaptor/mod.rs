//! The glue to web frameworks. No decision is made here.
//!
//! What all of them have in common is said once: `request` knows what to find out of a request, `around` what
//! happens before and after a handler, `answer` what a response tells the browser. A framework's own module says
//! how its requests and responses are read and written, and nothing else.

mod answer;
mod around;
mod layer;
#[cfg(any(feature = "actix", feature = "axum"))]
mod mode;
mod request;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
mod tower;

pub use layer::{CommitError, SessionLayer};
#[cfg(feature = "tower")]
pub use tower::{PeerAddr, SessionService, session, session_view};
