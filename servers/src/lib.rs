//! Real servers for tests, each for itself alone.
//!
//! A server runs on free loopback ports in a private temporary folder, as a user without rights where the
//! tests run as root, and is gone with the value that stands for it, or with this process, however that
//! ends. A [`Server`] can be killed, paused and started anew on the same ports with the same data; what it
//! acknowledged survives that. Nothing here is asynchronous: starting takes up to some seconds.
//!
//! ```no_run
//! use steadfast_servers::{Redis, Server as _};
//!
//! # fn main() -> steadfast_servers::Result<()> {
//! let redis = Redis::start()?;
//! println!("{}", redis.dsn()); // redis://127.0.0.1:23456
//! redis.kill()?;
//! redis.restart()?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Proxy`] in front of a server delays, swallows, cuts and resets what goes through it.

mod cluster;
mod family;
mod haproxy;
mod mariadb;
mod memcached;
mod options;
mod pgbouncer;
mod php;
mod place;
mod ports;
mod postgres;
mod programs;
pub mod proxy;
mod redis;
mod resp;
mod sentinel;
mod service;
mod shared;

pub use cluster::RedisCluster;
pub use haproxy::Haproxy;
pub use mariadb::MariaDb;
pub use memcached::Memcached;
pub use options::Options;
pub use pgbouncer::PgBouncer;
pub use php::{PROGRAMS, Php};
pub use ports::free_port;
pub use postgres::Postgres;
pub use programs::find;
pub use proxy::Proxy;
pub use redis::Redis;
pub use resp::{Reply, command as redis_command};
pub use sentinel::RedisSentinel;
pub use service::{Server, Service};
pub use shared::{Shared, shared_dsn};

/// Why a server can't be had: one text, with what the server printed where that says more.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result with that error.
pub type Result<T> = std::result::Result<T, Error>;
