//! What is written: conditional statements, each a transaction of its own, one round trip where nothing is
//! in the way.
//!
//! Where a statement found no row, a second one asks whether that is because there is no record.

use mysql_async::{Row, Value};

use crate::store::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Record, Renewed, StoreKey, Touched,
    Updated, Version,
};
use crate::time::Timestamp;

use super::columns::{bytes, limit, micros_of, number, purge_hour, record, stored, timestamp, values};
use super::error::Fault;
use super::link::Link;
use super::reads::exists;
use super::sql::{BEGIN, COMMIT, Sql};

/// Damaged records that are kept for an operator.
const SET_ASIDE_MAX: usize = 100;

/// Takes the lease and reads the record, by two statements at once.
pub(super) async fn acquire(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    lease: Lease,
) -> Result<Acquired, Fault> {
    let row = link.send_for_row(sql.acquire(key, lease)).await?;
    acquired(row)
}

/// Takes the lease and reads the record, by one statement after the other.
pub(super) async fn acquire_in_two(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    lease: Lease,
) -> Result<Acquired, Fault> {
    let (token, ttl) = (Value::UInt(lease.token.as_u64()), Value::UInt(micros_of(lease.ttl)));
    let key = bytes(key.as_bytes());
    link.change(&sql.take_lease, vec![token.clone(), ttl, key.clone(), token.clone()]).await?;
    acquired(link.first(&sql.load_as_holder, vec![token.clone(), token, key]).await?)
}

/// Reads the row of an acquire. The lease was taken if its token is ours, by whichever statement came
/// through: after that it can only be lost to its time or by our own doing.
fn acquired(row: Option<Row>) -> Result<Acquired, Fault> {
    let Some(row) = row else { return Ok(Acquired::Missing) };
    let [payload, version, expires_at, user, now, ours] = values(row)?;
    if number(&ours)? == 0 {
        return Ok(Acquired::Busy);
    }
    let record = record([payload, version, expires_at, user])?;
    Ok(Acquired::Held(Found { record, now: timestamp(&now)? }))
}

pub(super) async fn create(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    record: &Record,
) -> Result<Created, Fault> {
    let mut params = stored(record);
    params.push(bytes(key.as_bytes()));
    match link.change(&sql.create, params).await {
        Ok(_) => Ok(Created::Stored),
        Err(fault) if fault.is_duplicate() => Ok(Created::IdTaken),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn update(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    seen: Version,
    record: &Record,
    lease: LeaseEnd,
) -> Result<Updated, Fault> {
    let mut params = stored(record);
    let statement = match lease {
        LeaseEnd::None => &sql.update,
        LeaseEnd::Release(token) => {
            params.push(Value::UInt(token.as_u64()));
            &sql.update_and_release
        }
        LeaseEnd::Renew(Lease { token, ttl }) => {
            params.extend([Value::UInt(token.as_u64()), Value::UInt(micros_of(ttl))]);
            &sql.update_and_renew
        }
    };
    params.extend([bytes(key.as_bytes()), Value::UInt(seen.as_u64())]);
    if link.change(statement, params).await? == 1 {
        return Ok(Updated::Stored);
    }
    Ok(if exists(link, sql, key).await? { Updated::Stale } else { Updated::Missing })
}

pub(super) async fn touch(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    expires_at: Timestamp,
) -> Result<Touched, Fault> {
    let params = vec![
        Value::UInt(expires_at.as_micros()),
        Value::UInt(purge_hour(expires_at).into()),
        bytes(key.as_bytes()),
    ];
    Ok(if link.change(&sql.touch, params).await? == 1 { Touched::Moved } else { Touched::Missing })
}

pub(super) async fn renew(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    lease: Lease,
) -> Result<Renewed, Fault> {
    let Lease { token, ttl } = lease;
    let params = vec![Value::UInt(micros_of(ttl)), bytes(key.as_bytes()), Value::UInt(token.as_u64())];
    Ok(if link.change(&sql.renew, params).await? == 1 { Renewed::Extended } else { Renewed::Lost })
}

pub(super) async fn release(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    token: LeaseToken,
) -> Result<(), Fault> {
    link.change(&sql.release, vec![bytes(key.as_bytes()), Value::UInt(token.as_u64())]).await.map(drop)
}

pub(super) async fn delete(
    link: &mut Link,
    sql: &Sql,
    key: &StoreKey,
    seen: Option<Version>,
) -> Result<Deleted, Fault> {
    let its_key = bytes(key.as_bytes());
    let deleted = match seen {
        None => link.change(&sql.delete, vec![its_key]).await?,
        Some(seen) => link.change(&sql.delete_seen, vec![its_key, Value::UInt(seen.as_u64())]).await?,
    };
    if deleted == 1 {
        return Ok(Deleted::Gone);
    }
    Ok(if seen.is_some() && exists(link, sql, key).await? { Deleted::Stale } else { Deleted::Missing })
}

pub(super) async fn set_aside(link: &mut Link, sql: &Sql, key: &StoreKey) -> Result<(), Fault> {
    link.expect_transaction();
    link.send(BEGIN.to_owned()).await?;
    if link.change(&sql.set_aside, vec![bytes(key.as_bytes())]).await? == 1 {
        link.change(&sql.delete, vec![bytes(key.as_bytes())]).await?;
        link.change(&sql.forget_oldest, vec![limit(SET_ASIDE_MAX)]).await?;
    }
    link.send(COMMIT.to_owned()).await?;
    link.transaction_ended();
    Ok(())
}
