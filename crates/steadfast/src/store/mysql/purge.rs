//! Deleting what has expired, a bounded number at a time.
//!
//! The keys are read without a lock, and deleted by the primary key in its order, each only if it has expired
//! by the time of the deletion. So no purge waits for another one, two of them count each record once, and a
//! record that was touched in between stays.

use std::sync::{Mutex, PoisonError};

use mysql_async::Value;

use crate::store::StoreKey;

use super::columns::{bytes, key_of, limit, number, values};
use super::error::Fault;
use super::link::Link;
use super::sql::Sql;

/// Most records that one statement looks at or deletes: others wait for its locks some milliseconds at most.
pub(super) const BATCH: usize = 500;

/// Up to where the purges of this store looked at the records of the present hour.
#[derive(Default)]
pub(super) struct Position(Mutex<Option<StoreKey>>);

impl Position {
    fn get(&self) -> Option<StoreKey> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, position: Option<StoreKey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

/// Deletes expired records, at most `most` and at most [`BATCH`].
///
/// Records of past hours are found by the index and need no look. Of the present hour's a bounded number is
/// looked at, from where the last purge stopped; what is missed waits for the next hour.
pub(super) async fn purge(
    link: &mut Link,
    sql: &Sql,
    position: &Position,
    most: usize,
) -> Result<usize, Fault> {
    let most = most.min(BATCH);
    let mut keys = Vec::new();
    for row in link.rows(&sql.expired_before_this_hour, vec![limit(most)]).await? {
        let [key] = values(row)?;
        keys.push(key_of(key)?);
    }
    if keys.is_empty() {
        keys = expired_in_this_hour(link, sql, position, most).await?;
    }
    if keys.is_empty() {
        return Ok(0);
    }
    keys.sort_unstable();
    let deleted = link.send(sql.delete_expired(&keys)).await?;
    Ok(usize::try_from(deleted[0]).unwrap_or(most))
}

/// Lists expired records of the present hour, at most `most` of the next [`BATCH`] records.
async fn expired_in_this_hour(
    link: &mut Link,
    sql: &Sql,
    position: &Position,
    most: usize,
) -> Result<Vec<StoreKey>, Fault> {
    let start = position.get().unwrap_or(StoreKey::from_bytes([0; 16]));
    let looked_at = link.rows(&sql.of_this_hour, vec![bytes(start.as_bytes()), limit(BATCH)]).await?;
    // The end was reached: the next purge begins anew.
    let mut next = None;
    let whole = looked_at.len() < BATCH;
    let mut keys = Vec::new();
    for row in looked_at {
        let [key, expired]: [Value; 2] = values(row)?;
        let key = key_of(key)?;
        if keys.len() == most {
            next = Some(key);
            break;
        }
        if number(&expired)? != 0 {
            keys.push(key);
        }
        if !whole {
            next = Some(key);
        }
    }
    position.set(next);
    Ok(keys)
}
