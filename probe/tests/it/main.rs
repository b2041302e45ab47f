//! Real probe processes, driven from outside: what a person, a browser, a crash or a full disk can do.
//!
//! Clocks are real here. A test waits for an event where there is one, and for time only where the time
//! itself is what it is about: the age of a secret, the end of a window, a lease, or a lifetime.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

mod http;
mod process;
mod site;

mod concurrency;
mod crash;
mod endings;
mod flash;
mod handlers;
mod limits;
mod rotation;
mod sealed;
mod sign_in;
mod start_and_stop;
mod strangers;
mod trouble;
