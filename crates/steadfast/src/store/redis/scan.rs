//! Going through all keys of all servers, a bounded number at a time.

use redis::{Value, cmd};

use super::conn::Node;
use super::error::Fault;
use super::link::Link;
use std::sync::Arc;

/// Keys that the server looks at for one answer: some tenths of a millisecond of its time.
const BATCH: usize = 1_000;

/// A walk through all keys that match a pattern. Keys come in no order, and some may come twice.
#[derive(Debug)]
pub(in crate::store) struct Scan {
    pattern: String,
    /// What is left to go through, the present server last.
    nodes: Vec<Node>,
    cursor: u64,
}

impl Scan {
    pub(in crate::store) async fn begin(link: &Arc<Link>, pattern: String) -> Result<Self, Fault> {
        let nodes = link.live().await?.conn.clone().nodes().await?;
        Ok(Self { pattern, nodes, cursor: 0 })
    }

    /// Returns the next keys, which may be none, or `None` at the end.
    pub(in crate::store) async fn next(&mut self, link: &Arc<Link>) -> Result<Option<Vec<Vec<u8>>>, Fault> {
        let Some(node) = self.nodes.last() else { return Ok(None) };
        let mut scan = cmd("SCAN");
        scan.arg(self.cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(BATCH);
        let live = link.live().await?;
        let answer = live.conn.clone().send_to(&scan, node).await;
        link.note(&live, answer.as_ref().err());
        let (cursor, keys): (u64, Vec<Vec<u8>>) = parsed(answer?)?;
        self.cursor = cursor;
        if cursor == 0 {
            self.nodes.pop();
        }
        Ok(Some(keys))
    }
}

/// Reads an answer of a known form.
pub(in crate::store) fn parsed<T: redis::FromRedisValue>(answer: Value) -> Result<T, Fault> {
    redis::from_redis_value(answer).map_err(|_| Fault::Nonsense)
}
