//! Sessions that are shared with PHP, against real PHP.

#[cfg(all(unix, feature = "files"))]
mod files;
mod peer;
