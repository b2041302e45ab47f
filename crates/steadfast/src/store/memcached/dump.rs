//! All records of a server, by a walk of its crawler through everything that it holds.
//!
//! For operators: the server lists every item it has, this driver's or not, and does so for one asker at a
//! time.

use std::time::Duration;

use super::error::{LinkError, failed};
use super::greeting::{self, Lines};
use super::keys::Keys;
use super::server::Server;
use crate::error::{ErrorKind, Result};
use crate::random::jittered;
use crate::store::StoreKey;

/// How long another walk is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two tries while another walk is under way.
const PAUSE: Duration = Duration::from_millis(20);

/// Walks through all records of a server, on a connection of its own.
pub(super) async fn walk(server: &Server, keys: &Keys, mut gather: impl FnMut(StoreKey)) -> Result<()> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if try_to_walk(server, keys, &mut gather).await? {
            return Ok(());
        }
        if tokio::time::Instant::now() >= until {
            return Err(failed(
                ErrorKind::TimedOut,
                "the server's crawler is busy with the list of somebody else: try again later",
            ));
        }
        tokio::time::sleep(jittered(PAUSE)).await;
    }
}

/// Reports whether the server had time for it.
async fn try_to_walk(server: &Server, keys: &Keys, gather: &mut impl FnMut(StoreKey)) -> Result<bool> {
    let (mut stream, _) = server.dial().await?;
    // By its hash table: a walk along the lists of what was used last misses what moves meanwhile.
    greeting::send(&mut stream, b"lru_crawler metadump hash\r\n").await?;
    let mut lines = Lines::new(&mut stream.incoming);
    loop {
        let line = tokio::time::timeout(server.response_timeout, lines.next()).await;
        let line = line.unwrap_or(Err(LinkError::TimedOut))?;
        match line.split(' ').next().and_then(|word| word.split_once('=')) {
            Some(("key", key)) => {
                let key: Vec<u8> = percent_encoding::percent_decode_str(key).collect();
                if let Some(key) = keys.record(&key) {
                    gather(key);
                }
            }
            _ if line == "END" => return Ok(true),
            _ if line.starts_with("BUSY") => return Ok(false),
            _ => {
                return Err(failed(
                    ErrorKind::Unavailable,
                    "the server does not list what it holds: look whether it was started with `-X` or \
                     `-o no_lru_crawler`",
                ));
            }
        }
    }
}
