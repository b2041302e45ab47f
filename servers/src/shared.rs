//! The servers that all tests of a run share.

use std::thread;

use crate::{
    MariaDb, Memcached, Options, PgBouncer, Postgres, Redis, RedisCluster, RedisSentinel, Result, Server,
};

/// One server of each kind. Tests keep apart in them by prefixes, tables and databases.
#[derive(Debug)]
#[must_use]
pub struct Shared {
    redis: Redis,
    cluster: RedisCluster,
    sentinel: RedisSentinel,
    /// Before the server that it is in front of.
    pgbouncer: PgBouncer,
    postgres: Postgres,
    mariadb: MariaDb,
    memcached: Vec<Memcached>,
}

impl Shared {
    /// Starts all of them at once.
    ///
    /// # Errors
    ///
    /// If one can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        thread::scope(|scope| {
            let redis = scope.spawn(Redis::start);
            let cluster = scope.spawn(RedisCluster::start);
            let sentinel = scope.spawn(RedisSentinel::start);
            let mariadb = scope.spawn(MariaDb::start);
            // One alone, and three that share keys. The suite stores a mebibyte, and an item is more than that.
            let memcached = || Memcached::start_with(&Options::new().set("-I2m"));
            let memcached = scope.spawn(move || (0..4).map(|_| memcached()).collect::<Result<_>>());
            let postgres = scope.spawn(|| {
                let postgres = Postgres::start_with(&Options::new().set("max_connections=300"))?;
                Ok::<_, crate::Error>((PgBouncer::start(&postgres)?, postgres))
            });
            let (pgbouncer, postgres) = join(postgres)?;
            Ok(Self {
                redis: join(redis)?,
                cluster: join(cluster)?,
                sentinel: join(sentinel)?,
                pgbouncer,
                postgres,
                mariadb: join(mariadb)?,
                memcached: join(memcached)?,
            })
        })
    }

    /// Returns the variables of the environment that tell tests where the servers are.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let Self { redis, cluster, sentinel, pgbouncer, postgres, mariadb, memcached } = self;
        let ring: Vec<_> = memcached[1..].iter().map(|server| server.address().to_string()).collect();
        vec![
            ("STEADFAST_TEST_REDIS", redis.dsn()),
            ("STEADFAST_TEST_REDIS_CLUSTER", cluster.dsn()),
            ("STEADFAST_TEST_REDIS_SENTINEL", sentinel.dsn()),
            ("STEADFAST_TEST_POSTGRES", postgres.dsn()),
            ("STEADFAST_TEST_PGBOUNCER", pgbouncer.dsn()),
            ("STEADFAST_TEST_MYSQL", mariadb.dsn()),
            ("STEADFAST_TEST_MEMCACHED", memcached[0].dsn()),
            ("STEADFAST_TEST_MEMCACHED_RING", format!("memcached://{}", ring.join(","))),
        ]
    }
}

/// Returns the connection string of a server that the tests share, such as `REDIS` or `POSTGRES`: what the
/// variable `STEADFAST_TEST_REDIS` or `STEADFAST_TEST_POSTGRES` says.
///
/// # Panics
///
/// If the variable is missing: a missing server is a failure, never a test that is skipped.
#[must_use]
pub fn shared_dsn(server: &str) -> String {
    let variable = format!("STEADFAST_TEST_{server}");
    std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `cargo xtask test`, or `cargo xtask servers` and what it prints")
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
