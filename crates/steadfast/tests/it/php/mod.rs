//! Sessions that are shared with PHP, against real PHP.

mod codec;
#[cfg(all(unix, feature = "files"))]
mod files;
mod layout;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod mysql;
mod peer;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod sql;
