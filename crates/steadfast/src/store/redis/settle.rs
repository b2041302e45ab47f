//! Waiting until replicas have what the master acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{ToRedisArgs as _, Value};

use super::command::RecordName;
use super::error::Fault;
use super::link::Link;
use super::scripts::{SETTLE, answer};
use crate::store::{StoreKey, Version};

/// How many writes are remembered until somebody settles them. A call settles what it has just written, so
/// few are ever needed.
const REMEMBERED: usize = 4_096;

/// Waits for replicas, on a link of its own.
pub(super) struct Settle {
    link: Arc<Link>,
    replicas: u32,
    timeout: Duration,
    written: Mutex<VecDeque<(StoreKey, Option<Version>)>>,
}

impl Settle {
    pub(super) fn new(link: Arc<Link>, replicas: u32, timeout: Duration) -> Self {
        Self { link, replicas, timeout, written: Mutex::default() }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Remembers what an acknowledged write left: a version, or no record.
    pub(super) fn note(&self, key: &StoreKey, version: Option<Version>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() == REMEMBERED {
            written.pop_front();
        }
        written.push_back((*key, version));
    }

    /// Returns when the replicas have what was written last under a key.
    ///
    /// `WAIT` speaks of the writes of its own connection, so the script before it writes something. It also
    /// looks whether the master has what was acknowledged: by now it may be another one, to which everything
    /// is replicated that it knows, and not what it never heard of.
    pub(super) async fn settle(&self, key: &StoreKey, name: RecordName<'_>) -> Result<(), Fault> {
        let expected = self.expected(key);
        let mut commands = redis::pipe();
        commands.cmd("EVAL").arg(SETTLE.text).arg(1).arg(name);
        match expected {
            None => commands.arg("?"),
            Some(None) => commands.arg(""),
            Some(Some(version)) => commands.arg(&version.as_u64().to_be_bytes()),
        };
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        commands.cmd("WAIT").arg(self.replicas).arg(timeout);
        let name = name.to_redis_args().concat();
        let live = self.link.live().await?;
        let answers = live.conn.clone().send_all(commands, &name).await;
        self.link.note(&live, answers.as_ref().err());
        match answers?.as_slice() {
            [Value::Int(answer::LOST), _] => Err(Fault::WriteLost),
            [Value::Int(answer::DONE), Value::Int(have)] if *have >= i64::from(self.replicas) => {
                self.forget(key);
                Ok(())
            }
            [Value::Int(answer::DONE), Value::Int(_)] => Err(Fault::NotReplicated),
            _ => Err(Fault::Nonsense),
        }
    }

    /// Returns what the last write under a key left, if it is known.
    fn expected(&self, key: &StoreKey) -> Option<Option<Version>> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.iter().rev().find(|(its, _)| its == key).map(|(_, version)| *version)
    }

    fn forget(&self, key: &StoreKey) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).retain(|(its, _)| its != key);
    }
}
