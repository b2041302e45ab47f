//! The `mysql` driver against real servers: conformance, round trips, limits, outages, set-up, TLS.

mod conformance;
mod fixture;
mod limits;
mod outages;
mod round_trips;
mod setup;
#[cfg(feature = "tls")]
mod tls;
