//! The stores that every check is run on.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use steadfast_servers::{
    MariaDb, Memcached, Postgres, Redis, RedisCluster, RedisSentinel, Server, shared_dsn,
};

/// Where a site keeps its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Files,
    Sqlite,
    Redis,
    RedisCluster,
    RedisSentinel,
    Postgres,
    Mysql,
    Memcached,
    /// None: each session travels in its cookie.
    Cookie,
}

impl Store {
    /// Returns the connection string of a store that nobody uses yet: in a directory, or in a server that the
    /// tests share.
    pub(crate) fn dsn(self, dir: &Path) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Files => format!("files:{}", dir.join("sessions").display()),
            Self::Sqlite => format!("sqlite:{}", dir.join("sessions.db").display()),
            Self::Cookie => "cookie:".to_owned(),
            Self::Redis => self.on(&shared_dsn("REDIS")),
            Self::RedisCluster => self.on(&shared_dsn("REDIS_CLUSTER")),
            Self::RedisSentinel => self.on(&shared_dsn("REDIS_SENTINEL")),
            Self::Postgres => self.on(&shared_dsn("POSTGRES")),
            Self::Mysql => self.on(&shared_dsn("MYSQL")),
            Self::Memcached => self.on(&shared_dsn("MEMCACHED")),
        }
    }

    /// Returns the connection string of a store that nobody uses yet, on a server.
    pub(crate) fn on(self, server: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("probe_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        match self {
            Self::Memory | Self::Files | Self::Sqlite | Self::Cookie => server.to_owned(),
            Self::Postgres | Self::Mysql => format!("{server}?table={name}&create=true"),
            Self::Redis | Self::RedisCluster | Self::RedisSentinel | Self::Memcached => {
                format!("{server}?prefix={name}:")
            }
        }
    }

    /// Starts a server of the test's own, if it is a server.
    pub(crate) fn server(self) -> Option<Box<dyn Server>> {
        Some(match self {
            Self::Memory | Self::Files | Self::Sqlite | Self::Cookie => return None,
            Self::Redis => Box::new(Redis::start().unwrap()),
            Self::RedisCluster => Box::new(RedisCluster::start().unwrap()),
            Self::RedisSentinel => Box::new(RedisSentinel::start().unwrap()),
            Self::Postgres => Box::new(Postgres::start().unwrap()),
            Self::Mysql => Box::new(MariaDb::start().unwrap()),
            Self::Memcached => Box::new(Memcached::start().unwrap()),
        })
    }

    /// Reports whether what it acknowledged is there after it was killed and started anew.
    pub(crate) fn survives_a_restart(self) -> bool {
        !matches!(self, Self::Memory | Self::Memcached)
    }

    /// Returns how far apart two moments are that its clock tells apart for sure.
    pub(crate) fn resolution(self) -> Duration {
        // Its clock has whole seconds.
        if self == Self::Memcached { Duration::from_millis(1_050) } else { Duration::ZERO }
    }

    /// Returns how far its clock, as a node knows it, may be behind the machine's.
    pub(crate) fn clock_lag(self) -> Duration {
        // It tells the second that it looked at its own clock in, which it does once a second.
        if self == Self::Memcached { Duration::from_secs(2) } else { Duration::ZERO }
    }

    /// Waits until its clock tells a moment that is later for sure.
    pub(crate) fn await_next_moment(self) {
        std::thread::sleep(self.resolution());
    }

    /// Returns the size of a session that it keeps whole, in bytes, near the largest it does.
    pub(crate) fn large(self) -> usize {
        // A server's items have a megabyte, unless it is told otherwise.
        if self == Self::Memcached { 1_000_000 } else { 10_000_000 }
    }

    /// Reports whether it removes by itself what has expired.
    pub(crate) fn expires_by_itself(self) -> bool {
        matches!(self, Self::Redis | Self::RedisCluster | Self::RedisSentinel | Self::Memcached)
    }

    /// Returns the name of its driver.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Files => "files",
            Self::Sqlite => "sqlite",
            Self::Redis | Self::RedisCluster | Self::RedisSentinel => "redis",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Memcached => "memcached",
            Self::Cookie => "cookie",
        }
    }

    /// Reports whether several processes can share it.
    pub(crate) fn is_shared(self) -> bool {
        self != Self::Memory
    }
}

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod memory { $(#[test] fn $test() { super::$test(crate::store::Store::Memory); })* }
        crate::store::on_shared_stores! { $($test)* }
    };
}
pub(crate) use on_every_store;

/// Makes a test of each function for each store that several processes can share.
macro_rules! on_shared_stores {
    ($($test:ident)*) => {
        crate::store::on_embedded_stores! { $($test)* }
        crate::store::on_servers! { $($test)* }
    };
}
pub(crate) use on_shared_stores;

/// Makes a test of each function for each store on this machine that several processes can share.
macro_rules! on_embedded_stores {
    ($($test:ident)*) => {
        mod files { $(#[test] fn $test() { super::$test(crate::store::Store::Files); })* }
        mod sqlite { $(#[test] fn $test() { super::$test(crate::store::Store::Sqlite); })* }
    };
}
pub(crate) use on_embedded_stores;

/// Makes a test of each function for each store that is a server.
macro_rules! on_servers {
    ($($test:ident)*) => {
        mod redis { $(#[test] fn $test() { super::$test(crate::store::Store::Redis); })* }
        mod redis_cluster { $(#[test] fn $test() { super::$test(crate::store::Store::RedisCluster); })* }
        mod redis_sentinel { $(#[test] fn $test() { super::$test(crate::store::Store::RedisSentinel); })* }
        mod postgres { $(#[test] fn $test() { super::$test(crate::store::Store::Postgres); })* }
        mod mysql { $(#[test] fn $test() { super::$test(crate::store::Store::Mysql); })* }
        mod memcached { $(#[test] fn $test() { super::$test(crate::store::Store::Memcached); })* }
    };
}
pub(crate) use on_servers;
