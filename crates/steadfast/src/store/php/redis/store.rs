//! The store: calls become scripts, and wait for PHP's lock where they have to.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use tokio::time::Instant;

use super::scripts::{
    ACQUIRE, CREATE, DELETE, LOAD, RELEASE, RENEW, REPLACE, SET_ASIDE, SETTLE, TOUCH, UPDATE,
};
use crate::error::{Error, ErrorKind, Result};
use crate::store::php::Site;
use crate::store::php::keys::{Keys, Owner, Place, busy, name_of};
use crate::store::php::polling::until_free;
use crate::store::recent::Recent;
use crate::store::redis::error::{DRIVER, Fault, config_fault};
use crate::store::redis::scripts::{Script, answer};
use crate::store::redis::start::Started;
use crate::store::redis::waits::Waits as Messages;
use crate::store::redis::{RedisOptions, Servers};
use crate::store::waits::Waits;
use crate::store::{
    Acquired, Coverage, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor,
    Record, Renewed, Replaced, SharedName, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// Longest lease, a hundred years: more than Redis can count to is an error.
const LONGEST_LEASE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long damaged bytes are kept for an operator to look at.
const KEEP_ASIDE: Duration = Duration::from_secs(7 * 86_400);

/// Length of what stands before the bytes that a script found: time, time left, SHA-1.
const HEAD: usize = 8 + 8 + 40;

/// Keeps sessions where PHP's Redis handlers keep them, under their lock.
///
/// A clone is another handle to the same connection.
#[derive(Clone)]
pub struct PhpRedisStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) server: Started,
    pub(super) keys: Keys,
    pub(super) site: Site,
    owner: Owner,
    /// What the server calls the bytes that were seen last.
    seen: Recent<Seen>,
    waits: Waits,
}

/// The name of bytes by content, as the scripts compare it.
type Sha1 = [u8; 40];

#[derive(Clone, Copy)]
struct Seen {
    version: Version,
    sha1: Sha1,
}

impl PhpRedisStore {
    /// Connects, and checks the settings, the login and the server.
    ///
    /// `prefix` is that of CodeIgniter's or phpredis' save path, if it sets one; the prefix in `options` is the
    /// native driver's and is not used.
    ///
    /// # Errors
    ///
    /// As [`RedisOptions::connect`], and [`InvalidConfig`](ErrorKind::InvalidConfig) for a cluster, a lifetime
    /// below a second, or a prefix that is no part of a key.
    pub async fn connect(
        options: RedisOptions,
        servers: Servers,
        site: Site,
        prefix: Option<&str>,
    ) -> Result<Self> {
        options.check(&servers)?;
        if matches!(servers, Servers::Cluster(_)) {
            return Err(config_fault(
                "PHP's names of a session and of its lock lie on different nodes of a cluster, so no write can \
                 be made under the lock: keep these sessions on one server, or on sentinels",
            ));
        }
        if site.lifetime < Duration::from_secs(1) {
            return Err(config_fault(
                "the lifetime of sessions is shorter than a second: CodeIgniter's Redis handler takes \
                 `session.gc_maxlifetime` for an `expiration` of 0",
            ));
        }
        let keys = Keys::in_redis(&site, prefix).map_err(config_fault)?;
        let place = keys.place(&SharedName::new(b"0", None).expect("an id"));
        let probe = call(&LOAD, &[&place.data], 0);
        let messages = Arc::<Messages>::default();
        let server = Started::connect(options, servers, &messages, (&LOAD, &probe), &SETTLE).await?;
        let (owner, seen, waits) = (Owner::new(), Recent::new(), Waits::default());
        Ok(Self { shared: Arc::new(Shared { server, keys, site, owner, seen, waits }) })
    }

    fn place(&self, key: &StoreKey) -> Result<Place> {
        Ok(self.shared.keys.place(name_of(key, DRIVER)?))
    }

    async fn ask(&self, script: &Script, cmd: &Cmd) -> Result<Value, Fault> {
        self.shared.server.link.call(script, cmd).await
    }

    /// Calls a script that answers with a number.
    async fn ask_number(&self, script: &Script, cmd: &Cmd) -> Result<i64, Fault> {
        match self.ask(script, cmd).await? {
            Value::Int(answer) => Ok(answer),
            _ => Err(Fault::Nonsense),
        }
    }

    /// Calls a script, again and again while somebody else holds the lock, for `lock_wait` at most.
    async fn ask_when_free(&self, key: &StoreKey, script: &Script, cmd: &Cmd) -> Result<Value> {
        let until = Instant::now() + self.shared.site.lock_wait;
        loop {
            match self.ask(script, cmd).await? {
                Value::Int(answer::BUSY) => {}
                answer => return Ok(answer),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(busy(DRIVER));
            }
            self.released(key, left).await;
        }
    }

    /// Returns what the server calls the bytes of a version, or why there are none.
    async fn sha1_of(&self, key: &StoreKey, seen: Version) -> Result<Result<Sha1, Updated>> {
        if let Some(known) = self.shared.seen.get(key).filter(|known| known.version == seen) {
            return Ok(Ok(known.sha1));
        }
        match self.read(key).await? {
            Some((found, sha1)) if found.record.version == seen => Ok(Ok(sha1)),
            Some(_) => Ok(Err(Updated::Stale)),
            None => Ok(Err(Updated::Missing)),
        }
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<(Found, Sha1)>> {
        let cmd = call(&LOAD, &[&self.place(key)?.data], 0);
        match self.ask(&LOAD, &cmd).await? {
            Value::BulkString(bytes) => Ok(Some(found_in(bytes, self.shared.site.lifetime)?)),
            Value::Int(answer::MISSING) => Ok(None),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    /// Remembers what was found.
    fn found(&self, key: &StoreKey, (found, sha1): (Found, Sha1)) -> Found {
        self.shared.seen.set(key, Seen { version: found.record.version, sha1 });
        found
    }

    /// Remembers what an acknowledged write left, and lets those wait no longer who waited for the lock.
    fn written(&self, key: &StoreKey, payload: &Bytes, sha1: &[u8]) -> Result<(), Fault> {
        let sha1 = sha1.try_into().map_err(|_| Fault::Nonsense)?;
        self.shared.seen.set(key, Seen { version: Version::of_content(payload), sha1 });
        self.ended(key, &sha1);
        Ok(())
    }

    /// Notes that a session has gone with its lock.
    fn gone(&self, key: &StoreKey) {
        self.shared.seen.forget(key);
        self.ended(key, &[]);
    }

    fn ended(&self, key: &StoreKey, left: &[u8]) {
        if let Some(settle) = &self.shared.server.settle {
            settle.note(key, left);
        }
        self.shared.waits.wake(key);
    }

    fn lifetime(&self) -> u64 {
        self.shared.site.lifetime.as_secs()
    }
}

impl Store for PhpRedisStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn keeps_order(&self) -> bool {
        true
    }

    fn coverage(&self) -> Coverage {
        if self.shared.server.evicts { Coverage::BestEffort } else { Coverage::Complete }
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.shared.server.now().await?)
    }

    async fn settle(&self, key: &StoreKey) -> Result<()> {
        let Some(settle) = &self.shared.server.settle else { return Ok(()) };
        Ok(settle.settle(key, self.place(key)?.data.as_bytes()).await?)
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let found = self.read(key).await?;
        Ok(found.map_or(Loaded::Missing, |found| Loaded::Found(self.found(key, found))))
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let place = self.place(key)?;
        let mut cmd = call(&ACQUIRE, &[&place.data, &place.lock], 0);
        cmd.arg(self.shared.owner.value(lease.token)).arg(millis(lease.ttl));
        match self.ask(&ACQUIRE, &cmd).await? {
            Value::BulkString(bytes) => {
                Ok(Acquired::Held(self.found(key, found_in(bytes, self.shared.site.lifetime)?)))
            }
            Value::Int(answer::MISSING) => Ok(Acquired::Missing),
            Value::Int(answer::BUSY) => Ok(Acquired::Busy),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let place = self.place(key)?;
        let mut cmd = call(&CREATE, &[&place.data, &place.lock], record.payload.len());
        cmd.arg(&record.payload[..]).arg(record.expires_at.as_micros()).arg(self.lifetime());
        cmd.arg(self.shared.owner.prefix());
        match self.ask_when_free(key, &CREATE, &cmd).await? {
            Value::BulkString(sha1) => {
                self.written(key, &record.payload, &sha1)?;
                Ok(Created::Stored)
            }
            Value::Int(answer::TAKEN) => Ok(Created::IdTaken),
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
        let sha1 = match self.sha1_of(key, seen).await? {
            Ok(sha1) => sha1,
            Err(otherwise) => return Ok(otherwise),
        };
        let place = self.place(key)?;
        let mut cmd = call(&UPDATE, &[&place.data, &place.lock], record.payload.len());
        cmd.arg(&sha1[..]).arg(&record.payload[..]).arg(record.expires_at.as_micros()).arg(self.lifetime());
        match lease {
            LeaseEnd::None => cmd.arg("").arg(""),
            LeaseEnd::Release(token) => cmd.arg(self.shared.owner.value(token)).arg(""),
            LeaseEnd::Renew(Lease { token, ttl }) => cmd.arg(self.shared.owner.value(token)).arg(millis(ttl)),
        };
        match self.ask_when_free(key, &UPDATE, &cmd).await? {
            Value::BulkString(sha1) => {
                self.written(key, &record.payload, &sha1)?;
                Ok(Updated::Stored)
            }
            Value::Int(answer::STALE) => Ok(Updated::Stale),
            Value::Int(answer::MISSING) => Ok(Updated::Missing),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let sha1 = match self.sha1_of(old, seen).await? {
            Ok(sha1) => sha1,
            Err(Updated::Missing) => return Ok(Replaced::Missing),
            Err(_) => return Ok(Replaced::Stale),
        };
        let (from, to) = (self.place(old)?, self.place(new)?);
        let mut cmd = call(&REPLACE, &[&from.data, &from.lock, &to.data, &to.lock], 2 * record.payload.len());
        cmd.arg(self.shared.owner.prefix()).arg(&sha1[..]).arg(self.lifetime());
        cmd.arg(&record.payload[..]).arg(record.expires_at.as_micros());
        match predecessor {
            Predecessor::Delete => cmd.arg("").arg(""),
            Predecessor::Update(kept) => cmd.arg(&kept.payload[..]).arg(kept.expires_at.as_micros()),
        };
        match self.ask_when_free(old, &REPLACE, &cmd).await? {
            Value::BulkString(sha1) => {
                self.written(new, &record.payload, &sha1)?;
                // What it became is read again by whoever writes to it.
                self.gone(old);
                Ok(Replaced::Stored)
            }
            Value::Int(answer::STALE) => Ok(Replaced::Stale),
            Value::Int(answer::MISSING) => Ok(Replaced::Missing),
            Value::Int(answer::TAKEN) => Ok(Replaced::IdTaken),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let mut cmd = call(&TOUCH, &[&self.place(key)?.data], 0);
        cmd.arg(expires_at.as_micros()).arg(self.lifetime());
        match self.ask_number(&TOUCH, &cmd).await? {
            answer::DONE => Ok(Touched::Moved),
            answer::MISSING => Ok(Touched::Missing),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        let place = self.place(key)?;
        let mut cmd = call(&RENEW, &[&place.data, &place.lock], 0);
        cmd.arg(self.shared.owner.value(lease.token)).arg(millis(lease.ttl));
        match self.ask_number(&RENEW, &cmd).await? {
            answer::DONE => Ok(Renewed::Extended),
            answer::LOST => Ok(Renewed::Lost),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        let place = self.place(key)?;
        let mut cmd = call(&RELEASE, &[&place.data, &place.lock], 0);
        cmd.arg(self.shared.owner.value(token));
        self.ask_number(&RELEASE, &cmd).await?;
        self.shared.waits.wake(key);
        Ok(())
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        // Both ends of the wait are followed by another try, which says what is wrong with a key.
        let Ok(place) = self.place(key) else { return };
        let ticket = self.shared.waits.join(*key);
        let mut exists = redis::cmd("EXISTS");
        exists.arg(&place.lock);
        let is_held = || async { matches!(self.shared.server.link.send(&exists).await, Ok(Value::Int(1))) };
        let _ = tokio::time::timeout(wait, until_free(&ticket, is_held)).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let sha1 = match seen {
            None => None,
            Some(seen) => match self.sha1_of(key, seen).await? {
                Ok(sha1) => Some(sha1),
                Err(Updated::Missing) => return Ok(Deleted::Missing),
                Err(_) => return Ok(Deleted::Stale),
            },
        };
        let place = self.place(key)?;
        let mut cmd = call(&DELETE, &[&place.data, &place.lock], 0);
        cmd.arg(self.shared.owner.prefix()).arg(sha1.as_ref().map_or(&[][..], |sha1| sha1));
        match self.ask_when_free(key, &DELETE, &cmd).await? {
            Value::Int(answer::DONE) => {
                self.gone(key);
                Ok(Deleted::Gone)
            }
            Value::Int(answer::STALE) => Ok(Deleted::Stale),
            Value::Int(answer::MISSING) => Ok(Deleted::Missing),
            _ => Err(Fault::Nonsense.into()),
        }
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let place = self.place(key)?;
        let mut cmd = call(&SET_ASIDE, &[&place.data, &place.lock, &place.damaged()], 0);
        cmd.arg(self.shared.owner.prefix()).arg(millis(KEEP_ASIDE));
        if !matches!(self.ask_when_free(key, &SET_ASIDE, &cmd).await?, Value::Int(answer::STALE)) {
            self.gone(key);
        }
        Ok(())
    }

    async fn of_user(&self, _: &UserKey, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        let message = "sessions that are shared with PHP are listed under no user";
        Err(Error::new(ErrorKind::Unsupported, message).in_driver(DRIVER))
    }

    /// Does nothing: keys go by themselves.
    async fn purge(&self, _: NonZeroUsize) -> Result<usize> {
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

impl fmt::Debug for PhpRedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { server, keys, site, owner: _, seen, waits } = &*self.shared;
        f.debug_struct("PhpRedisStore")
            .field("server", server)
            .field("keys", keys)
            .field("site", site)
            .field("seen", seen)
            .field("waits", waits)
            .finish_non_exhaustive()
    }
}

/// Begins the call of a script; its arguments follow.
fn call(script: &Script, keys: &[&str], payload: usize) -> Cmd {
    let names: usize = keys.iter().map(|key| key.len() + 16).sum();
    let mut cmd = Cmd::with_capacity(12 + keys.len(), 256 + names + payload);
    cmd.arg("EVALSHA").arg(script.digest()).arg(keys.len()).arg(keys);
    cmd
}

/// Reads what a script found, and what the server calls the bytes. A key without an end counts as just used.
pub(super) fn found_in(answer: Vec<u8>, lifetime: Duration) -> Result<(Found, Sha1), Fault> {
    let mut answer = Bytes::from(answer);
    if answer.len() < HEAD {
        return Err(Fault::Nonsense);
    }
    let payload = answer.split_off(HEAD);
    let eight = |at: usize| answer[at..at + 8].try_into().map_err(|_| Fault::Nonsense);
    let now = Timestamp::from_micros(u64::from_be_bytes(eight(0)?));
    let left = u64::try_from(i64::from_be_bytes(eight(8)?)).map_or(lifetime, Duration::from_millis);
    let sha1 = answer[16..HEAD].try_into().map_err(|_| Fault::Nonsense)?;
    let version = Version::of_content(&payload);
    Ok((Found { record: Record { payload, version, expires_at: now + left, user: None }, now }, sha1))
}

/// Returns milliseconds, rounded up: a lock must not end before its lease.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(LONGEST_LEASE).as_micros().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}
