//! Waiting until replicas have what the master acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Value;

use super::error::Fault;
use super::link::Link;
use super::scripts::{Script, answer};
use crate::store::StoreKey;

/// How many writes are remembered until somebody settles them. A call settles what it has just written, so
/// few are ever needed.
const REMEMBERED: usize = 4_096;

/// Waits for replicas, on a link of its own.
pub(in crate::store) struct Settle {
    link: Arc<Link>,
    /// Looks whether a record is what it is said to be, and writes something.
    script: &'static Script,
    replicas: u32,
    timeout: Duration,
    written: Mutex<VecDeque<(StoreKey, Box<[u8]>)>>,
}

impl Settle {
    pub(super) fn new(link: Arc<Link>, script: &'static Script, replicas: u32, timeout: Duration) -> Self {
        Self { link, script, replicas, timeout, written: Mutex::default() }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Remembers what an acknowledged write left, in the words of the script: empty for no record.
    pub(in crate::store) fn note(&self, key: &StoreKey, left: &[u8]) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() == REMEMBERED {
            written.pop_front();
        }
        written.push_back((*key, left.into()));
    }

    /// Returns when the replicas have what was written last under a key.
    ///
    /// `WAIT` speaks of the writes of its own connection, so the script before it writes something. It also
    /// looks whether the master has what was acknowledged: by now it may be another one, to which everything
    /// is replicated that it knows, and not what it never heard of.
    pub(in crate::store) async fn settle(&self, key: &StoreKey, name: &[u8]) -> Result<(), Fault> {
        let expected = self.expected(key);
        let mut commands = redis::pipe();
        commands.cmd("EVAL").arg(self.script.text).arg(1).arg(name);
        commands.arg(expected.as_deref().unwrap_or(b"?"));
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        commands.cmd("WAIT").arg(self.replicas).arg(timeout);
        let live = self.link.live().await?;
        let answers = live.conn.clone().send_all(commands, name).await;
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
    fn expected(&self, key: &StoreKey) -> Option<Box<[u8]>> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.iter().rev().find(|(its, _)| its == key).map(|(_, left)| left.clone())
    }

    fn forget(&self, key: &StoreKey) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).retain(|(its, _)| its != key);
    }
}
