//! MariaDB: prepared statements on connections of a pool, which is set up as the driver's.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, Row};

use super::{Key, LEASE, Raw};
use crate::Result;

/// Connections, at most as many as the driver's.
const CONNECTIONS: usize = 16;

/// Bytes of the longest packet, and seconds without work after which a connection is replaced, as the
/// driver's. The library would ask the server for both on each new connection.
const LONGEST_PACKET: usize = 1 << 30;
const STALE_AFTER: usize = 600;

/// How long a connection without work stays open. The library would close it at once.
const IDLE: Duration = Duration::from_secs(60);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS ceiling (id BINARY(16) PRIMARY KEY, body BLOB NOT NULL, \
    token BIGINT UNSIGNED NOT NULL, until DATETIME(6) NOT NULL)";

pub(crate) struct MariaDb(Pool);

impl MariaDb {
    async fn conn(&self) -> Result<Conn> {
        Ok(self.0.get_conn().await?)
    }

    async fn change(&self, sql: &str, params: impl Into<mysql_async::Params> + Send) -> Result<()> {
        let mut conn = self.conn().await?;
        conn.exec_drop(sql, params.into()).await?;
        if conn.affected_rows() == 1 { Ok(()) } else { Err("the row was not written".into()) }
    }
}

impl Raw for MariaDb {
    async fn connect(dsn: &str) -> Result<Self> {
        let constraints = PoolConstraints::new(1, CONNECTIONS).ok_or("a pool of no connections")?;
        let options = OptsBuilder::from_opts(Opts::from_url(dsn)?)
            .pool_opts(
                PoolOpts::new()
                    .with_constraints(constraints)
                    .with_inactive_connection_ttl(IDLE)
                    .with_reset_connection(false),
            )
            .client_found_rows(true)
            .prefer_socket(false)
            .max_allowed_packet(Some(LONGEST_PACKET))
            .wait_timeout(Some(STALE_AFTER));
        let raw = Self(Pool::new(options));
        raw.conn().await?.query_drop(TABLE).await?;
        Ok(raw)
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.change("INSERT INTO ceiling VALUES (?, ?, 0, '2000-01-01')", (key, blob)).await
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        let blob = self.conn().await?.exec_first("SELECT body FROM ceiling WHERE id = ?", (key,)).await?;
        Ok(blob.ok_or("no such blob")?)
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.change("UPDATE ceiling SET body = ? WHERE id = ?", (blob, key)).await
    }

    /// Two statements in one packet: an update returns no rows here.
    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let (key, seconds) = (str::from_utf8(&key)?, LEASE.as_secs());
        let sql = format!(
            "UPDATE ceiling SET token={token},until=NOW(6)+INTERVAL {seconds} SECOND \
             WHERE id='{key}' AND until<=NOW(6);SELECT body,token FROM ceiling WHERE id='{key}'"
        );
        let mut conn = self.conn().await?;
        let mut result = conn.query_iter(sql).await?;
        // The end of the first, which has no rows, is the step to the second.
        result.next().await?;
        let row: Row = result.next().await?.ok_or("no such blob")?;
        result.drop_result().await?;
        let (blob, holder): (Vec<u8>, u64) = mysql_async::from_row_opt(row)?;
        if holder == token { Ok(blob) } else { Err("the lease was not free".into()) }
    }

    async fn release(&self, key: Key, token: u64, blob: Vec<u8>) -> Result<()> {
        let sql = "UPDATE ceiling SET body = ?, until = '2000-01-01' WHERE id = ? AND token = ?";
        self.change(sql, (blob, key, token)).await
    }
}
