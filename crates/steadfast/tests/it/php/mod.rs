//! Sessions that are shared with PHP, against real PHP.

mod codec;
#[cfg(all(unix, feature = "files"))]
mod files;
mod layout;
mod migration;
mod peer;
