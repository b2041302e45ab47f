//! The integration tests of the library, in one binary.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

mod app;
mod binding;
#[cfg(feature = "cookie")]
mod carried;
mod concurrency;
mod cookies;
mod events;
mod expiry;
mod faulty;
#[cfg(all(unix, feature = "files"))]
mod files;
mod flash;
mod guard;
mod handles;
mod identity;
mod interleave;
mod leases;
mod life;
#[cfg(feature = "memcached")]
mod memcached;
mod memory;
#[cfg(feature = "dangerous-protocol")]
mod mutants;
#[cfg(feature = "mysql")]
mod mysql;
mod outage;
mod pages;
#[cfg(feature = "php")]
mod php;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "network")]
mod resets;
mod responses;
mod round_trips;
#[cfg(feature = "sealed")]
mod sealed;
#[cfg(feature = "network")]
mod servers;
mod sessions;
mod site;
mod skew;
mod slow_answers;
#[cfg(feature = "sqlite")]
mod sqlite;
mod teeth;
mod temp;
mod tools;
mod users;
mod values;
