//! What is read: one row by its key, or lists.

use std::num::NonZeroUsize;

use super::columns::{count, found, listed, rows, timestamp};
use super::error::{at_run, failed};
use super::slot::Slot;
use super::statements::Statement;
use crate::error::{ErrorKind, Result};
use crate::store::{Listed, Loaded, StoreKey, UserKey};
use crate::time::Timestamp;

pub(super) async fn load(slot: &Slot, key: &StoreKey) -> Result<Loaded> {
    match slot.query_opt(Statement::Load, &[&&key.as_bytes()[..]]).await? {
        Some(row) => Ok(Loaded::Found(found(&row).map_err(damaged)?)),
        None => Ok(Loaded::Missing),
    }
}

pub(super) async fn of_user(
    slot: &Slot,
    user: &UserKey,
    after: Option<&StoreKey>,
    limit: NonZeroUsize,
) -> Result<Vec<Listed>> {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&&user.as_bytes()[..], &first_bytes(after), &count(limit.get())];
    Ok(slot.query(Statement::OfUser, &params).await?.iter().filter_map(listed).collect())
}

pub(super) async fn page(slot: &Slot, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
    let rows = slot.query(Statement::Page, &[&first_bytes(after), &count(limit.get())]).await?;
    Ok(rows.iter().filter_map(listed).collect())
}

pub(super) async fn number_of_records(slot: &Slot) -> Result<u64> {
    number(slot, Statement::Count).await.map(|records| rows(records) as u64)
}

pub(super) async fn now(slot: &Slot) -> Result<Timestamp> {
    number(slot, Statement::Now).await.map(timestamp)
}

async fn number(slot: &Slot, statement: Statement) -> Result<i64> {
    let row = slot.query_opt(statement, &[]).await?;
    row.ok_or_else(|| failed(ErrorKind::Unavailable, "PostgreSQL answered with no row"))?
        .try_get(0)
        .map_err(at_run)
}

/// The key to list after; the empty one comes before all others.
pub(super) fn first_bytes(after: Option<&StoreKey>) -> &[u8] {
    after.map_or(&[], |key| key.as_bytes())
}

/// Explains a column that can't be read: that of one record, which can be set aside.
pub(super) fn damaged(error: tokio_postgres::Error) -> crate::error::Error {
    failed(ErrorKind::Corrupt, "a column of the record holds what this driver never writes")
        .with_source(error)
}
