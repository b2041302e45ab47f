//! Sessions that are shared with PHP, against real PHP.

#[cfg(all(unix, feature = "files"))]
mod files;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod mysql;
mod peer;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod sql;
