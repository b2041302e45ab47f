//! The integration tests of the library, in one binary.

mod browser;
mod faulty;
#[cfg(all(unix, feature = "files"))]
mod files;
mod life;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
mod teeth;
