//! Redis: plain commands on one connection.

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, Pipeline};

use super::{Key, LEASE, Raw};
use crate::Result;

/// Commands that may wait for their turn on the connection, as many as the driver's.
const QUEUE: usize = 1_024;

pub(crate) struct Redis(MultiplexedConnection);

impl Raw for Redis {
    async fn connect(dsn: &str) -> Result<Self> {
        let info = format!("{dsn}/?protocol=resp3").into_connection_info()?;
        let client = Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(QUEUE);
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.write(key, blob).await
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        Ok(redis::cmd("GET").arg(&key).query_async(&mut self.0.clone()).await?)
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        Ok(redis::cmd("SET").arg(&key).arg(blob).exec_async(&mut self.0.clone()).await?)
    }

    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("SET").arg(&lease(key)).arg(token).arg("NX").arg("PX").arg(LEASE.as_millis() as u64);
        pipeline.cmd("GET").arg(&key);
        let (held, blob): (Option<()>, Vec<u8>) = pipeline.query_async(&mut self.0.clone()).await?;
        held.ok_or("the lease was not free")?;
        Ok(blob)
    }

    async fn release(&self, key: Key, _token: u64, blob: Vec<u8>) -> Result<()> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("SET").arg(&key).arg(blob).cmd("DEL").arg(&lease(key));
        Ok(pipeline.exec_async(&mut self.0.clone()).await?)
    }
}

/// Names the lease beside a key.
fn lease(key: Key) -> [u8; 17] {
    let mut lease = [b'l'; 17];
    lease[..16].copy_from_slice(&key);
    lease
}
