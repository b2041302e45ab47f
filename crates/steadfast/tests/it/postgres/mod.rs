//! The `postgres` driver over real servers, directly and through PgBouncer.

mod conformance;
mod fixture;
mod outage;
mod refusals;
mod round_trips;
mod snapshots;
mod table;
#[cfg(feature = "tls")]
mod tls;
mod waiting;
