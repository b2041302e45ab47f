//! The store: calls become work on a connection.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::random::jittered;
use crate::store::waits::{Ticket, Waits};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record, Renewed,
    Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

use super::config::MysqlOptions;
use super::error::{DRIVER, Fault, When, explain};
use super::lender::Lender;
use super::purge::{self, Position};
use super::replace::Replacement;
use super::schema::Server;
use super::sql::Sql;
use super::{reads, writes};

/// More than what a statement has in its packet beside a payload, in bytes.
const REST_OF_PACKET: usize = 1_024;

/// Keeps records in a table of a MySQL or MariaDB server.
///
/// A clone is another handle to the same pool of connections.
///
/// # Cancel safety
///
/// A call whose future is dropped has happened or has not; the server may still do it after that. Its
/// connection is closed.
///
/// # Examples
///
/// ```no_run
/// use steadfast::store::mysql::MysqlStore;
/// use steadfast::store::{Loaded, Store, StoreKey};
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = MysqlStore::options().host("db.internal").user("app").database("shop").open().await?;
/// assert_eq!(store.load(&StoreKey::from_bytes([0; 16])).await?, Loaded::Missing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MysqlStore {
    shared: Arc<Shared>,
}

struct Shared {
    lender: Lender,
    sql: Sql,
    table: String,
    multi_statements: bool,
    max_allowed_packet: usize,
    poll_interval: Duration,
    waits: Waits,
    purged_to: Position,
}

impl MysqlStore {
    /// Returns settings to change before [`MysqlOptions::open`].
    pub fn options() -> MysqlOptions {
        MysqlOptions::default()
    }

    pub(super) fn new(lender: Lender, options: &MysqlOptions, server: &Server) -> Self {
        Self {
            shared: Arc::new(Shared {
                lender,
                sql: Sql::new(&options.table),
                table: options.table.clone(),
                multi_statements: options.multi_statements,
                max_allowed_packet: server.max_allowed_packet,
                poll_interval: options.poll_interval,
                waits: Waits::default(),
                purged_to: Position::default(),
            }),
        }
    }

    /// Refuses a record that the server would, before it ends the connection over it.
    fn check_size(&self, record: &Record) -> Result<()> {
        if record.payload.len() + REST_OF_PACKET > self.shared.max_allowed_packet {
            return Err(explain(Fault::TooLarge, When::Running));
        }
        Ok(())
    }

    /// Returns when the lease was ended in this process or is seen to be free.
    async fn lease_is_free(&self, key: &StoreKey, ticket: &Ticket<'_>) {
        let Shared { lender, sql, poll_interval, .. } = &*self.shared;
        let mut pause = *poll_interval / 4;
        loop {
            if tokio::time::timeout(jittered(pause), ticket.released()).await.is_ok() {
                return;
            }
            // An error is left to the acquire that follows.
            let leased = lender
                .run(|mut link| async move { (reads::is_leased(&mut link, sql, key).await, link) })
                .await;
            if !matches!(leased, Ok(true)) {
                return;
            }
            pause = (*poll_interval).min(pause * 2);
        }
    }
}

impl Store for MysqlStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    async fn now(&self) -> Result<Timestamp> {
        self.shared.lender.run(|mut link| async move { (reads::now(&mut link).await, link) }).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let Shared { lender, sql, .. } = &*self.shared;
        lender.run(|mut link| async move { (reads::load(&mut link, sql, key).await, link) }).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let Shared { lender, sql, multi_statements, .. } = &*self.shared;
        if *multi_statements {
            lender
                .run(|mut link| async move { (writes::acquire(&mut link, sql, key, lease).await, link) })
                .await
        } else {
            lender.run(|mut link| async move { (writes::acquire_in_two(&mut link, sql, key, lease).await, link) }).await
        }
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        self.check_size(record)?;
        let Shared { lender, sql, .. } = &*self.shared;
        lender.run(|mut link| async move { (writes::create(&mut link, sql, key, record).await, link) }).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        self.check_size(record)?;
        let Shared { lender, sql, waits, .. } = &*self.shared;
        let updated =
            lender
                .run(|mut link| async move {
                    (writes::update(&mut link, sql, key, seen, record, lease).await, link)
                })
                .await?;
        if matches!(lease, LeaseEnd::Release(_)) {
            waits.wake(key);
        }
        Ok(updated)
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        self.check_size(record)?;
        if let Predecessor::Update(frozen) = predecessor {
            self.check_size(frozen)?;
        }
        let Shared { lender, sql, waits, multi_statements, max_allowed_packet, .. } = &*self.shared;
        let longest_text = if *multi_statements { *max_allowed_packet } else { 0 };
        let replacement = &Replacement::new(old, seen, &predecessor, new, record);
        let replaced = lender
            .run(|mut link| async move { (replacement.run(&mut link, sql, longest_text).await, link) })
            .await?;
        waits.wake(old);
        Ok(replaced)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let Shared { lender, sql, .. } = &*self.shared;
        lender
            .run(|mut link| async move { (writes::touch(&mut link, sql, key, expires_at).await, link) })
            .await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let Shared { lender, sql, .. } = &*self.shared;
        lender.run(|mut link| async move { (writes::renew(&mut link, sql, key, lease).await, link) }).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        let Shared { lender, sql, waits, .. } = &*self.shared;
        lender
            .run(|mut link| async move { (writes::release(&mut link, sql, key, token).await, link) })
            .await?;
        waits.wake(key);
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        let ticket = self.shared.waits.join(*key);
        // Both ends of the wait are followed by another acquire.
        let _ = tokio::time::timeout(wait, self.lease_is_free(key, &ticket)).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let Shared { lender, sql, waits, .. } = &*self.shared;
        let deleted = lender
            .run(|mut link| async move { (writes::delete(&mut link, sql, key, seen).await, link) })
            .await?;
        waits.wake(key);
        Ok(deleted)
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let Shared { lender, sql, waits, .. } = &*self.shared;
        lender.run(|mut link| async move { (writes::set_aside(&mut link, sql, key).await, link) }).await?;
        waits.wake(key);
        Ok(())
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        let Shared { lender, sql, .. } = &*self.shared;
        lender
            .run(|mut link| async move { (reads::of_user(&mut link, sql, user, after, limit).await, link) })
            .await
    }

    /// Deletes by statements of at most 500 records, so that others come in between.
    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        let Shared { lender, sql, purged_to, .. } = &*self.shared;
        let mut deleted = 0;
        while deleted < limit.get() {
            let wanted = (limit.get() - deleted).min(purge::BATCH);
            let now_deleted = lender
                .run(|mut link| async move { (purge::purge(&mut link, sql, purged_to, wanted).await, link) })
                .await?;
            deleted += now_deleted;
            if now_deleted < wanted {
                break;
            }
        }
        Ok(deleted)
    }

    async fn count(&self) -> Result<u64> {
        let Shared { lender, sql, .. } = &*self.shared;
        lender.run(|mut link| async move { (reads::count(&mut link, sql).await, link) }).await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let Shared { lender, sql, .. } = &*self.shared;
        lender.run(|mut link| async move { (reads::page(&mut link, sql, after, limit).await, link) }).await
    }
}

impl fmt::Debug for MysqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { table, multi_statements, poll_interval, waits, .. } = &*self.shared;
        f.debug_struct("MysqlStore")
            .field("table", table)
            .field("multi_statements", multi_statements)
            .field("poll_interval", poll_interval)
            .field("waits", waits)
            .finish_non_exhaustive()
    }
}
