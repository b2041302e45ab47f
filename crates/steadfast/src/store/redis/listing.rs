//! Lists: the records of a user, all records, how many there are; and the purge, which tends the indexes.
//!
//! Redis keeps no order of its keys. A page of all records therefore costs a walk through all keys, of which
//! it keeps the lowest; an operator may do that, a request must not.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;

use redis::{Value, cmd};

use super::error::Fault;
use super::layout;
use super::scan::{Scan, parsed};
use super::store::RedisStore;
use crate::store::{Listed, Record, StoreKey, UserKey};

/// Records that are fetched at a time.
const FETCH: usize = 100;

/// Keys that `count` remembers, so as not to count one twice. Beyond that, a table that the server shrinks
/// meanwhile may make it count some twice.
const REMEMBERED: usize = 65_536;

impl RedisStore {
    /// Lists records of a user in the order of their keys, and drops entries of records that are gone.
    pub(super) async fn list_of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>, Fault> {
        let index = self.shared.names.user(user);
        let mut listed = Vec::new();
        let mut after = after.copied();
        while listed.len() < limit.get() {
            let wanted = (limit.get() - listed.len()).min(FETCH);
            let keys = self.entries(&index, after.as_ref(), wanted).await?;
            let Some(last) = keys.last() else { break };
            after = Some(*last);
            for (key, record) in self.fetch(&index, &keys).await? {
                if record.user == Some(*user) {
                    listed.push(Listed { key, record });
                }
            }
        }
        Ok(listed)
    }

    /// Lists records in the order of their keys.
    pub(super) async fn list_all(
        &self,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>, Fault> {
        let mut after = after.copied();
        loop {
            let keys = self.lowest(after.as_ref(), limit).await?;
            let Some(last) = keys.last() else { return Ok(Vec::new()) };
            let mut listed = Vec::with_capacity(keys.len());
            for keys in keys.chunks(FETCH) {
                let records = self.records(keys).await?;
                listed.extend(
                    keys.iter().zip(records).filter_map(|(key, record)| {
                        Some(Listed { key: *key, record: record.ok().flatten()? })
                    }),
                );
            }
            // An empty page would mean the end; these have gone since they were found.
            if !listed.is_empty() {
                return Ok(listed);
            }
            after = Some(*last);
        }
    }

    /// Lists the records among the first keys that each server happens to name.
    pub(super) async fn list_some(&self, limit: NonZeroUsize) -> Result<Vec<Listed>, Fault> {
        let names = &self.shared.names;
        let mut scan = Scan::begin(&self.shared.server.link, names.every_record()).await?;
        let Some(found) = scan.next(&self.shared.server.link).await? else { return Ok(Vec::new()) };
        let keys: Vec<_> = found.iter().filter_map(|name| names.key_of(name)).take(limit.get()).collect();
        let records = self.records(&keys).await?;
        let listed = |(key, record): (&StoreKey, Result<Option<Record>, _>)| {
            Some(Listed { key: *key, record: record.ok().flatten()? })
        };
        Ok(keys.iter().zip(records).filter_map(listed).collect())
    }

    pub(super) async fn count_all(&self) -> Result<u64, Fault> {
        let names = &self.shared.names;
        let mut scan = Scan::begin(&self.shared.server.link, names.every_record()).await?;
        let mut seen = HashSet::new();
        let mut count = 0;
        while let Some(found) = scan.next(&self.shared.server.link).await? {
            for key in found.iter().filter_map(|name| names.key_of(name)) {
                if seen.len() == REMEMBERED || seen.insert(key) {
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Goes on through the indexes of users, for about as many entries as `limit`, and drops those of records
    /// that are gone.
    pub(super) async fn sweep(&self, limit: NonZeroUsize) -> Result<(), Fault> {
        let mut turn = self.shared.sweep.lock().await;
        let mut scan = match turn.take() {
            Some(scan) => scan,
            None => Scan::begin(&self.shared.server.link, self.shared.names.every_user()).await?,
        };
        let mut looked_at = 0;
        while looked_at < limit.get() {
            let Some(indexes) = scan.next(&self.shared.server.link).await? else { return Ok(()) };
            looked_at += 1;
            for index in indexes {
                let Ok(index) = str::from_utf8(&index) else { continue };
                looked_at += self.sweep_index(index).await?;
            }
        }
        *turn = Some(scan);
        Ok(())
    }

    /// Drops the entries of one index whose records are gone, and returns how many there were to look at.
    async fn sweep_index(&self, index: &str) -> Result<usize, Fault> {
        let (mut after, mut entries) = (None, 0);
        loop {
            let keys = self.entries(index, after.as_ref(), FETCH).await?;
            entries += keys.len();
            let Some(last) = keys.last() else { return Ok(entries) };
            after = Some(*last);
            self.fetch(index, &keys).await?;
        }
    }

    /// Reads entries of an index after a key.
    async fn entries(
        &self,
        index: &str,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<StoreKey>, Fault> {
        let mut range = cmd("ZRANGEBYLEX");
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({}", after.to_hex()));
        range.arg(index).arg(from).arg("+").arg("LIMIT").arg(0).arg(limit);
        let entries: Vec<String> = parsed(self.shared.server.link.send(&range).await?)?;
        entries.iter().map(|hex| StoreKey::from_hex(hex).ok_or(Fault::Nonsense)).collect()
    }

    /// Reads the records of an index's entries, and drops the entries of those that are gone.
    ///
    /// Only of those: a record that is there may be about to be bound to the user.
    async fn fetch(&self, index: &str, keys: &[StoreKey]) -> Result<Vec<(StoreKey, Record)>, Fault> {
        let mut gone = Vec::new();
        let mut found = Vec::with_capacity(keys.len());
        for (key, record) in keys.iter().zip(self.records(keys).await?) {
            match record {
                Ok(Some(record)) => found.push((*key, record)),
                Ok(None) => gone.push(key.to_hex()),
                // A damaged record must not hide the others.
                Err(_) => {}
            }
        }
        if !gone.is_empty() {
            let mut drop_them = cmd("ZREM");
            drop_them.arg(index).arg(gone);
            self.shared.server.link.send(&drop_them).await?;
        }
        Ok(found)
    }

    /// Reads records. One that is damaged is told from one that is missing.
    async fn records(&self, keys: &[StoreKey]) -> Result<Vec<Result<Option<Record>, Fault>>, Fault> {
        let mut get = cmd("MGET");
        for key in keys {
            get.arg(self.shared.names.record(key));
        }
        let Value::Array(values) = self.shared.server.link.send(&get).await? else {
            return Err(Fault::Nonsense);
        };
        let read = |value| match value {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => layout::read(bytes.into()).map(Some),
            _ => Err(Fault::Damaged),
        };
        Ok(values.into_iter().map(read).collect())
    }

    /// Returns the lowest keys after a key, in their order.
    async fn lowest(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<StoreKey>, Fault> {
        let names = &self.shared.names;
        let mut scan = Scan::begin(&self.shared.server.link, names.every_record()).await?;
        let mut lowest = BTreeSet::new();
        while let Some(found) = scan.next(&self.shared.server.link).await? {
            let keys = found.iter().filter_map(|name| names.key_of(name));
            for key in keys.filter(|key| after.is_none_or(|after| key > after)) {
                lowest.insert(key);
                if lowest.len() > limit.get() {
                    lowest.pop_last();
                }
            }
        }
        Ok(lowest.into_iter().collect())
    }
}
