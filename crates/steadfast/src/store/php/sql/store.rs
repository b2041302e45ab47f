//! The store: calls become statements, under CodeIgniter's lock where they write.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::store::php::Site;
use crate::store::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

use super::engine::{Answer, Engine, Failure, Step};
use super::locks::{Grip, Locks, exactly, unexpected};
use super::names::Name;
use super::options::SharedTable;
use super::words::{Row, Words, used_at};

/// Keeps sessions in CodeIgniter's table, under CodeIgniter's locks.
///
/// A clone is another handle to the same connections.
///
/// # Cancel safety
///
/// A call whose future is dropped has happened or has not; the server may still do it after that. Its
/// connection is closed, and a lock that it worked under is free.
pub(in crate::store::php) struct SqlStore<E: Engine> {
    pub(super) locks: Arc<Locks<E>>,
    pub(super) site: Arc<Site>,
}

impl<E: Engine> SqlStore<E> {
    /// Takes an engine whose table was looked at.
    pub(in crate::store::php) fn start(engine: E, table: &SharedTable, timeout: Duration) -> Self {
        let names = super::RowNames::new(table);
        Self { locks: Locks::start(engine, names, timeout), site: Arc::new(table.site.clone()) }
    }

    pub(super) fn words(&self) -> &E::Words {
        self.locks.words()
    }

    fn name(&self, key: &StoreKey) -> Result<Name> {
        self.locks.names.of(key).map_err(|error| error.in_driver(E::Words::DRIVER))
    }

    /// Prepares a record to be stored.
    ///
    /// # Errors
    ///
    /// `TooLarge` for one that the column or a packet can't take: MySQL would cut it, were it not strict.
    fn row<'a>(&self, record: &'a Record) -> Result<Row<'a>> {
        if record.payload.len() > self.words().longest_payload() {
            let message = "the session is larger than the table's column `data` or a packet of the server takes: make it \
                 a MEDIUMBLOB, raise `max_allowed_packet`, or keep less in the session; nothing was written";
            return Err(Error::new(ErrorKind::TooLarge, message).in_driver(E::Words::DRIVER));
        }
        Ok(Row::new(record, self.site.lifetime))
    }

    /// Reads what [`Words::read`] selects.
    fn found(&self, read: Answer) -> Result<Option<Found>> {
        let Some(row) = read.rows.into_iter().next() else { return Ok(None) };
        let (record, rest) = self.record(row)?;
        let now = rest.first().and_then(number).ok_or_else(damaged::<E>)?;
        Ok(Some(Found { record, now: Timestamp::from_micros(now) }))
    }

    /// Reads a record from the first two columns of a row, and returns the others.
    pub(super) fn record(&self, row: Vec<Option<Bytes>>) -> Result<(Record, Vec<Option<Bytes>>)> {
        let mut cells = row.into_iter();
        let payload =
            cells.next().flatten().and_then(|cell| self.words().decoded(cell)).ok_or_else(damaged::<E>)?;
        let used_at = cells.next().as_ref().and_then(number).ok_or_else(damaged::<E>)?;
        let version = Version::of_content(&payload);
        let expires_at = Timestamp::from_micros(used_at) + self.site.lifetime;
        Ok((Record { payload, version, expires_at, user: None }, cells.collect()))
    }

    /// Writes over the version that was seen, and gives the lock back with it if it is not to be kept.
    async fn write(
        &self,
        grip: &mut Grip<'_, E::Link>,
        statement: String,
        name: &Name,
        unlock: bool,
    ) -> Result<Written> {
        let mut steps = vec![Step::One(statement), Step::One(self.words().exists(name))];
        if unlock {
            steps.push(Step::One(self.words().unlock(name)));
        }
        let answers = self.locks.run(grip.link(), steps).await.map_err(unexpected::<E>)?;
        let [written, exists] = [0, 1].map(|n| answers.get(n));
        let unlocked = answers.get(2).is_some_and(Answer::is_yes);
        Ok(Written {
            done: written.is_some_and(|answer| answer.found > 0),
            exists: exists.is_some_and(|answer| !answer.rows.is_empty()),
            unlocked,
        })
    }

    /// Ends a lock that was given back, or failed to be.
    fn close(&self, grip: Grip<'_, E::Link>, unlocked: bool) {
        let link = grip.end();
        if unlocked {
            self.locks.engine.give_back(link);
        }
    }

    async fn locked_create(&self, key: &StoreKey, name: &Name, row: &Row<'_>) -> Result<Created> {
        let mut grip = self.locks.grip(key, name, None, self.site.lock_wait).await?;
        let steps = [self.words().insert(name, row, None), self.words().unlock(name)].map(Step::One);
        let answers = match self.locks.run(grip.link(), steps.into()).await {
            // The column may hold two ids to be equal that differ in their letters' case.
            Err(Failure::Duplicate) => return Ok(Created::IdTaken),
            answers => answers.map_err(unexpected::<E>)?,
        };
        let [inserted, unlocked] = exactly(answers)?;
        self.close(grip, unlocked.is_yes());
        Ok(if inserted.found == 1 { Created::Stored } else { Created::IdTaken })
    }
}

/// What became of a conditional write.
struct Written {
    done: bool,
    exists: bool,
    unlocked: bool,
}

impl<E: Engine> Store for SqlStore<E> {
    fn driver(&self) -> &'static str {
        E::Words::DRIVER
    }

    async fn now(&self) -> Result<Timestamp> {
        let [now] = exactly(self.locks.call(vec![Step::One(self.words().now())]).await?)?;
        let cell = now.rows.first().and_then(|row| row.first());
        cell.and_then(number).map(Timestamp::from_micros).ok_or_else(damaged::<E>)
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let read = Step::One(self.words().read(&self.name(key)?));
        let [read] = exactly(self.locks.call(vec![read]).await?)?;
        Ok(self.found(read)?.map_or(Loaded::Missing, Loaded::Found))
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let name = self.name(key)?;
        if let Some(mut taken) = self.locks.held(key, lease.token).await {
            // A connection that has broken has lost the lock: it is asked for anew.
            if let Ok(read) = self.locks.read_under(taken.lock(), &name).await {
                let Some(found) = self.found(read)? else {
                    self.locks.give_back(taken.end(), &name).await;
                    return Ok(Acquired::Missing);
                };
                taken.keep();
                self.locks.renew(key, lease);
                return Ok(Acquired::Held(found));
            }
        }
        let Some((link, read)) = self.locks.try_and_read(key, &name).await? else {
            return Ok(Acquired::Busy);
        };
        match self.found(read) {
            Ok(Some(found)) => {
                self.locks.hold(*key, lease, link);
                Ok(Acquired::Held(found))
            }
            nothing => {
                self.locks.give_back(link, &name).await;
                nothing.map(|_| Acquired::Missing)
            }
        }
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let (name, row) = (self.name(key)?, self.row(record)?);
        self.locked_create(key, &name, &row).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let (name, row) = (self.name(key)?, self.row(record)?);
        let token = match lease {
            LeaseEnd::None => None,
            LeaseEnd::Release(token) => Some(token),
            LeaseEnd::Renew(lease) => Some(lease.token),
        };
        let mut grip = self.locks.grip(key, &name, token, self.site.lock_wait).await?;
        let keep = grip.is_held() && matches!(lease, LeaseEnd::Renew(_));
        let written = self.write(&mut grip, self.words().update(&name, seen, &row), &name, !keep).await?;
        match (grip, lease) {
            (Grip::Held(taken), LeaseEnd::Renew(lease)) => {
                taken.keep();
                self.locks.renew(key, lease);
            }
            (grip, _) => self.close(grip, written.unlocked),
        }
        Ok(match written {
            Written { done: true, .. } => Updated::Stored,
            Written { exists: true, .. } => Updated::Stale,
            _ => Updated::Missing,
        })
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let (old_name, new_name, row) = (self.name(old)?, self.name(new)?, self.row(record)?);
        let frozen = match predecessor {
            Predecessor::Delete => None,
            Predecessor::Update(frozen) => Some(self.row(frozen)?),
        };
        self.locked_replace(old, &old_name, seen, frozen.as_ref(), &new_name, &row).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let touch = self.words().touch(&self.name(key)?, used_at(expires_at, self.site.lifetime));
        let [touched] = exactly(self.locks.call(vec![Step::One(touch)]).await?)?;
        Ok(if touched.found > 0 { Touched::Moved } else { Touched::Missing })
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let name = self.name(key)?;
        let Some(mut taken) = self.locks.held(key, lease.token).await else { return Ok(Renewed::Lost) };
        let ask = vec![Step::One(self.words().still_locked(&name))];
        let answers = self.locks.run(taken.lock(), ask).await;
        // A connection that does not answer is closed, and with it goes the lock.
        if !matches!(answers, Ok(answers) if answers.last().is_some_and(Answer::is_yes)) {
            return Ok(Renewed::Lost);
        }
        taken.keep();
        Ok(if self.locks.renew(key, lease) { Renewed::Extended } else { Renewed::Lost })
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        let name = self.name(key)?;
        if let Some(taken) = self.locks.held(key, token).await {
            self.locks.give_back(taken.end(), &name).await;
        }
        Ok(())
    }

    /// Waits in the engine's queue, with PHP's processes.
    async fn released(&self, key: &StoreKey, wait: Duration) {
        // A key without a name is left to the acquire that follows, which says so.
        if let Ok(name) = self.name(key) {
            self.locks.win(key, &name, wait).await;
        }
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let name = self.name(key)?;
        let mut grip = self.locks.any_grip(key, &name, self.site.lock_wait).await?;
        let unlock = !grip.is_held();
        let written = self.write(&mut grip, self.words().delete(&name, seen), &name, unlock).await?;
        match grip {
            Grip::Own(_) => self.close(grip, written.unlocked),
            // The holder goes on, unless there is nothing left to hold.
            Grip::Held(taken) if written.exists => taken.keep(),
            Grip::Held(taken) => self.locks.give_back(taken.end(), &name).await,
        }
        Ok(match written {
            Written { done: true, .. } => Deleted::Gone,
            Written { exists: true, .. } => Deleted::Stale,
            _ => Deleted::Missing,
        })
    }

    /// Keeps the row under another id, for a week, where CodeIgniter does not look.
    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let name = self.name(key)?;
        let mut grip = self.locks.any_grip(key, &name, self.site.lock_wait).await?;
        // Without the lock nobody here has looked at what is there now: then only what the columns can't mean is moved.
        let is_damaged =
            grip.is_held() || self.found(self.locks.read_under(grip.link(), &name).await?).is_err();
        if is_damaged {
            let steps = vec![Step::Together(self.words().set_aside(&name).into())];
            self.locks.run(grip.link(), steps).await.map_err(unexpected::<E>)?;
        }
        self.locks.give_back(grip.end(), &name).await;
        Ok(())
    }

    async fn of_user(&self, _: &UserKey, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        let message = "CodeIgniter's table has no index of users";
        Err(Error::new(ErrorKind::Unsupported, message).in_driver(E::Words::DRIVER))
    }

    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.purge_rows(limit).await
    }

    async fn count(&self) -> Result<u64> {
        let [count] =
            exactly(self.locks.call(vec![Step::One(self.words().count(self.locks.names.prefix()))]).await?)?;
        let cell = count.rows.first().and_then(|row| row.first());
        cell.and_then(number).ok_or_else(damaged::<E>)
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let after = after.map(|key| self.name(key)).transpose()?;
        self.page_of_rows(after, limit).await
    }
}

impl<E: Engine> Clone for SqlStore<E> {
    fn clone(&self) -> Self {
        Self { locks: Arc::clone(&self.locks), site: Arc::clone(&self.site) }
    }
}

impl<E: Engine> fmt::Debug for SqlStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("locks", &self.locks).field("site", &self.site).finish()
    }
}

/// Reads a number that is never negative; a time before 1970 is none.
fn number(cell: &Option<Bytes>) -> Option<u64> {
    let digits = std::str::from_utf8(cell.as_ref()?).ok()?;
    match digits.strip_prefix('-') {
        Some(_) => Some(0),
        None => digits.parse().ok(),
    }
}

fn damaged<E: Engine>() -> Error {
    Error::new(ErrorKind::Corrupt, "a column of the row holds what CodeIgniter never writes")
        .in_driver(E::Words::DRIVER)
}
