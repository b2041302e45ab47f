//! Sessions that are shared with PHP, against real PHP.

#[cfg(all(unix, feature = "files"))]
mod files;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod keyed;
#[cfg(feature = "memcached")]
mod memcached;
mod peer;
#[cfg(feature = "redis")]
mod redis;
