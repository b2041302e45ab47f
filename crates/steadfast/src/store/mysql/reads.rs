//! What is read: one prepared statement, one round trip.

use std::num::NonZeroUsize;

use mysql_async::{Row, Value};

use crate::store::{Found, Listed, Loaded, StoreKey, UserKey};
use crate::time::Timestamp;

use super::columns::{bytes, first_key, limit, listed, number, record, timestamp, values};
use super::error::Fault;
use super::link::Link;
use super::sql::{NOW, Sql};

pub(super) async fn now(link: &mut Link) -> Result<Timestamp, Fault> {
    let now: Value = link.first(NOW, Vec::new()).await?.ok_or(Fault::Column)?;
    timestamp(&now)
}

pub(super) async fn load(link: &mut Link, sql: &Sql, key: &StoreKey) -> Result<Loaded, Fault> {
    let Some(row) = link.first::<Row>(&sql.load, vec![bytes(key.as_bytes())]).await? else {
        return Ok(Loaded::Missing);
    };
    let [payload, version, expires_at, user, now] = values(row)?;
    let record = record([payload, version, expires_at, user])?;
    Ok(Loaded::Found(Found { record, now: timestamp(&now)? }))
}

/// Reports whether there is a record.
pub(super) async fn exists(link: &mut Link, sql: &Sql, key: &StoreKey) -> Result<bool, Fault> {
    Ok(link.first::<Value>(&sql.exists, vec![bytes(key.as_bytes())]).await?.is_some())
}

/// Reports whether somebody holds the lease of a record.
pub(super) async fn is_leased(link: &mut Link, sql: &Sql, key: &StoreKey) -> Result<bool, Fault> {
    match link.first::<Value>(&sql.is_leased, vec![bytes(key.as_bytes())]).await? {
        Some(leased) => Ok(number(&leased)? != 0),
        None => Ok(false),
    }
}

pub(super) async fn count(link: &mut Link, sql: &Sql) -> Result<u64, Fault> {
    let count: Value = link.first(&sql.count, Vec::new()).await?.ok_or(Fault::Column)?;
    number(&count)
}

pub(super) async fn of_user(
    link: &mut Link,
    sql: &Sql,
    user: &UserKey,
    after: Option<&StoreKey>,
    rows: NonZeroUsize,
) -> Result<Vec<Listed>, Fault> {
    let Some(first) = first_key(after) else { return Ok(Vec::new()) };
    list(link, &sql.of_user, vec![bytes(user.as_bytes()), first, limit(rows.get())]).await
}

pub(super) async fn page(
    link: &mut Link,
    sql: &Sql,
    after: Option<&StoreKey>,
    rows: NonZeroUsize,
) -> Result<Vec<Listed>, Fault> {
    let Some(first) = first_key(after) else { return Ok(Vec::new()) };
    list(link, &sql.page, vec![first, limit(rows.get())]).await
}

async fn list(link: &mut Link, sql: &str, params: Vec<Value>) -> Result<Vec<Listed>, Fault> {
    // A row that can't be read must not hide the others.
    Ok(link.rows(sql, params).await?.into_iter().filter_map(|row| listed(row).ok()).collect())
}
