//! Sessions that are shared with PHP, against real PHP.

#[cfg(feature = "fuzzing")]
mod codec;
#[cfg(all(unix, feature = "files"))]
mod files;
mod layout;
mod peer;
