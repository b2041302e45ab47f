//! A new record in the place of an old one: a transaction, in one round trip if it fits into one packet.

use mysql_async::Value;

use crate::store::{Predecessor, Record, Replaced, StoreKey, Version};

use super::columns::{bytes, stored};
use super::error::Fault;
use super::link::Link;
use super::reads::exists;
use super::sql::{BEGIN, COMMIT, Sql};

/// What is to be replaced by what.
pub(super) struct Replacement<'a> {
    pub(super) old: &'a StoreKey,
    pub(super) seen: Version,
    pub(super) frozen: Option<&'a Record>,
    pub(super) new: &'a StoreKey,
    pub(super) record: &'a Record,
}

impl<'a> Replacement<'a> {
    pub(super) fn new(
        old: &'a StoreKey,
        seen: Version,
        predecessor: &Predecessor<'a>,
        new: &'a StoreKey,
        record: &'a Record,
    ) -> Self {
        let frozen = match *predecessor {
            Predecessor::Delete => None,
            Predecessor::Update(frozen) => Some(frozen),
        };
        Self { old, seen, frozen, new, record }
    }

    /// Runs the transaction as one text, if that is allowed and the server takes a text of this length.
    pub(super) async fn run(
        &self,
        link: &mut Link,
        sql: &Sql,
        longest_text: usize,
    ) -> Result<Replaced, Fault> {
        link.expect_transaction();
        // In hexadecimal every byte is two letters.
        let bytes = self.record.payload.len() + self.frozen.map_or(0, |frozen| frozen.payload.len());
        let stored = if 2 * bytes + Sql::REST_OF_REPLACE <= longest_text {
            self.at_once(link, sql).await
        } else {
            self.step_by_step(link, sql).await
        };
        match stored {
            Ok(true) => {
                link.transaction_ended();
                Ok(Replaced::Stored)
            }
            Ok(false) => {
                link.transaction_ended();
                Ok(if exists(link, sql, self.old).await? { Replaced::Stale } else { Replaced::Missing })
            }
            Err(fault) if fault.is_duplicate() => {
                link.roll_back().await?;
                Ok(Replaced::IdTaken)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn at_once(&self, link: &mut Link, sql: &Sql) -> Result<bool, Fault> {
        let Self { old, seen, frozen, new, record } = *self;
        let found = link.send(sql.replace(old, seen, frozen, new, record)).await?;
        // The second statement adds the new record if the old one is what was seen.
        Ok(found.get(1) == Some(&1))
    }

    async fn step_by_step(&self, link: &mut Link, sql: &Sql) -> Result<bool, Fault> {
        let Self { old, seen, frozen, new, record } = *self;
        link.send(BEGIN.to_owned()).await?;
        let (statement, mut params) = match frozen {
            None => (&sql.delete_seen, Vec::new()),
            Some(frozen) => (&sql.update_and_end_lease, stored(frozen)),
        };
        params.extend([bytes(old.as_bytes()), Value::UInt(seen.as_u64())]);
        let found = link.change(statement, params).await? == 1;
        if found {
            let mut params = stored(record);
            params.push(bytes(new.as_bytes()));
            link.change(&sql.create, params).await?;
        }
        link.send(COMMIT.to_owned()).await?;
        Ok(found)
    }
}
