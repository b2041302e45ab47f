//! What is written: conditional statements of one row, and their outcomes.

use std::num::NonZeroUsize;

use tokio_postgres::Row;

use super::columns::{Columns, count, found, length, micros, purge_hour, rows, tag, token};
use super::connection::Params;
use super::error::{at_run, failed};
use super::reads::{damaged, first_bytes};
use super::slot::Slot;
use super::statements::Statement;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Predecessor, Record, Renewed, Replaced,
    StoreKey, Touched, Updated, Version,
};
use crate::time::Timestamp;

/// Most records that one statement purges: their rows stay locked for some milliseconds at most.
pub(super) const PURGE_BATCH: usize = 500;

/// Damaged records that are kept for an operator.
const SET_ASIDE_MAX: i64 = 100;

/// What became of a write under the condition of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    Stale,
    Missing,
    /// The snapshot had the version that was asked for, but somebody wrote or deleted the row before the
    /// statement got to it. Another try sees what they left, and can't end like this.
    Raced,
}

impl Outcome {
    /// Reads the row of a statement that selects null if it wrote, or else the version in its snapshot.
    fn of(row: Option<&Row>, seen: Version) -> Result<Self> {
        let Some(row) = row else { return Ok(Self::Missing) };
        Ok(match row.try_get::<_, Option<i64>>(0).map_err(at_run)? {
            None => Self::Written,
            Some(version) if version == tag(seen) => Self::Raced,
            Some(_) => Self::Stale,
        })
    }
}

/// Runs a statement under the condition of a version, once more if it was overtaken.
async fn conditionally(
    slot: &Slot,
    statement: Statement,
    seen: Version,
    params: Params<'_>,
) -> Result<Outcome> {
    let outcome = Outcome::of(slot.query_opt(statement, params).await?.as_ref(), seen)?;
    match outcome {
        Outcome::Raced => Outcome::of(slot.query_opt(statement, params).await?.as_ref(), seen),
        decided => Ok(decided),
    }
}

pub(super) async fn acquire(slot: &Slot, key: &StoreKey, lease: Lease) -> Result<Acquired> {
    let key = &key.as_bytes()[..];
    let params: Params<'_> = &[&key, &token(lease.token), &length(lease.ttl)];
    let Some(row) = slot.query_opt(Statement::Acquire, params).await? else { return Ok(Acquired::Missing) };
    // No version: the row only tells that there is a record.
    if row.try_get::<_, Option<i64>>(1).map_err(at_run)?.is_none() {
        return Ok(Acquired::Busy);
    }
    Ok(Acquired::Held(found(&row).map_err(damaged)?))
}

pub(super) async fn create(slot: &Slot, key: &StoreKey, record: &Record) -> Result<Created> {
    let key = &key.as_bytes()[..];
    let Columns { version, expires_at, purge_hour, user, payload } = record.into();
    let params: Params<'_> = &[&key, &version, &expires_at, &purge_hour, &user, &payload];
    let stored = slot.execute(Statement::Create, params).await? == 1;
    Ok(if stored { Created::Stored } else { Created::IdTaken })
}

pub(super) async fn update(
    slot: &Slot,
    key: &StoreKey,
    seen: Version,
    record: &Record,
    lease: LeaseEnd,
) -> Result<Updated> {
    let key = &key.as_bytes()[..];
    let Columns { version, expires_at, purge_hour, user, payload } = record.into();
    let (holder, renewed) = match lease {
        LeaseEnd::None => (None, None),
        LeaseEnd::Release(holder) => (Some(token(holder)), None),
        LeaseEnd::Renew(lease) => (Some(token(lease.token)), Some(length(lease.ttl))),
    };
    let params: Params<'_> =
        &[&key, &tag(seen), &version, &expires_at, &purge_hour, &user, &payload, &holder, &renewed];
    match conditionally(slot, Statement::Update, seen, params).await? {
        Outcome::Written => Ok(Updated::Stored),
        Outcome::Stale => Ok(Updated::Stale),
        Outcome::Missing => Ok(Updated::Missing),
        Outcome::Raced => Err(version_used_twice()),
    }
}

pub(super) async fn delete(slot: &Slot, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
    let key = &key.as_bytes()[..];
    let Some(seen) = seen else {
        let gone = slot.execute(Statement::Delete, &[&key]).await? == 1;
        return Ok(if gone { Deleted::Gone } else { Deleted::Missing });
    };
    match conditionally(slot, Statement::DeleteSeen, seen, &[&key, &tag(seen)]).await? {
        Outcome::Written => Ok(Deleted::Gone),
        Outcome::Stale => Ok(Deleted::Stale),
        Outcome::Missing => Ok(Deleted::Missing),
        Outcome::Raced => Err(version_used_twice()),
    }
}

pub(super) async fn replace(
    slot: &Slot,
    old: &StoreKey,
    seen: Version,
    predecessor: Predecessor<'_>,
    new: &StoreKey,
    record: &Record,
) -> Result<Replaced> {
    let (old, new) = (&old.as_bytes()[..], &new.as_bytes()[..]);
    let Columns { version, expires_at, purge_hour, user, payload } = record.into();
    let seen_tag = tag(seen);
    let replace = async |statement, params: Params<'_>| match replaced(slot, statement, seen, params).await? {
        Some(decided) => Ok(decided),
        None => replaced(slot, statement, seen, params).await?.ok_or_else(version_used_twice),
    };
    match predecessor {
        Predecessor::Delete => {
            let params: Params<'_> =
                &[&old, &seen_tag, &new, &version, &expires_at, &purge_hour, &user, &payload];
            replace(Statement::ReplaceDeleting, params).await
        }
        Predecessor::Update(frozen) => {
            let frozen = Columns::from(frozen);
            let params: Params<'_> = &[
                &old,
                &seen_tag,
                &new,
                &version,
                &expires_at,
                &purge_hour,
                &user,
                &payload,
                &frozen.version,
                &frozen.expires_at,
                &frozen.purge_hour,
                &frozen.user,
                &frozen.payload,
            ];
            replace(Statement::ReplaceUpdating, params).await
        }
    }
}

/// Runs a replacement; `None` if it was overtaken, as in [`Outcome::Raced`].
async fn replaced(
    slot: &Slot,
    statement: Statement,
    seen: Version,
    params: Params<'_>,
) -> Result<Option<Replaced>> {
    let row = slot.query_opt(statement, params).await?.ok_or_else(no_row)?;
    if row.try_get(0).map_err(at_run)? {
        return Ok(Some(Replaced::Stored));
    }
    if row.try_get(1).map_err(at_run)? {
        return Ok(Some(Replaced::IdTaken));
    }
    Ok(match row.try_get::<_, Option<i64>>(2).map_err(at_run)? {
        None => Some(Replaced::Missing),
        Some(version) if version == tag(seen) => None,
        Some(_) => Some(Replaced::Stale),
    })
}

pub(super) async fn touch(slot: &Slot, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
    let key = &key.as_bytes()[..];
    let params: Params<'_> = &[&key, &micros(expires_at), &purge_hour(expires_at)];
    let moved = slot.execute(Statement::Touch, params).await? == 1;
    Ok(if moved { Touched::Moved } else { Touched::Missing })
}

pub(super) async fn renew(slot: &Slot, key: &StoreKey, lease: Lease) -> Result<Renewed> {
    let key = &key.as_bytes()[..];
    let params: Params<'_> = &[&key, &token(lease.token), &length(lease.ttl)];
    let extended = slot.execute(Statement::Renew, params).await? == 1;
    Ok(if extended { Renewed::Extended } else { Renewed::Lost })
}

pub(super) async fn release(slot: &Slot, key: &StoreKey, holder: LeaseToken) -> Result<()> {
    slot.execute(Statement::Release, &[&&key.as_bytes()[..], &token(holder)]).await.map(drop)
}

pub(super) async fn set_aside(slot: &Slot, key: &StoreKey) -> Result<()> {
    slot.execute(Statement::SetAside, &[&&key.as_bytes()[..], &SET_ASIDE_MAX]).await.map(drop)
}

/// Deletes records of hours that are over, at most [`PURGE_BATCH`].
pub(super) async fn purge_past_hours(slot: &Slot, limit: usize) -> Result<usize> {
    let limit = count(limit.min(PURGE_BATCH));
    let deleted = slot.execute(Statement::PurgePastHours, &[&limit]).await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}

/// Deletes what has expired among the [`PURGE_BATCH`] records after a key. Returns up to which key it
/// looked, none if it came to the end, and how many are gone.
pub(super) async fn purge_among(
    slot: &Slot,
    after: Option<&StoreKey>,
    limit: NonZeroUsize,
) -> Result<(Option<StoreKey>, usize)> {
    let params: Params<'_> = &[&first_bytes(after), &count(PURGE_BATCH), &count(limit.get())];
    let row = slot.query_opt(Statement::PurgeAmong, params).await?.ok_or_else(no_row)?;
    let last = row.try_get::<_, Option<&[u8]>>(0).map_err(at_run)?;
    let last = last.and_then(|key| key.try_into().ok()).map(StoreKey::from_bytes);
    Ok((last, rows(row.try_get(1).map_err(at_run)?)))
}

fn no_row() -> Error {
    failed(ErrorKind::Unavailable, "PostgreSQL answered with no row")
}

fn version_used_twice() -> Error {
    failed(
        ErrorKind::Unavailable,
        "a record changes and has the same version again: who else writes the table?",
    )
}
