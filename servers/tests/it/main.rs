//! Each server starts, answers, and comes back with its data.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

mod proxy;
mod servers;
