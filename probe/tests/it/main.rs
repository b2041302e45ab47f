//! Real probe processes, driven from outside: what a person, a browser, a crash or a full disk can do.
//!
//! Clocks are real here. A test waits for an event where there is one, and for time only where the time
//! itself is what it is about: the age of a secret, the end of a window, a lease, or a lifetime.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]
#![expect(clippy::print_stdout, reason = "a test that failed tells what led to it")]

mod http;
mod process;
mod site;
mod store;

mod clocks;
mod concurrency;
mod crash;
mod endings;
mod flash;
mod handlers;
mod history;
mod limits;
mod outage;
mod php;
mod rotation;
mod sealed;
mod sign_in;
mod start_and_stop;
mod strangers;
mod trouble;
