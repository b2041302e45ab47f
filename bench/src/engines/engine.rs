//! The engines: how a server of each is started, made ready for sessions, and opened as a store.

use std::fmt;

use clap::ValueEnum;
use mysql_async::Opts;
use steadfast::store::SharedStore;
use steadfast::store::memcached::MemcachedStore;
use steadfast::store::mysql::{MysqlOptions, MysqlStore};
use steadfast::store::postgres::{PostgresOptions, PostgresStore};
use steadfast::store::redis::{RedisStore, Servers};
use steadfast_servers::{MariaDb, Memcached, Postgres, Redis, Server};

use crate::Result;

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Engine {
    Redis,
    Postgres,
    Mariadb,
    Memcached,
}

impl Engine {
    pub(crate) const ALL: [Self; 4] = [Self::Redis, Self::Postgres, Self::Mariadb, Self::Memcached];

    /// Starts a server of its own.
    pub(crate) fn start(self) -> Result<Box<dyn Server>> {
        Ok(match self {
            Self::Redis => Box::new(Redis::start()?),
            Self::Postgres => Box::new(Postgres::start()?),
            Self::Mariadb => Box::new(MariaDb::start()?),
            Self::Memcached => Box::new(Memcached::start()?),
        })
    }

    /// Makes the tables of the driver, where there are any.
    pub(crate) async fn prepare(self, dsn: &str) -> Result<()> {
        match self {
            Self::Postgres => postgres(dsn)?.create().await?,
            Self::Mariadb => mysql(dsn)?.create().await?,
            Self::Redis | Self::Memcached => {}
        }
        Ok(())
    }

    /// Opens a store, whose tables are there.
    pub(crate) async fn open(self, dsn: &str) -> Result<SharedStore> {
        Ok(match self {
            Self::Redis => {
                let (host, port) = address(dsn)?;
                SharedStore::new(RedisStore::options().connect(Servers::One(host.to_owned(), port)).await?)
            }
            Self::Postgres => SharedStore::new(postgres(dsn)?.open().await?),
            Self::Mariadb => SharedStore::new(mysql(dsn)?.open().await?),
            Self::Memcached => {
                let (host, port) = address(dsn)?;
                let options = MemcachedStore::options().server(format!("{host}:{port}"));
                SharedStore::new(options.connect().await?)
            }
        })
    }
}

fn postgres(dsn: &str) -> Result<PostgresOptions> {
    let config: tokio_postgres::Config = dsn.parse()?;
    let (host, port) = address(dsn)?;
    Ok(PostgresStore::options()
        .server(host, port)
        .user(config.get_user().unwrap_or_default())
        .password(str::from_utf8(config.get_password().unwrap_or_default())?)
        .database(config.get_dbname().unwrap_or_default()))
}

fn mysql(dsn: &str) -> Result<MysqlOptions> {
    let opts = Opts::from_url(dsn)?;
    Ok(MysqlStore::options()
        .host(opts.ip_or_hostname())
        .port(opts.tcp_port())
        .user(opts.user().unwrap_or_default())
        .password(opts.pass().unwrap_or_default())
        .database(opts.db_name().unwrap_or_default()))
}

/// Returns host and port of a connection string.
fn address(dsn: &str) -> Result<(&str, u16)> {
    let (_, rest) = dsn.split_once("://").ok_or("a connection string without an address")?;
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split_once('/').map_or(rest, |(rest, _)| rest);
    let (host, port) = rest.split_once(':').ok_or("an address without a port")?;
    Ok((host, port.parse()?))
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Memcached => "memcached",
        })
    }
}
