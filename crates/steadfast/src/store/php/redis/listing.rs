//! Lists of sessions, by a walk through all keys of the server.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;

use redis::Value;

use super::scripts::PAGE;
use super::store::{PhpRedisStore, found_in};
use crate::store::redis::command::glob_escaped;
use crate::store::redis::error::Fault;
use crate::store::redis::scan::Scan;
use crate::store::{Listed, StoreKey};

/// Sessions that are fetched at a time.
const FETCH: usize = 100;

/// Keys that `count` remembers, so as not to count one twice.
const REMEMBERED: usize = 65_536;

impl PhpRedisStore {
    /// Lists sessions in the order of their keys.
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
                listed.extend(self.fetch(keys).await?);
            }
            // An empty page would mean the end; these have gone since they were found.
            if !listed.is_empty() {
                return Ok(listed);
            }
            after = Some(*last);
        }
    }

    /// Lists the sessions among the first keys that the server happens to name.
    pub(super) async fn list_some(&self, limit: NonZeroUsize) -> Result<Vec<Listed>, Fault> {
        let mut scan = self.scan().await?;
        let Some(found) = scan.next(&self.shared.server.link).await? else { return Ok(Vec::new()) };
        let keys: Vec<_> =
            found.iter().filter_map(|key| self.shared.keys.session(key)).take(limit.get()).collect();
        if keys.is_empty() { Ok(Vec::new()) } else { self.fetch(&keys).await }
    }

    pub(super) async fn count_all(&self) -> Result<u64, Fault> {
        let mut scan = self.scan().await?;
        let mut seen = HashSet::new();
        let mut count = 0;
        while let Some(found) = scan.next(&self.shared.server.link).await? {
            for key in found.iter().filter_map(|key| self.shared.keys.session(key)) {
                if seen.len() == REMEMBERED || seen.insert(key) {
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    async fn scan(&self) -> Result<Scan, Fault> {
        let pattern = format!("{}*", glob_escaped(self.shared.keys.prefix()));
        Scan::begin(&self.shared.server.link, pattern).await
    }

    /// Returns the lowest keys after a key, in their order.
    async fn lowest(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<StoreKey>, Fault> {
        let mut scan = self.scan().await?;
        let mut lowest = BTreeSet::new();
        while let Some(found) = scan.next(&self.shared.server.link).await? {
            let keys = found.iter().filter_map(|key| self.shared.keys.session(key));
            for key in keys.filter(|key| after.is_none_or(|after| key > after)) {
                lowest.insert(key);
                if lowest.len() > limit.get() {
                    lowest.pop_last();
                }
            }
        }
        Ok(lowest.into_iter().collect())
    }

    /// Reads sessions; those that have gone meanwhile are left out.
    async fn fetch(&self, keys: &[StoreKey]) -> Result<Vec<Listed>, Fault> {
        let names = keys.iter().filter_map(StoreKey::shared).map(|name| self.shared.keys.place(name).data);
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(PAGE.digest()).arg(keys.len()).arg(names.collect::<Vec<_>>());
        let Value::Array(found) = self.shared.server.link.call(&PAGE, &cmd).await? else {
            return Err(Fault::Nonsense);
        };
        let mut listed = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(found) {
            let Value::BulkString(bytes) = found else { return Err(Fault::Nonsense) };
            if !bytes.is_empty() {
                let (found, _) = found_in(bytes, self.shared.site.lifetime)?;
                listed.push(Listed { key: *key, record: found.record });
            }
        }
        Ok(listed)
    }
}
