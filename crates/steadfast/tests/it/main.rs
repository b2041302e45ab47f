//! The integration tests of the library, in one binary.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

mod faulty;
#[cfg(all(unix, feature = "files"))]
mod files;
mod interleave;
mod leases;
mod life;
mod memory;
#[cfg(feature = "dangerous-protocol")]
mod mutants;
mod pages;
mod sessions;
mod site;
#[cfg(feature = "sqlite")]
mod sqlite;
mod teeth;
mod tools;
