//! The store: calls become commands.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{ToRedisArgs as _, Value};

use super::command::{Names, call, call_on_two, get};
use super::error::{DRIVER, Fault};
use super::layout;
use super::link::Live;
use super::options::{RedisOptions, Servers};
use super::scan::Scan;
use super::scripts::{
    ACQUIRE, CREATE, DELETE, LOAD, RELEASE, RENEW, REPLACE, SET_ASIDE, SETTLE, Script, TOUCH, UPDATE, WATCH,
    answer,
};
use super::start::Started;
use super::waits::{Ticket, Waits};
use crate::error::Result;
use crate::random;
use crate::store::{
    Acquired, Coverage, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor,
    Record, Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// How often a waiter that is told by messages looks all the same: they can get lost.
const LOOK_WHEN_TOLD: Duration = Duration::from_secs(1);

/// Pauses of a waiter that can't be told: short at first, then longer.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Longest lease, a hundred years: the end of it must be a number that the scripts can count to.
const LONGEST_LEASE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long damaged bytes are kept for an operator to look at.
const KEEP_ASIDE: Duration = Duration::from_secs(7 * 86_400);

/// How many neighbouring slots of a cluster are taken to fail together: a 64th of all.
const SLOTS_TOGETHER: usize = 256;

/// Keeps records in Redis or Valkey, for any number of machines.
///
/// A clone is another handle to the same connection.
///
/// # Cancel safety
///
/// A call whose future is dropped happens if it was sent, and does not if it was not.
///
/// # Examples
///
/// ```no_run
/// use steadfast::store::redis::{RedisStore, Servers};
/// use steadfast::store::{Loaded, Store, StoreKey};
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = RedisStore::options().connect(Servers::One("localhost".into(), 6379)).await?;
/// assert_eq!(store.load(&StoreKey::from_bytes([0; 16])).await?, Loaded::Missing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) server: Started,
    pub(super) names: Names,
    /// Whether records lie on several servers, each user's index on one of them.
    pub(super) is_cluster: bool,
    /// How far the purge has come.
    pub(super) sweep: tokio::sync::Mutex<Option<Scan>>,
    waits: Arc<Waits>,
    /// Where this store is told of leases that have ended.
    channel: String,
}

impl RedisStore {
    /// Returns settings to change before [`RedisOptions::connect`].
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// Opens the first connection. The settings were checked.
    pub(super) async fn start(options: RedisOptions, servers: Servers) -> Result<Self> {
        let waits = Arc::<Waits>::default();
        let names = Names::new(&options.prefix);
        let is_cluster = matches!(servers, Servers::Cluster(_));
        let probe = call(&LOAD, names.record(&StoreKey::from_bytes([0; 16])), 0);
        let server = Started::connect(options, servers, &waits, (&LOAD, &probe), &SETTLE).await?;
        let shared = Shared {
            server,
            is_cluster,
            sweep: tokio::sync::Mutex::default(),
            channel: names.channel(random::unique()),
            names,
            waits,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Calls a script.
    pub(super) async fn call(&self, script: &Script, cmd: &redis::Cmd) -> Result<Value, Fault> {
        self.shared.server.link.call(script, cmd).await
    }

    /// Calls a script that answers with a number.
    async fn ask(&self, script: &Script, cmd: &redis::Cmd) -> Result<i64, Fault> {
        match self.call(script, cmd).await? {
            Value::Int(found) if found < 0 => {
                Err(layout::not_ours(u8::try_from(-1 - found).map_err(|_| Fault::Nonsense)?))
            }
            Value::Int(answer) => Ok(answer),
            _ => Err(Fault::Nonsense),
        }
    }

    /// Returns the connection, and what time it is at its other end.
    async fn moment(&self) -> Result<Moment, Fault> {
        let live = self.shared.server.link.live().await?;
        let asked = Instant::now();
        let now = live.clock.as_ref().and_then(|clock| clock.at(asked));
        Ok(Moment { live, asked, now })
    }

    /// Tells scripts where the indexes of users are: on the same server, or not.
    fn index(&self) -> &str {
        if self.shared.is_cluster { "" } else { self.shared.names.users() }
    }

    /// Adds a record to the index of its user, which is on another server.
    async fn list(&self, key: &StoreKey, user: Option<&UserKey>) -> Result<(), Fault> {
        let Some(user) = user else { return Ok(()) };
        let mut cmd = redis::cmd("ZADD");
        cmd.arg(self.shared.names.user(user)).arg(0).arg(key.to_hex());
        self.shared.server.link.send(&cmd).await.map(drop)
    }

    /// Writes over a version, and lists the record first if its user is new and in an index elsewhere.
    async fn write(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: Ending,
    ) -> Result<Updated, Fault> {
        let mut index = self.index();
        loop {
            let mut cmd = call(&UPDATE, self.shared.names.record(key), record.payload.len());
            cmd.arg(index).arg(&seen.as_u64().to_be_bytes()).arg(layout::Stored(record));
            cmd.arg(layout::drop_at(record.expires_at));
            match lease {
                Ending::None => cmd.arg("").arg(""),
                Ending::Anybodys => cmd.arg("*").arg(""),
                Ending::Release(token) => cmd.arg(&token.as_u64().to_be_bytes()).arg(""),
                Ending::Renew(Lease { token, ttl }) => {
                    cmd.arg(&token.as_u64().to_be_bytes()).arg(micros(ttl))
                }
            };
            match self.ask(&UPDATE, &cmd).await? {
                answer::DONE => return Ok(Updated::Stored),
                answer::STALE => return Ok(Updated::Stale),
                answer::MISSING => return Ok(Updated::Missing),
                answer::UNLISTED => self.list(key, record.user.as_ref()).await?,
                _ => return Err(Fault::Nonsense),
            }
            index = "-";
        }
    }

    /// Creates a record that no index of its server lists.
    async fn create_unlisted(&self, key: &StoreKey, record: &Record) -> Result<Created, Fault> {
        let mut cmd = redis::Cmd::with_capacity(6, 256 + record.payload.len());
        cmd.arg("SET").arg(self.shared.names.record(key)).arg(layout::Stored(record));
        cmd.arg("NX").arg("PXAT").arg(layout::drop_at(record.expires_at));
        match self.shared.server.link.send(&cmd).await? {
            Value::Okay => Ok(Created::Stored),
            Value::Nil => Ok(Created::IdTaken),
            _ => Err(Fault::Nonsense),
        }
    }

    /// Replaces a record by one on another server: the new one comes first, and goes again if the old one
    /// is not as it was seen.
    async fn replace_apart(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: &Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced, Fault> {
        if self.create_unlisted(new, record).await? == Created::IdTaken {
            return Ok(Replaced::IdTaken);
        }
        let listed = self.list(new, record.user.as_ref());
        let written = async {
            Ok(match predecessor {
                Predecessor::Update(frozen) => match self.write(old, seen, frozen, Ending::Anybodys).await? {
                    Updated::Stored => Replaced::Stored,
                    Updated::Stale => Replaced::Stale,
                    Updated::Missing => Replaced::Missing,
                },
                Predecessor::Delete => match self.remove(old, Some(seen)).await? {
                    Deleted::Gone => Replaced::Stored,
                    Deleted::Stale => Replaced::Stale,
                    Deleted::Missing => Replaced::Missing,
                },
            })
        };
        let (listed, written) = tokio::join!(listed, written);
        let replaced = written?;
        if replaced == Replaced::Stored {
            listed?;
        } else {
            // Gone by now or not, nobody knows its key.
            let _ = self.remove(new, Some(record.version)).await?;
        }
        Ok(replaced)
    }

    async fn replace_together(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: &Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced, Fault> {
        let frozen = match predecessor {
            Predecessor::Delete => None,
            Predecessor::Update(frozen) => Some(*frozen),
        };
        let payload = record.payload.len() + frozen.map_or(0, |frozen| frozen.payload.len());
        let (old, new) = (self.shared.names.record(old), self.shared.names.record(new));
        let mut cmd = call_on_two(&REPLACE, old, new, payload);
        cmd.arg(self.index()).arg(&seen.as_u64().to_be_bytes());
        cmd.arg(layout::Stored(record)).arg(layout::drop_at(record.expires_at));
        match frozen {
            Some(frozen) => cmd.arg(layout::Stored(frozen)).arg(layout::drop_at(frozen.expires_at)),
            None => cmd.arg("").arg(""),
        };
        match self.ask(&REPLACE, &cmd).await? {
            answer::DONE => Ok(Replaced::Stored),
            answer::STALE => Ok(Replaced::Stale),
            answer::MISSING => Ok(Replaced::Missing),
            answer::TAKEN => Ok(Replaced::IdTaken),
            _ => Err(Fault::Nonsense),
        }
    }

    pub(super) async fn remove(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted, Fault> {
        let mut cmd = call(&DELETE, self.shared.names.record(key), 0);
        cmd.arg(self.index());
        match seen {
            Some(seen) => cmd.arg(&seen.as_u64().to_be_bytes()),
            None => cmd.arg(""),
        };
        match self.ask(&DELETE, &cmd).await? {
            answer::DONE => Ok(Deleted::Gone),
            answer::STALE => Ok(Deleted::Stale),
            answer::MISSING => Ok(Deleted::Missing),
            _ => Err(Fault::Nonsense),
        }
    }

    /// Returns when the lease has ended, or nobody can say.
    async fn lease_is_free(&self, key: &StoreKey, ticket: &Ticket<'_>) {
        let mut pause = FIRST_LOOK;
        loop {
            let mut ended = std::pin::pin!(ticket.ended());
            // Before the server is asked: word of a lease that ends meanwhile is not missed.
            ended.as_mut().enable();
            let (left, told) = self.watch(key).await;
            let Some(left) = left.filter(|left| !left.is_zero()) else { return };
            if !told {
                pause = LAST_LOOK.min(pause * 2);
            }
            let look = if told { LOOK_WHEN_TOLD } else { random::jittered(pause) };
            if tokio::time::timeout(look.min(left), ended).await.is_ok() && told {
                return;
            }
        }
    }

    /// Asks how long a lease lasts, and to be told when it ends; returns both answers.
    ///
    /// An error is left to the call that follows, after a pause, so that nobody goes round in circles.
    async fn watch(&self, key: &StoreKey) -> (Option<Duration>, bool) {
        let told = match self.shared.server.link.live().await {
            Ok(live) => live.subscribe(&self.shared.channel).await.is_ok(),
            Err(_) => false,
        };
        let mut cmd = call(&WATCH, self.shared.names.record(key), 0);
        cmd.arg(if told { &self.shared.channel } else { "" });
        match self.ask(&WATCH, &cmd).await {
            Ok(left) => (Some(Duration::from_micros(left.unsigned_abs())), told),
            Err(_) => {
                tokio::time::sleep(FIRST_LOOK).await;
                (None, told)
            }
        }
    }
}

impl Store for RedisStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn keeps_order(&self) -> bool {
        true
    }

    fn coverage(&self) -> Coverage {
        if self.shared.server.evicts { Coverage::BestEffort } else { Coverage::Complete }
    }

    /// Puts neighbouring slots of a cluster together: a node has thousands of them in a row.
    fn fault_domain(&self, key: &StoreKey) -> usize {
        if !self.shared.is_cluster {
            return 0;
        }
        usize::from(self.shared.names.slot(key)) / SLOTS_TOGETHER
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.shared.server.now().await?)
    }

    async fn settle(&self, key: &StoreKey) -> Result<()> {
        let Some(settle) = &self.shared.server.settle else { return Ok(()) };
        Ok(settle.settle(key, &self.shared.names.record(key).to_redis_args().concat()).await?)
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let moment = self.moment().await?;
        let (link, record) = (&self.shared.server.link, self.shared.names.record(key));
        let answer = match moment.now {
            Some(_) => link.send_over(&moment.live, &get(record)).await?,
            None => link.call_over(&moment.live, &LOAD, &call(&LOAD, record, 0)).await?,
        };
        Ok(match answer {
            Value::BulkString(found) => Loaded::Found(moment.found_in(found)?),
            Value::Nil | Value::Int(answer::MISSING) => Loaded::Missing,
            _ => return Err(Fault::Nonsense.into()),
        })
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let moment = self.moment().await?;
        let mut cmd = call(&ACQUIRE, self.shared.names.record(key), 0);
        cmd.arg(&lease.token.as_u64().to_be_bytes()).arg(micros(lease.ttl));
        cmd.arg(moment.now.map(Timestamp::as_micros));
        Ok(match self.shared.server.link.call_over(&moment.live, &ACQUIRE, &cmd).await? {
            Value::BulkString(found) => Acquired::Held(moment.found_in(found)?),
            Value::Int(answer::MISSING) => Acquired::Missing,
            Value::Int(answer::BUSY) => Acquired::Busy,
            _ => return Err(Fault::Nonsense.into()),
        })
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        if self.shared.is_cluster || record.user.is_none() {
            let created = self.create_unlisted(key, record).await?;
            if created == Created::Stored {
                // Nobody has been told of the key yet, so it is early enough.
                self.list(key, record.user.as_ref()).await?;
            }
            return Ok(created);
        }
        let mut cmd = call(&CREATE, self.shared.names.record(key), record.payload.len());
        cmd.arg(self.index()).arg(layout::Stored(record)).arg(layout::drop_at(record.expires_at));
        match self.ask(&CREATE, &cmd).await? {
            answer::DONE => Ok(Created::Stored),
            answer::TAKEN => Ok(Created::IdTaken),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let lease = match lease {
            LeaseEnd::None => Ending::None,
            LeaseEnd::Release(token) => Ending::Release(token),
            LeaseEnd::Renew(lease) => Ending::Renew(lease),
        };
        let updated = self.write(key, seen, record, lease).await?;
        if updated == Updated::Stored {
            self.written(key, Some(record.version));
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
        let replaced = if self.shared.is_cluster {
            self.replace_apart(old, seen, &predecessor, new, record).await?
        } else {
            self.replace_together(old, seen, &predecessor, new, record).await?
        };
        if replaced == Replaced::Stored {
            self.written(new, Some(record.version));
            self.written(
                old,
                match predecessor {
                    Predecessor::Delete => None,
                    Predecessor::Update(frozen) => Some(frozen.version),
                },
            );
        }
        Ok(replaced)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let mut cmd = call(&TOUCH, self.shared.names.record(key), 0);
        cmd.arg(&expires_at.as_micros().to_be_bytes()).arg(layout::drop_at(expires_at));
        match self.ask(&TOUCH, &cmd).await? {
            answer::DONE => Ok(Touched::Moved),
            answer::MISSING => Ok(Touched::Missing),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let mut cmd = call(&RENEW, self.shared.names.record(key), 0);
        cmd.arg(&lease.token.as_u64().to_be_bytes()).arg(micros(lease.ttl));
        match self.ask(&RENEW, &cmd).await? {
            answer::DONE => Ok(Renewed::Extended),
            answer::LOST | answer::MISSING => Ok(Renewed::Lost),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        let mut cmd = call(&RELEASE, self.shared.names.record(key), 0);
        cmd.arg(&token.as_u64().to_be_bytes());
        self.ask(&RELEASE, &cmd).await?;
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        let ticket = self.shared.waits.join(*key);
        // Both ends of the wait are followed by another acquire.
        let _ = tokio::time::timeout(wait, self.lease_is_free(key, &ticket)).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let deleted = self.remove(key, seen).await?;
        if deleted == Deleted::Gone {
            self.written(key, None);
        }
        Ok(deleted)
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let mut cmd = call(&SET_ASIDE, self.shared.names.record(key), 0);
        cmd.arg(KEEP_ASIDE.as_secs() * 1_000);
        self.ask(&SET_ASIDE, &cmd).await?;
        Ok(())
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        Ok(self.list_of_user(user, after, limit).await?)
    }

    /// Removes entries of indexes whose records are gone. Records go by themselves, so it returns zero.
    async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        self.sweep(limit).await?;
        Ok(0)
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.count_all().await?)
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(self.list_all(after, limit).await?)
    }

    async fn sample(&self, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(self.list_some(limit).await?)
    }
}

impl RedisStore {
    /// Notes what an acknowledged write left under a key, for `settle`.
    fn written(&self, key: &StoreKey, version: Option<Version>) {
        if let Some(settle) = &self.shared.server.settle {
            settle.note(
                key,
                version.map(|version| version.as_u64().to_be_bytes()).as_ref().map_or(&[], |v| &v[..]),
            );
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { server, names, is_cluster, sweep: _, waits, channel: _ } = &*self.shared;
        f.debug_struct("RedisStore")
            .field("server", server)
            .field("names", names)
            .field("is_cluster", is_cluster)
            .field("waits", waits)
            .finish()
    }
}

/// What a write does with the lease of its record.
#[derive(Clone, Copy)]
enum Ending {
    None,
    Release(LeaseToken),
    Renew(Lease),
    /// Ends it whoever holds it.
    Anybodys,
}

/// When a record was asked for, and over which connection.
struct Moment {
    live: Arc<Live>,
    asked: Instant,
    /// The server's time, if the connection knows it. Else the server is asked for it with the record.
    now: Option<Timestamp>,
}

impl Moment {
    /// Reads what was found: the record, behind eight bytes of time if that was asked for.
    fn found_in(&self, answer: Vec<u8>) -> Result<Found, Fault> {
        let mut record = Bytes::from(answer);
        let now = match self.now {
            Some(now) => now,
            None => {
                let now = Timestamp::from_micros(layout::number(&record, 0)?);
                record = record.split_off(8);
                if let Some(clock) = &self.live.clock {
                    clock.note(self.asked, Instant::now(), SystemClock.now(), now);
                }
                now
            }
        };
        Ok(Found { record: layout::read(record)?, now })
    }
}

fn micros(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(LONGEST_LEASE).as_micros()).expect("a hundred years of microseconds fit")
}
