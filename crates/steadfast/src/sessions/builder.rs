//! Puts sessions together: policy, store, clock, listener.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Sessions, dsn, purge_every};
use crate::carrier::Carrier;
#[cfg(feature = "cookie")]
use crate::carrier::NoStore;
use crate::error::Result;
use crate::events::{Event, Listener, Observer};
use crate::lifecycle::{Core, Skew};
#[cfg(feature = "cookie")]
use crate::policy::Concurrency;
#[cfg(any(feature = "cookie", feature = "php", feature = "sqlite"))]
use crate::policy::Layout;
use crate::policy::Policy;
use crate::store::guard::Guarded;
use crate::store::{SharedStore, Store};
use crate::time::{Clock, SystemClock};

/// How often expired records are removed, unless set otherwise.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// For how long a driver that is shared with PHP waits within a call for PHP's lock. The life cycle itself waits
/// for longer, between calls.
#[cfg(feature = "php")]
const DRIVER_LOCK_WAIT: Duration = Duration::from_millis(250);

/// Puts [`Sessions`] together.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Policy, Sessions};
///
/// # async fn example() -> steadfast::Result<()> {
/// let policy = Policy::builder().idle_timeout(Duration::from_secs(15 * 60)).build()?;
/// let sessions = Sessions::builder().policy(policy).connect("memory:").await?;
/// # drop(sessions);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct SessionsBuilder {
    policy: Policy,
    clock: Arc<dyn Clock>,
    listener: Option<Listener>,
    purge_every: Option<Duration>,
    before: Option<Sessions>,
    /// The store goes by the very clock that is set here, so there is nothing to compare.
    one_clock: bool,
}

impl Default for SessionsBuilder {
    fn default() -> Self {
        let clock = Arc::new(SystemClock);
        let purge_every = Some(PURGE_EVERY);
        Self { policy: Policy::default(), clock, listener: None, purge_every, before: None, one_clock: false }
    }
}

impl SessionsBuilder {
    /// Sets how sessions behave.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the clock, which embedded drivers that are opened by [`connect`](Self::connect) use, too.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets a listener, which is called for every event, on the thread where it happens. It must be quick.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::{EventKind, Sessions};
    ///
    /// # async fn example() -> steadfast::Result<()> {
    /// let sessions = Sessions::builder()
    ///     .on_event(|event| {
    ///         if let EventKind::Anomaly(anomaly) = event.kind {
    ///             eprintln!("{} on session {:?}", anomaly.as_str(), event.tag());
    ///         }
    ///     })
    ///     .connect("memory:")
    ///     .await?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Sets how often expired records are removed in the background: every minute by default, `None` for
    /// never, if something else calls [`Sessions::purge`].
    #[doc(alias = "sess_gc_probability")]
    pub fn purge_every(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.purge_every = interval.into();
        self
    }

    /// Sets where sessions were before: in another store, in another layout, or under another cookie.
    ///
    /// A visitor whose cookie opens no session here is looked for there; the session is moved, with its values and
    /// whoever is signed in, and the browser gets a cookie of now. Nobody is signed out, and users are listed and
    /// revoked on both sides. [`import`](Sessions::import) moves sessions without waiting for their visitors. Once
    /// nothing is left there, remove this setting; the way back is to exchange the two.
    ///
    /// `docs/moving-from-codeigniter.md` says in which order nodes are updated.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::{Policy, Sessions};
    ///
    /// # async fn example() -> steadfast::Result<()> {
    /// let before = Sessions::connect("memory:").await?;
    /// let policy = Policy::builder().cookie_name("__Host-id").build()?;
    /// let sessions = Sessions::builder().policy(policy).migrate_from(before).connect("memory:").await?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    pub fn migrate_from(mut self, before: Sessions) -> Self {
        self.before = Some(before);
        self
    }

    /// Opens the store that a connection string names.
    ///
    /// # Errors
    ///
    /// As [`Sessions::connect`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind but an empty store.
    pub async fn connect(mut self, dsn: &str) -> Result<Sessions> {
        if self.before.as_ref().is_some_and(|before| before.core.carrier.is_some()) {
            return Err(cannot_migrate("travel in cookies, so there is no store to migrate from"));
        }
        #[cfg(feature = "cookie")]
        if dsn::is_carried(dsn)? {
            return self.in_cookies();
        }
        let store = dsn::open(dsn, &self).await?;
        self.one_clock = !store.is_remote();
        #[cfg(feature = "sealed")]
        crate::seal::check_at_start(&store, self.policy.sealing.ring.as_ref()).await?;
        let sessions = self.build(store);
        sessions.core.measure_skew().await?;
        if let Some(import) = &sessions.core.import {
            import.check(&sessions.core).await?;
        }
        Ok(sessions)
    }

    /// Takes a store. Called within a runtime.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, which renews leases and purges.
    pub fn store(self, store: impl Store) -> Sessions {
        let store = self.shared(store);
        self.build(store)
    }

    /// Shares a store, guarded if it is across a network.
    pub(super) fn shared(&self, store: impl Store) -> SharedStore {
        if !store.is_remote() {
            return SharedStore::new(store);
        }
        let observer = self.observer(store.driver());
        SharedStore::new(Guarded::new(store, self.policy.guard(), observer))
    }

    /// Returns the clock that embedded drivers read.
    pub(super) fn clock_of_store(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Returns what PHP's programs have agreed on, if the layout is shared with them.
    #[cfg(feature = "php")]
    pub(super) fn site(&self) -> Option<crate::store::php::Site> {
        let Policy { layout, cookie, idle_timeout, .. } = &self.policy;
        (*layout != Layout::Native).then(|| crate::store::php::Site {
            layout: *layout,
            cookie_name: cookie.name.clone(),
            lifetime: *idle_timeout,
            lock_wait: DRIVER_LOCK_WAIT,
        })
    }

    /// Reports whether the client's address is a part of the names of records.
    #[cfg(feature = "php")]
    pub(super) fn names_have_addresses(&self) -> bool {
        self.policy.match_ip.is_some()
    }

    /// Refuses a layout that is shared with PHP, for a driver of which PHP has none.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the policy asks for one.
    #[cfg(any(feature = "cookie", feature = "sqlite"))]
    pub(super) fn refuse_layouts(&self, driver: &str) -> Result<()> {
        if self.policy.layout == Layout::Native {
            return Ok(());
        }
        Err(crate::Error::new(
            crate::ErrorKind::InvalidConfig,
            format!(
                "the layout `{}` has no driver `{driver}`; its sessions are in files, MySQL, PostgreSQL, Redis or Memcached",
                self.policy.layout.as_str()
            ),
        ))
    }

    fn observer(&self, driver: &'static str) -> Observer {
        Observer::new(self.listener.clone(), driver, self.policy.node.as_deref())
    }

    /// Keeps no sessions: each travels in the cookies of its visitor, sealed with the policy's key ring.
    ///
    /// As `connect("cookie:")` does. There is nothing to lock, so all requests are merged ones, the last response
    /// wins, and [`Exclusive`](crate::axum::Exclusive) is [`Unsupported`](crate::ErrorKind::Unsupported). Nothing
    /// can be listed or revoked either, and a copied cookie is good until its session would have ended. The page
    /// `docs/drivers/cookie.md` says what is given up, and for whom it is the right choice all the same.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) without a [key
    /// ring](crate::PolicyBuilder::key_ring).
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::{KeyRing, Policy, Sessions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), steadfast::Error> {
    /// let ring = KeyRing::from_text("1vBTuoQU1GAXp1ImVOp2HQYGOYdvKtdXZ6SVGuTJxCU=")?;
    /// let policy = Policy::builder().key_ring(ring).build()?;
    /// let sessions = Sessions::builder().policy(policy).in_cookies()?;
    /// assert!(sessions.revoke("alice").await.is_err(), "nobody knows where her sessions are");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "cookie")]
    pub fn in_cookies(mut self) -> Result<Sessions> {
        self.refuse_layouts("cookie")?;
        if self.before.is_some() {
            return Err(cannot_migrate("can't move into cookies; start with new ones"));
        }
        let Some(ring) = &self.policy.sealing.ring else {
            return Err(crate::Error::new(
                crate::ErrorKind::InvalidConfig,
                "the driver `cookie` needs a `key_ring`; make a key with `openssl rand -base64 32`",
            ));
        };
        let carrier = Carrier::new(&self.policy, ring);
        // Nobody can be kept waiting by a session that nobody holds, and a copy does not rotate.
        self.policy.concurrency = Concurrency::Merge;
        self.policy.rotate_every = None;
        let store = SharedStore::new(NoStore(Arc::clone(&self.clock)));
        Ok(self.start(store, Some(carrier)))
    }

    fn build(self, store: SharedStore) -> Sessions {
        #[cfg(feature = "sealed")]
        let store = crate::seal::wrap(store, &self.policy.sealing);
        self.start(store, None)
    }

    fn start(self, store: SharedStore, carrier: Option<Carrier>) -> Sessions {
        let observer = self.observer(store.driver());
        let before = self.before.map(|before| before.core).filter(|core| core.carrier.is_none());
        let skew = if self.one_clock { Skew::none() } else { Skew::of(&store) };
        let core = Core::new(self.policy, store, carrier, (self.clock, skew), observer, before);
        core.renew_leases();
        core.watch_clock();
        if let Some(interval) = self.purge_every {
            purge_every(&core, interval.max(Duration::from_millis(1)));
        }
        Sessions { core }
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .field("purge_every", &self.purge_every)
            .finish_non_exhaustive()
    }
}

fn cannot_migrate(why: &str) -> crate::Error {
    crate::Error::new(crate::ErrorKind::InvalidConfig, format!("`migrate_from`: the sessions {why}"))
}
