//! The integration tests of the library, in one binary.

mod faulty;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
