//! Sessions that are shared with PHP, against real PHP.

#[cfg(feature = "fuzzing")]
mod codec;
#[cfg(all(unix, feature = "files"))]
mod files;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod keyed;
mod layout;
#[cfg(feature = "memcached")]
mod memcached;
mod migration;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod mysql;
mod peer;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod postgres;
#[cfg(all(
    unix,
    feature = "memcached",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "tls"
))]
mod reach;
#[cfg(feature = "redis")]
mod redis;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod sql;
