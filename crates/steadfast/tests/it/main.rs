//! The integration tests of the library, in one binary.

mod browser;
mod faulty;
mod life;
#[cfg(all(unix, feature = "files"))]
mod files;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
mod teeth;
