//! The integration tests of the library, in one binary.

#[cfg(all(unix, feature = "files"))]
mod files;
mod memory;
