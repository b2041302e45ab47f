//! The `postgres` driver over real servers, directly and through PgBouncer.

mod conformance;
mod fixture;
