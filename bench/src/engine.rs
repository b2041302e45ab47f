//! The engines: how a server of each is started, made ready for sessions, and opened as a store; what
//! session layers are told of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use mysql_async::Opts;
use steadfast::store::SharedStore;
use steadfast::store::files::FilesStore;
use steadfast::store::memcached::MemcachedStore;
use steadfast::store::memory::MemoryStore;
use steadfast::store::mysql::{MysqlOptions, MysqlStore};
use steadfast::store::postgres::{PostgresOptions, PostgresStore};
use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::sqlite::SqliteStore;
use steadfast_servers::{MariaDb, Memcached, Postgres, Redis, Server};

use crate::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Memory,
    Files,
    Sqlite,
    Redis,
    Postgres,
    Mariadb,
    Memcached,
}

impl Engine {
    /// Those within the process of the web server.
    pub(crate) const EMBEDDED: [Self; 3] = [Self::Memory, Self::Files, Self::Sqlite];

    /// Those that are a server of their own.
    pub(crate) const NETWORK: [Self; 4] = [Self::Redis, Self::Postgres, Self::Mariadb, Self::Memcached];

    pub(crate) const ALL: [Self; 7] = [
        Self::Memory,
        Self::Files,
        Self::Sqlite,
        Self::Redis,
        Self::Postgres,
        Self::Mariadb,
        Self::Memcached,
    ];

    /// Starts a server of its own, where the engine is one.
    pub(crate) fn start(self) -> Result<Option<Arc<dyn Server>>> {
        Ok(match self {
            Self::Memory | Self::Files | Self::Sqlite => None,
            Self::Redis => Some(Arc::new(Redis::start()?)),
            Self::Postgres => Some(Arc::new(Postgres::start()?)),
            Self::Mariadb => Some(Arc::new(MariaDb::start()?)),
            Self::Memcached => Some(Arc::new(Memcached::start()?)),
        })
    }

    /// Returns where sessions are kept, for a web server that has a folder to itself.
    pub(crate) fn address(self, server: Option<&dyn Server>, folder: &Path) -> String {
        match (self, server) {
            (_, Some(server)) => server.dsn(),
            (Self::Files, None) => format!("files:{}", folder.join("sessions").display()),
            (Self::Sqlite, None) => format!("sqlite:{}", folder.join("sessions.db").display()),
            (_, None) => "memory:".to_owned(),
        }
    }

    /// Makes the tables of the driver, where there are any.
    pub(crate) async fn prepare(self, dsn: &str) -> Result<()> {
        match self {
            Self::Postgres => postgres(dsn)?.create().await?,
            Self::Mariadb => mysql(dsn)?.create().await?,
            _ => {}
        }
        Ok(())
    }

    /// Opens a store, whose tables are there.
    pub(crate) async fn open(self, dsn: &str) -> Result<SharedStore> {
        let path = || dsn.split_once(':').map_or("", |(_, path)| path);
        Ok(match self {
            Self::Memory => SharedStore::new(MemoryStore::new()),
            Self::Files => SharedStore::new(FilesStore::options().open(path())?),
            Self::Sqlite => SharedStore::new(SqliteStore::options().open(path())?),
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
            Self::Memory => "memory",
            Self::Files => "files",
            Self::Sqlite => "SQLite",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
            Self::Memcached => "Memcached",
        })
    }
}
