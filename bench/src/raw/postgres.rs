//! PostgreSQL: prepared statements on as many connections as the driver shares.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::{Client, NoTls, Statement};

use super::{Key, Raw};
use crate::Result;

/// Connections, as many as the driver's.
const CONNECTIONS: usize = 4;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS ceiling (key BYTEA PRIMARY KEY, blob BYTEA NOT NULL, \
    token BIGINT NOT NULL, until TIMESTAMPTZ NOT NULL) WITH (fillfactor = 80)";

pub(crate) struct Postgres {
    connections: Vec<Connection>,
    next: AtomicUsize,
}

struct Connection {
    client: Client,
    create: Statement,
    read: Statement,
    write: Statement,
    acquire: Statement,
    release: Statement,
}

impl Postgres {
    fn connection(&self) -> &Connection {
        &self.connections[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS]
    }
}

impl Raw for Postgres {
    async fn connect(dsn: &str) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(dsn, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute(TABLE).await?;
            connections.push(Connection::prepare(client).await?);
        }
        Ok(Self { connections, next: AtomicUsize::new(0) })
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        let Connection { client, create, .. } = self.connection();
        one(client.execute(create, &[&&key[..], &blob]).await?)
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        let Connection { client, read, .. } = self.connection();
        Ok(client.query_one(read, &[&&key[..]]).await?.try_get(0)?)
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        let Connection { client, write, .. } = self.connection();
        one(client.execute(write, &[&&key[..], &blob]).await?)
    }

    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let Connection { client, acquire, .. } = self.connection();
        Ok(client.query_one(acquire, &[&&key[..], &token.cast_signed()]).await?.try_get(0)?)
    }

    async fn release(&self, key: Key, token: u64, blob: Vec<u8>) -> Result<()> {
        let Connection { client, release, .. } = self.connection();
        one(client.execute(release, &[&&key[..], &token.cast_signed(), &blob]).await?)
    }
}

impl Connection {
    async fn prepare(client: Client) -> Result<Self> {
        Ok(Self {
            create: client.prepare("INSERT INTO ceiling VALUES ($1, $2, 0, '-infinity')").await?,
            read: client.prepare("SELECT blob FROM ceiling WHERE key = $1").await?,
            write: client.prepare("UPDATE ceiling SET blob = $2 WHERE key = $1").await?,
            acquire: client
                .prepare(
                    "UPDATE ceiling SET token = $2, until = clock_timestamp() + INTERVAL '10 s' \
                     WHERE key = $1 AND until < clock_timestamp() RETURNING blob",
                )
                .await?,
            release: client
                .prepare("UPDATE ceiling SET blob = $3, until = '-infinity' WHERE key = $1 AND token = $2")
                .await?,
            client,
        })
    }
}

fn one(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err("the row was not written".into()) }
}
