//! The store: which server a call is for, and what all calls share.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::error::DRIVER;
use super::keys::{Keys, Name};
use super::leases::Held;
use super::options::MemcachedOptions;
use super::pool::Pool;
use super::records::{Ending, Over, Seen, Written};
use super::ring::Member;
use super::server::Server;
use super::stream::Endpoint;
use crate::error::Result;
use crate::store::recent::Recent;
use crate::store::waits::Waits;
use crate::store::{
    Acquired, Coverage, Created, Deleted, Lease, LeaseEnd, LeaseToken, Listed, Loaded, Predecessor, Record,
    Renewed, Replaced, Store, StoreKey, Touched, Updated, UserKey, Version,
};
use crate::time::Timestamp;

/// How far a node's clock may differ from the second that a server tells, to be taken for right. The server looks at
/// its own clock once a second, is late on a busy machine, and tells whole ones, counted from its start: so it may be
/// ahead, too.
const ORDER_SLACK: Duration = Duration::from_secs(5);

/// Keeps records in the memory of one or several Memcached servers.
///
/// A clone is another handle to the same connections, of which there is one for each server.
///
/// # Cancel safety
///
/// A call whose future is dropped has happened or not: what was handed to a connection is sent.
///
/// # Examples
///
/// ```no_run
/// use steadfast::store::memcached::MemcachedStore;
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = MemcachedStore::options().server("127.0.0.1:11211").connect().await?;
/// let sessions = steadfast::Sessions::builder().store(store);
/// # drop(sessions);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemcachedStore {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) pool: Arc<Pool>,
    pub(super) keys: Keys,
    /// What the server calls the versions that were seen last.
    pub(super) seen: Recent<Seen>,
    /// The leases that were taken here last.
    pub(super) held: Recent<Held>,
    pub(super) waits: Waits,
}

/// Where the items of a session are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) key: &'a StoreKey,
    pub(super) name: Name,
    pub(super) server: &'a Server,
}

impl MemcachedStore {
    /// Returns settings to add servers to, before [`MemcachedOptions::connect`].
    pub fn options() -> MemcachedOptions {
        MemcachedOptions::default()
    }

    /// Connects to the servers. The settings were checked.
    pub(super) async fn start(options: &MemcachedOptions, servers: Vec<(Endpoint, Member)>) -> Result<Self> {
        let keys = Keys::new(&options.prefix);
        let shared = Arc::new(Shared {
            pool: Pool::open(options, options.distribution.unwrap_or_default(), servers, &keys).await?,
            keys,
            seen: Recent::new(),
            held: Recent::new(),
            waits: Waits::default(),
        });
        Ok(Self { shared })
    }
}

impl Shared {
    pub(super) fn place<'a>(&'a self, key: &'a StoreKey) -> Place<'a> {
        let name = Name::of_session(key);
        Place { key, name, server: self.server_of(&name) }
    }

    pub(super) fn server_of(&self, name: &Name) -> &Server {
        self.pool.server(name.as_bytes())
    }

    pub(super) fn index_of_server(&self, name: &Name) -> usize {
        self.pool.index(name.as_bytes())
    }

    async fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        over: Over<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> Result<Replaced> {
        if self.create(new, record).await? == Created::IdTaken {
            return Ok(Replaced::IdTaken);
        }
        let written = self.write_over(&self.place(old), seen, over, Ending::Anybody).await;
        // After an error the old record may have gone, and then the new one must stay.
        let refusal = match written? {
            Written::Done => return Ok(Replaced::Stored),
            Written::Stale => Replaced::Stale,
            Written::Missing => Replaced::Missing,
        };
        let _: Deleted = self.delete(new).await?;
        Ok(refusal)
    }
}

impl Store for MemcachedStore {
    fn driver(&self) -> &'static str {
        DRIVER
    }

    fn keeps_order(&self) -> bool {
        true
    }

    fn clock_slack(&self) -> Duration {
        ORDER_SLACK
    }

    async fn now(&self) -> Result<Timestamp> {
        self.shared.pool.now(&self.shared.keys).await
    }

    /// The servers fail each for itself.
    fn fault_domain(&self, key: &StoreKey) -> usize {
        self.shared.index_of_server(&Name::of_session(key))
    }

    /// The server may have dropped an index that it had no memory for.
    fn coverage(&self) -> Coverage {
        Coverage::BestEffort
    }

    async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        self.shared.load(key).await
    }

    async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        self.shared.acquire(key, lease).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        self.shared.create(key, record).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> Result<Updated> {
        let ending = match lease {
            LeaseEnd::None => Ending::Nobody,
            LeaseEnd::Release(token) => Ending::Release(token),
            LeaseEnd::Renew(lease) => Ending::Renew(lease),
        };
        let written =
            self.shared.write_over(&self.shared.place(key), seen, Over::Put(record), ending).await?;
        Ok(match written {
            Written::Done => Updated::Stored,
            Written::Stale => Updated::Stale,
            Written::Missing => Updated::Missing,
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
        let over = match predecessor {
            Predecessor::Delete => Over::Delete,
            Predecessor::Update(frozen) => Over::Put(frozen),
        };
        self.shared.replace(old, seen, over, new, record).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        self.shared.touch(key, expires_at).await
    }

    async fn renew(&self, key: &StoreKey, lease: Lease) -> Result<Renewed> {
        self.shared.renew(&self.shared.place(key), lease).await
    }

    async fn release(&self, key: &StoreKey, token: LeaseToken) -> Result<()> {
        self.shared.release(&self.shared.place(key), token).await
    }

    async fn released(&self, key: &StoreKey, wait: Duration) {
        // Both ends of the wait are followed by another acquire.
        let _ = tokio::time::timeout(wait, self.shared.lease_is_free(key)).await;
    }

    async fn delete(&self, key: &StoreKey, seen: Option<Version>) -> Result<Deleted> {
        let Some(seen) = seen else { return self.shared.delete(key).await };
        let written =
            self.shared.write_over(&self.shared.place(key), seen, Over::Delete, Ending::Anybody).await?;
        Ok(match written {
            Written::Done => Deleted::Gone,
            Written::Stale => Deleted::Stale,
            Written::Missing => Deleted::Missing,
        })
    }

    async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        self.shared.set_aside(key).await
    }

    async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        self.shared.of_user(user, after, limit).await
    }

    /// Does nothing: the servers drop what has expired by themselves.
    async fn purge(&self, _: NonZeroUsize) -> Result<usize> {
        Ok(0)
    }

    async fn count(&self) -> Result<u64> {
        self.shared.count().await
    }

    async fn page(&self, after: Option<&StoreKey>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        self.shared.page(after, limit).await
    }

    /// Only a dump of everything would find any.
    async fn sample(&self, _: NonZeroUsize) -> Result<Vec<Listed>> {
        Ok(Vec::new())
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { pool, keys, seen, held, waits } = &*self.shared;
        f.debug_struct("MemcachedStore")
            .field("pool", pool)
            .field("keys", keys)
            .field("seen", seen)
            .field("held", held)
            .field("waits", waits)
            .finish()
    }
}
