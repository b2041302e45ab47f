//! Many records at once, and all there are.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::connection::Pending;
use super::dump;
use super::keys::{Kind, Name};
use super::packet::{MOST_COMMANDS, Packet};
use super::records;
use super::reply::{Code, Reply};
use super::store::Shared;
use crate::error::Result;
use crate::store::{Listed, StoreKey};

/// Records that are read with one packet for each server. One command more asks for the time.
pub(super) const MOST_AT_ONCE: usize = MOST_COMMANDS as usize - 1;

impl Shared {
    /// Reads records that may have gone, in the order of the keys. One that is damaged is left out.
    pub(super) async fn load_all(&self, keys: &[StoreKey]) -> Result<Vec<Listed>> {
        let replies = self.ask_for_all(keys, |packet, name| packet.read(Kind::Record, name)).await?;
        let mut listed = Vec::with_capacity(keys.len());
        for (key, (reply, second)) in keys.iter().zip(replies) {
            if let Ok(Some(item)) = records::read(reply, second) {
                listed.push(Listed { key: *key, record: item.record });
            }
        }
        Ok(listed)
    }

    /// Reports for each record whether it is there.
    pub(super) async fn exist(&self, keys: &[StoreKey]) -> Result<Vec<bool>> {
        let replies = self.ask_for_all(keys, |packet, name| packet.look(Kind::Record, name)).await?;
        Ok(replies.into_iter().map(|(reply, _)| reply.code == Code::Done).collect())
    }

    /// Asks the same for each key, of all servers at the same time; returns the replies in the order of the
    /// keys, with the second that the server told.
    async fn ask_for_all(
        &self,
        keys: &[StoreKey],
        ask: impl Fn(&mut Packet<'_>, &Name),
    ) -> Result<Vec<(Reply, u64)>> {
        let mut asked: Vec<(usize, Pending)> = Vec::new();
        let at: Vec<_> = keys.iter().map(|key| self.index_of_server(&Name::of_session(key))).collect();
        for (index, server) in self.pool.servers.iter().enumerate().filter(|(index, _)| at.contains(index)) {
            let link = server.link().await?;
            let mut packet = server.packet(&self.keys);
            for (key, _) in keys.iter().zip(&at).filter(|(_, at)| **at == index) {
                ask(&mut packet, &Name::of_session(key));
            }
            packet.clock();
            asked.push((index, link.send(packet.seal())?));
        }
        let mut told = Vec::with_capacity(asked.len());
        for (index, pending) in asked {
            let answers = pending.answers().await?;
            told.push((index, self.pool.servers[index].told_with_time(answers.replies, answers.arrived)));
        }
        let reply = |at: &usize| {
            let (_, (told, second)) = told.iter_mut().find(|(index, _)| index == at).expect("each was asked");
            (told.next(), *second)
        };
        Ok(at.iter().map(reply).collect())
    }

    pub(super) async fn count(&self) -> Result<u64> {
        let mut count = 0;
        for server in &self.pool.servers {
            dump::walk(server, &self.keys, |_| count += 1).await?;
        }
        Ok(count)
    }

    pub(super) async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let mut after = after.copied();
        loop {
            let keys = self.first_keys(after, limit).await?;
            let Some(last) = keys.last().copied() else { return Ok(Vec::new()) };
            let mut listed = Vec::with_capacity(keys.len());
            for keys in keys.chunks(MOST_AT_ONCE) {
                listed.extend(self.load_all(keys).await?);
            }
            // An empty page is the end, so one whose records have all gone meanwhile is not handed out.
            if !listed.is_empty() {
                return Ok(listed);
            }
            after = Some(last);
        }
    }

    /// Returns the first keys after one, of all that there are.
    async fn first_keys(&self, after: Option<StoreKey>, limit: NonZeroUsize) -> Result<Vec<StoreKey>> {
        let mut first = BTreeSet::new();
        for server in &self.pool.servers {
            let gather = |key| {
                if after.is_none_or(|after| key > after) && first.insert(key) && first.len() > limit.get() {
                    first.pop_last();
                }
            };
            dump::walk(server, &self.keys, gather).await?;
        }
        Ok(first.into_iter().collect())
    }
}
