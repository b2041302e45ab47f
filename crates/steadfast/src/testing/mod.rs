//! Tools for tests: of applications (feature `testing`) and of drivers (feature `conformance`).
//!
//! - [`ManualClock`]: time that a test moves, for everything that expires.
//! - [`Sessions::prepare`](crate::Sessions::prepare): a session for a request that is to be tested.
//! - [`Sessions::inspect`](crate::Sessions::inspect): what a response left in the session.
//! - [`TestBrowser`]: cookies kept as a browser keeps them, pages told from fetches, responses applied late.
//! - [`FaultyStore`]: a store that fails, delays or forgets on command, and counts its calls.
//!
//! `docs/testing.md` shows how they work together.

#[cfg(all(feature = "testing", feature = "tower"))]
mod browser;
mod clock;
#[cfg(feature = "testing")]
mod faults;
#[cfg(feature = "testing")]
mod faulty;
#[cfg(feature = "testing")]
mod inspected;
#[cfg(all(feature = "testing", feature = "tower"))]
mod jar;
#[cfg(feature = "testing")]
mod prepared;
#[cfg(all(feature = "testing", feature = "tower"))]
mod reply;

#[cfg(all(feature = "testing", feature = "tower"))]
pub use browser::{RequestBody, TestBrowser};
pub use clock::ManualClock;
#[cfg(feature = "testing")]
pub use faults::{Fault, Faults, Gate, Op};
#[cfg(feature = "testing")]
pub use faulty::FaultyStore;
#[cfg(feature = "testing")]
pub use inspected::Inspected;
#[cfg(feature = "testing")]
pub use prepared::Prepared;
#[cfg(all(feature = "testing", feature = "tower"))]
pub use reply::Reply;

/// Compiles the examples of the page.
#[cfg(all(doctest, feature = "testing", feature = "axum"))]
#[doc = include_str!("../../../../docs/testing.md")]
struct Page;
