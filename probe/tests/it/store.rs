//! The stores that every check is run on, and who serves from them.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use steadfast_servers::{
    MariaDb, Memcached, Postgres, Redis, RedisCluster, RedisSentinel, Server, shared_dsn,
};

/// Where a site keeps its sessions, and with which web framework its nodes serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    engine: Engine,
    adaptor: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
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
    pub(crate) const MEMORY: Self = Self::of(Engine::Memory);
    pub(crate) const FILES: Self = Self::of(Engine::Files);
    pub(crate) const SQLITE: Self = Self::of(Engine::Sqlite);
    pub(crate) const REDIS: Self = Self::of(Engine::Redis);
    pub(crate) const REDIS_CLUSTER: Self = Self::of(Engine::RedisCluster);
    pub(crate) const REDIS_SENTINEL: Self = Self::of(Engine::RedisSentinel);
    pub(crate) const POSTGRES: Self = Self::of(Engine::Postgres);
    pub(crate) const MYSQL: Self = Self::of(Engine::Mysql);
    pub(crate) const MEMCACHED: Self = Self::of(Engine::Memcached);
    pub(crate) const COOKIE: Self = Self::of(Engine::Cookie);

    const fn of(engine: Engine) -> Self {
        Self { engine, adaptor: "axum" }
    }

    /// Lets actix-web serve instead of axum.
    pub(crate) const fn on_actix(self) -> Self {
        Self { adaptor: "actix", ..self }
    }

    /// Returns the name of the web framework that serves.
    pub(crate) fn adaptor(self) -> &'static str {
        self.adaptor
    }

    /// Returns the connection string of a store that nobody uses yet: in a directory, or in a server that the
    /// tests share.
    pub(crate) fn dsn(self, dir: &Path) -> String {
        match self.engine {
            Engine::Memory => "memory:".to_owned(),
            Engine::Files => format!("files:{}", dir.join("sessions").display()),
            Engine::Sqlite => format!("sqlite:{}", dir.join("sessions.db").display()),
            Engine::Cookie => "cookie:".to_owned(),
            Engine::Redis => self.on(&shared_dsn("REDIS")),
            Engine::RedisCluster => self.on(&shared_dsn("REDIS_CLUSTER")),
            Engine::RedisSentinel => self.on(&shared_dsn("REDIS_SENTINEL")),
            Engine::Postgres => self.on(&shared_dsn("POSTGRES")),
            Engine::Mysql => self.on(&shared_dsn("MYSQL")),
            Engine::Memcached => self.on(&shared_dsn("MEMCACHED")),
        }
    }

    /// Returns the connection string of a store that nobody uses yet, on a server.
    pub(crate) fn on(self, server: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("probe_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        match self.engine {
            Engine::Memory | Engine::Files | Engine::Sqlite | Engine::Cookie => server.to_owned(),
            Engine::Postgres | Engine::Mysql => format!("{server}?table={name}&create=true"),
            Engine::Redis | Engine::RedisCluster | Engine::RedisSentinel | Engine::Memcached => {
                format!("{server}?prefix={name}:")
            }
        }
    }

    /// Starts a server of the test's own, if it is a server.
    pub(crate) fn server(self) -> Option<Box<dyn Server>> {
        Some(match self.engine {
            Engine::Memory | Engine::Files | Engine::Sqlite | Engine::Cookie => return None,
            Engine::Redis => Box::new(Redis::start().unwrap()),
            Engine::RedisCluster => Box::new(RedisCluster::start().unwrap()),
            Engine::RedisSentinel => Box::new(RedisSentinel::start().unwrap()),
            Engine::Postgres => Box::new(Postgres::start().unwrap()),
            Engine::Mysql => Box::new(MariaDb::start().unwrap()),
            Engine::Memcached => Box::new(Memcached::start().unwrap()),
        })
    }

    /// Reports whether what it acknowledged is there after it was killed and started anew.
    pub(crate) fn survives_a_restart(self) -> bool {
        !matches!(self.engine, Engine::Memory | Engine::Memcached)
    }

    /// Returns how far apart two moments are that its clock tells apart for sure.
    pub(crate) fn resolution(self) -> Duration {
        // Its clock has whole seconds.
        if self.engine == Engine::Memcached { Duration::from_millis(1_050) } else { Duration::ZERO }
    }

    /// Returns how far its clock, as a node knows it, may be behind the machine's.
    pub(crate) fn clock_lag(self) -> Duration {
        // It tells the second that it looked at its own clock in, which it does once a second.
        if self.engine == Engine::Memcached { Duration::from_secs(2) } else { Duration::ZERO }
    }

    /// Returns the size of a session that it keeps whole, in bytes, near the largest it does.
    pub(crate) fn large(self) -> usize {
        // A server's items have a megabyte, unless it is told otherwise.
        if self.engine == Engine::Memcached { 1_000_000 } else { 10_000_000 }
    }

    /// Reports whether it removes by itself what has expired.
    pub(crate) fn expires_by_itself(self) -> bool {
        matches!(
            self.engine,
            Engine::Redis | Engine::RedisCluster | Engine::RedisSentinel | Engine::Memcached
        )
    }

    /// Returns the name of its driver.
    pub(crate) fn driver(self) -> &'static str {
        match self.engine {
            Engine::Memory => "memory",
            Engine::Files => "files",
            Engine::Sqlite => "sqlite",
            Engine::Redis | Engine::RedisCluster | Engine::RedisSentinel => "redis",
            Engine::Postgres => "postgres",
            Engine::Mysql => "mysql",
            Engine::Memcached => "memcached",
            Engine::Cookie => "cookie",
        }
    }

    /// Reports whether several processes can share it.
    pub(crate) fn is_shared(self) -> bool {
        self.engine != Engine::Memory
    }
}

/// Makes a test of each function for each store, and of two of them also for the other framework.
macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod memory { $(#[test] fn $test() { super::$test(crate::store::Store::MEMORY); })* }
        mod actix_memory { $(#[test] fn $test() { super::$test(crate::store::Store::MEMORY.on_actix()); })* }
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
        mod files { $(#[test] fn $test() { super::$test(crate::store::Store::FILES); })* }
        mod sqlite { $(#[test] fn $test() { super::$test(crate::store::Store::SQLITE); })* }
    };
}
pub(crate) use on_embedded_stores;

/// Makes a test of each function for each store that is a server, and of one of them also for the other framework.
macro_rules! on_servers {
    ($($test:ident)*) => {
        mod redis { $(#[test] fn $test() { super::$test(crate::store::Store::REDIS); })* }
        mod actix_redis { $(#[test] fn $test() { super::$test(crate::store::Store::REDIS.on_actix()); })* }
        mod redis_cluster { $(#[test] fn $test() { super::$test(crate::store::Store::REDIS_CLUSTER); })* }
        mod redis_sentinel { $(#[test] fn $test() { super::$test(crate::store::Store::REDIS_SENTINEL); })* }
        mod postgres { $(#[test] fn $test() { super::$test(crate::store::Store::POSTGRES); })* }
        mod mysql { $(#[test] fn $test() { super::$test(crate::store::Store::MYSQL); })* }
        mod memcached { $(#[test] fn $test() { super::$test(crate::store::Store::MEMCACHED); })* }
    };
}
pub(crate) use on_servers;
