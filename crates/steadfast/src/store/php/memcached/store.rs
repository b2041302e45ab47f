//! The store: calls become commands, and wait for PHP's lock where they have to.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use super::ask::{At, Command, Replies};
use super::locks::{Hold, Whose};
use super::value::plain;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Layout;
use crate::store::memcached::error::{DRIVER, config_fault, failed, refused};
use crate::store::memcached::item::{LONGEST_RELATIVE, Lifetime};
use crate::store::memcached::keys::Keys as NativeKeys;
use crate::store::memcached::pool::Pool;
use crate::store::memcached::reply::{Code, Reply};
use crate::store::memcached::{Distribution, MemcachedOptions};
use crate::store::php::Site;
use crate::store::php::keys::{Keys, Owner};
use crate::store::recent::Recent;
use crate::store::waits::Waits;
use crate::store::{
    Acquired, Coverage, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor,
    Record, Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// How often a write is tried again because somebody stored the same bytes anew meanwhile.
const TRIES: usize = 8;

/// How long damaged bytes are kept for an operator, in seconds: a week.
const KEPT_ASIDE: u32 = 7 * 86_400;

/// Keeps sessions where PHP's Memcached handlers keep them, under their lock.
///
/// A clone is another handle to the same connections.
#[derive(Clone)]
pub struct PhpMemcachedStore {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) pool: Arc<Pool>,
    /// Names the item that tells a server's time, which is no session's.
    pub(super) clock: NativeKeys,
    pub(super) keys: Keys,
    pub(super) site: Site,
    pub(super) owner: Owner,
    /// What the server calls the bytes that were seen last.
    seen: Recent<Seen>,
    pub(super) waits: Waits,
}

#[derive(Clone, Copy)]
struct Seen {
    version: Version,
    cas: NonZeroU64,
}

/// What to do to a session.
#[derive(Clone, Copy)]
enum Over<'a> {
    Put(&'a Record),
    Delete,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    Stale,
    Missing,
}

impl PhpMemcachedStore {
    /// Connects to the servers, and checks the settings.
    ///
    /// `prefix` is `memcached.sess_prefix` where it is set, or another prefix of the site's. A lifetime of zero
    /// means for ever, as to CodeIgniter. Unless set, the distribution is the one that PHP's handler uses by
    /// default: the remainder with CodeIgniter, a ring without weights with PHP's own.
    ///
    /// # Errors
    ///
    /// As [`MemcachedOptions::connect`], and [`InvalidConfig`](ErrorKind::InvalidConfig) for a prefix that is no
    /// part of a key.
    pub async fn connect(options: MemcachedOptions, site: Site, prefix: Option<&str>) -> Result<Self> {
        let servers = options.check()?;
        let keys = Keys::in_memcached(&site, prefix).map_err(config_fault)?;
        let usual = if site.layout == Layout::Php { Distribution::Unweighted } else { Distribution::Modulo };
        let clock = NativeKeys::new(&options.prefix);
        let pool = Pool::open(&options, options.distribution.unwrap_or(usual), servers, &clock).await?;
        let (owner, seen, waits) = (Owner::new(), Recent::new(), Waits::default());
        Ok(Self { shared: Arc::new(Shared { pool, clock, keys, site, owner, seen, waits }) })
    }
}

impl Shared {
    async fn read(&self, at: &At<'_>) -> Result<Option<Found>> {
        let mut replies = self.ask_with_time(at, &[Command::Read]).await?;
        let data = replies.next();
        self.found(at, data, &replies)
    }

    /// Reads what was found, and remembers what the server calls it.
    pub(super) fn found(&self, at: &At<'_>, data: Reply, replies: &Replies) -> Result<Option<Found>> {
        match data.code {
            Code::Done => {}
            Code::Missing => return Ok(None),
            code => return Err(refused(code)),
        }
        let payload = plain(data.flags, data.value)?;
        let version = Version::of_content(&payload);
        let expires_at = match data.ttl {
            Some(left) => Timestamp::from_micros((replies.second + u64::from(left)) * 1_000_000),
            None if self.site.lifetime.is_zero() => Timestamp::MAX,
            // Somebody made it last for ever; here it counts as just used.
            None => replies.now + self.site.lifetime,
        };
        if let Some(cas) = data.cas {
            self.seen.set(at.key, Seen { version, cas });
        }
        let record = Record { payload, version, expires_at, user: None };
        Ok(Some(Found { record, now: replies.now }))
    }

    async fn create(&self, at: &At<'_>, record: &Record) -> Result<Created> {
        self.check_size(at, record)?;
        let hold = self.hold(at, Whose::Call).await?;
        let add = Command::Add(&record.payload, self.life(at, record.expires_at));
        let mut replies = self.ask(at, &[add, Command::EndLock(hold.cas)]).await?;
        self.waits.wake(at.key);
        let Reply { code, cas, .. } = replies.next();
        match code {
            Code::Done => {
                self.remember(at, &record.payload, cas);
                Ok(Created::Stored)
            }
            Code::NotStored | Code::Changed => Ok(Created::IdTaken),
            code => Err(refused(code)),
        }
    }

    /// Writes over the version that was seen, and ends the lock with it or starts its time anew.
    async fn write_over(
        &self,
        at: &At<'_>,
        seen: Version,
        over: Over<'_>,
        whose: Whose,
        renewed: Option<Duration>,
    ) -> Result<Written> {
        if let Over::Put(record) = over {
            self.check_size(at, record)?;
        }
        for _ in 0..TRIES {
            let hold = self.hold(at, whose).await?;
            let cas = match self.tag_of(at, seen).await? {
                Ok(cas) => cas,
                Err(otherwise) => {
                    self.let_go(at, &hold).await?;
                    return Ok(otherwise);
                }
            };
            match self.try_over(at, over, cas, &hold, renewed).await? {
                Written::Stale if renewed.is_none() => self.take_back(at, &hold).await?,
                Written::Stale => {}
                written => return Ok(written),
            }
            // Another tag, but perhaps the same bytes: they are read again.
            self.seen.forget(at.key);
        }
        Err(failed(ErrorKind::Unavailable, "the session kept changing under a write: it was given up"))
    }

    /// Writes over a tag; `Stale` if the session has another one by now.
    async fn try_over(
        &self,
        at: &At<'_>,
        over: Over<'_>,
        cas: NonZeroU64,
        hold: &Hold,
        renewed: Option<Duration>,
    ) -> Result<Written> {
        let write = match over {
            Over::Put(record) => Command::Put(&record.payload, self.life(at, record.expires_at), cas),
            Over::Delete => Command::Delete(Some(cas)),
        };
        let end = match renewed {
            Some(ttl) => Command::RenewLock(&hold.value, Lifetime::at_least(ttl), hold.cas),
            None => Command::EndLock(hold.cas),
        };
        let mut replies = self.ask(at, &[write, end]).await?;
        let (data, lock) = (replies.next(), replies.next());
        self.waits.wake(at.key);
        match data.code {
            Code::Done => {}
            Code::Missing => return Ok(Written::Missing),
            Code::Changed => return Ok(Written::Stale),
            code => return Err(refused(code)),
        }
        match over {
            Over::Put(record) => self.remember(at, &record.payload, data.cas),
            Over::Delete => self.seen.forget(at.key),
        }
        if lock.code != Code::Done {
            self.look_whether_it_lasts(at, data.cas).await?;
        }
        Ok(Written::Done)
    }

    /// Finds out about a write during which the lock was lost: PHP may have read before it, and write after it.
    ///
    /// Waits until PHP is done, for `lock_wait` at most. If the session then is what was written here, it lasts;
    /// if not, nobody can tell whether PHP knew of it.
    async fn look_whether_it_lasts(&self, at: &At<'_>, written: Option<NonZeroU64>) -> Result<()> {
        let hold = self.hold(at, Whose::Call).await?;
        let mut replies = self.ask(at, &[Command::Read, Command::EndLock(hold.cas)]).await?;
        self.waits.wake(at.key);
        if replies.next().cas == written {
            return Ok(());
        }
        self.seen.forget(at.key);
        Err(failed(
            ErrorKind::Unavailable,
            "PHP took the session's lock while it was held here, and has written since: whether it knew of \
             this write is unknown",
        ))
    }

    /// Returns what the server calls a version, or why there is no such version.
    async fn tag_of(&self, at: &At<'_>, seen: Version) -> Result<Result<NonZeroU64, Written>> {
        if let Some(known) = self.seen.get(at.key).filter(|known| known.version == seen) {
            return Ok(Ok(known.cas));
        }
        Ok(match self.read(at).await? {
            None => Err(Written::Missing),
            Some(found) if found.record.version != seen => Err(Written::Stale),
            Some(_) => self.seen.get(at.key).map(|known| known.cas).ok_or(Written::Stale),
        })
    }

    async fn delete(&self, at: &At<'_>) -> Result<Deleted> {
        let hold = self.hold(at, Whose::Ours).await?;
        let mut replies = self.ask(at, &[Command::Delete(None), Command::EndLock(hold.cas)]).await?;
        self.seen.forget(at.key);
        self.waits.wake(at.key);
        match replies.next().code {
            Code::Done => Ok(Deleted::Gone),
            Code::Missing => Ok(Deleted::Missing),
            code => Err(refused(code)),
        }
    }

    async fn set_aside(&self, at: &At<'_>) -> Result<()> {
        let hold = self.hold(at, Whose::Ours).await?;
        let data = self.ask(at, &[Command::Read]).await?.next();
        // Without the lock nobody here has looked at what is there now: then only what no library of PHP's reads is moved.
        if data.code != Code::Done || (hold.taken && plain(data.flags, data.value.clone()).is_ok()) {
            return self.let_go(at, &hold).await;
        }
        let keep = Command::PutAside(&data.value, Lifetime::Seconds(KEPT_ASIDE));
        self.ask(at, &[keep, Command::Delete(data.cas), Command::EndLock(hold.cas)]).await?;
        self.seen.forget(at.key);
        self.waits.wake(at.key);
        Ok(())
    }

    fn remember(&self, at: &At<'_>, payload: &[u8], cas: Option<NonZeroU64>) {
        if let Some(cas) = cas {
            self.seen.set(at.key, Seen { version: Version::of_content(payload), cas });
        }
    }

    /// Returns for how long an item lasts: whole seconds, rounded up, never longer than the lifetime.
    ///
    /// The server takes more than 30 days for a time of day, which PHP forgets.
    fn life(&self, at: &At<'_>, expires_at: Timestamp) -> Lifetime {
        let lifetime = self.site.lifetime;
        if lifetime.is_zero() {
            return Lifetime::Unlimited;
        }
        let now = at.data.now();
        let left = expires_at.saturating_since(now).as_micros().div_ceil(1_000_000);
        match u64::try_from(left).unwrap_or(u64::MAX).min(lifetime.as_secs()) {
            0 => Lifetime::Over,
            left @ ..=LONGEST_RELATIVE => Lifetime::Seconds(left as u32),
            left => Lifetime::until(now + Duration::from_secs(left)),
        }
    }

    fn check_size(&self, at: &At<'_>, record: &Record) -> Result<()> {
        at.data.check_size(at.place.data.len(), record.payload.len())
    }
}

impl Store for PhpMemcachedStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn keeps_order(&self) -> bool {
        true
    }

    /// The servers fail each for itself.
    fn fault_domain(&self, key: &StoreKey) -> usize {
        let Some(name) = key.shared() else { return 0 };
        let place = self.shared.keys.place(name);
        self.shared.pool.index(self.shared.keys.hashed(&place.data))
    }

    fn coverage(&self) -> Coverage {
        Coverage::BestEffort
    }

    async fn now(&self) -> Result<Timestamp> {
        self.shared.pool.now(&self.shared.clock).await
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let found = self.shared.read(&self.shared.at(key)?).await?;
        Ok(found.map_or(Loaded::Missing, Loaded::Found))
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        self.shared.acquire(&self.shared.at(key)?, lease).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        self.shared.create(&self.shared.at(key)?, record).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let (whose, renewed) = match lease {
            LeaseEnd::None => (Whose::Call, None),
            LeaseEnd::Release(token) => (Whose::Lease(token), None),
            LeaseEnd::Renew(Lease { token, ttl }) => (Whose::Lease(token), Some(ttl)),
        };
        let at = self.shared.at(key)?;
        Ok(match self.shared.write_over(&at, seen, Over::Put(record), whose, renewed).await? {
            Written::Done => Updated::Stored,
            Written::Stale => Updated::Stale,
            Written::Missing => Updated::Missing,
        })
    }

    /// The new session comes first, and is deleted again unless the old one is as it was seen.
    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        let over = match predecessor {
            Predecessor::Delete => Over::Delete,
            Predecessor::Update(kept) => Over::Put(kept),
        };
        let (old, new) = (self.shared.at(old)?, self.shared.at(new)?);
        if self.shared.create(&new, record).await? == Created::IdTaken {
            return Ok(Replaced::IdTaken);
        }
        // After an error the old one may have gone, and then the new one must stay.
        let refusal = match self.shared.write_over(&old, seen, over, Whose::Ours, None).await? {
            Written::Done => return Ok(Replaced::Stored),
            Written::Stale => Replaced::Stale,
            Written::Missing => Replaced::Missing,
        };
        let _: Deleted = self.shared.delete(&new).await?;
        Ok(refusal)
    }

    /// Without the lock, which PHP does not ask for, either.
    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let at = self.shared.at(key)?;
        // The first connection tells the time.
        at.data.link().await?;
        let touch = Command::Touch(self.shared.life(&at, expires_at));
        match self.shared.ask(&at, &[touch]).await?.next().code {
            Code::Done => Ok(Touched::Moved),
            Code::Missing => Ok(Touched::Missing),
            code => Err(refused(code)),
        }
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        self.shared.renew(&self.shared.at(key)?, lease).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.shared.release(&self.shared.at(key)?, token).await
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        // What is wrong with a key is said by the acquire that follows.
        if let Ok(at) = self.shared.at(key) {
            self.shared.released(&at, wait).await;
        }
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let at = self.shared.at(key)?;
        let Some(seen) = seen else { return self.shared.delete(&at).await };
        Ok(match self.shared.write_over(&at, seen, Over::Delete, Whose::Ours, None).await? {
            Written::Done => Deleted::Gone,
            Written::Stale => Deleted::Stale,
            Written::Missing => Deleted::Missing,
        })
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.shared.set_aside(&self.shared.at(key)?).await
    }

    async fn of_user(&self, _: &UserKey, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        Err(unlisted("sessions that are shared with PHP are listed under no user"))
    }

    /// Does nothing: the servers drop what has expired by themselves.
    async fn purge(&self, _: NonZeroUsize) -> Result<usize> {
        Ok(0)
    }

    async fn count(&self) -> Result<u64> {
        Err(unlisted("Memcached keeps no list of the sessions that are shared with PHP"))
    }

    async fn page(&self, _: Option<&StoreKey>, _: NonZeroUsize) -> Result<Vec<Listed>> {
        Err(unlisted("Memcached keeps no list of the sessions that are shared with PHP"))
    }

    async fn sample(&self, _: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(Vec::new())
    }
}

impl fmt::Debug for PhpMemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { pool, clock: _, keys, site, owner: _, seen, waits } = &*self.shared;
        f.debug_struct("PhpMemcachedStore")
            .field("pool", pool)
            .field("keys", keys)
            .field("site", site)
            .field("seen", seen)
            .field("waits", waits)
            .finish_non_exhaustive()
    }
}

fn unlisted(message: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, message).in_driver(DRIVER)
}
