//! The life of a session within a request: opened once, worked on, committed once.
//!
//! `open` reads and lets in, `commit` plans and writes; what is decided is decided in [`crate::plan`].
//! This is the only place that sees both cookies and stores.

mod carried;
mod commit;
mod convert;
mod desk;
mod exchange;
mod form;
mod import;
#[cfg(feature = "php")]
mod moved;
mod off_path;
mod open;
mod prepare;
mod skew;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::carrier::Carrier;
use crate::cookie::CookieWriter;
use crate::error::Result;
use crate::events::{Anomaly, EventKind, Observer};
use crate::layout::PhpLayout;
use crate::policy::Policy;
use crate::record::Header;
use crate::store::{Found, LeaseToken, SharedStore, Store as _, StoreKey};
use crate::time::{Clock, Timestamp};

use desk::Desk;
use off_path::OffPath;
use watch::Watch;

pub(crate) use exchange::{Access, ByKey, Client, Exchange, Opening, Work};
pub(crate) use import::Import;
pub(crate) use prepare::Prepared;
pub(crate) use skew::Skew;
pub(crate) use watch::Watching;

/// A lease is renewed when a third of it has passed, so that one late renewal does not lose it.
const RENEWALS_PER_LEASE: u32 = 3;

/// How many changes of id in a row are followed in a layout that is shared with PHP: more than can be good at
/// a time.
pub(crate) const MAX_HOPS: usize = 3;

/// What all requests share.
pub(crate) struct Core {
    pub(crate) policy: Policy,
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Observer,
    pub(crate) cookies: CookieWriter,
    /// Set where sessions travel in cookies. There is no store then.
    pub(crate) carrier: Option<Carrier>,
    /// Set where the layout is shared with PHP.
    pub(crate) php: Option<PhpLayout>,
    /// Where sessions were before, if they move.
    pub(crate) import: Option<Import>,
    pub(crate) off_path: OffPath,
    pub(crate) watch: Watch,
    skew: Skew,
    desk: Arc<Desk>,
}

impl Core {
    pub(crate) fn new(
        policy: Policy,
        store: SharedStore,
        carrier: Option<Carrier>,
        (clock, skew): (Arc<dyn Clock>, Skew),
        observer: Observer,
        before: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let off_path = OffPath::new();
        let desk = Desk::new({
            let (store, off_path) = (store.clone(), off_path.clone());
            move |key, token| release(&off_path, &store, key, token)
        });
        let cookies = CookieWriter::new(&policy.cookie);
        let watch = Watch::default();
        let php = PhpLayout::new(&policy);
        let import = before.map(|core| Import::new(core, cookies.name()));
        Arc::new(Self {
            policy,
            store,
            clock,
            observer,
            cookies,
            carrier,
            php,
            import,
            off_path,
            watch,
            skew,
            desk,
        })
    }

    /// Renews the leases of requests that take long, for as long as somebody uses the core.
    ///
    /// Called within a runtime, once.
    pub(crate) fn renew_leases(self: &Arc<Self>) {
        let core = Arc::downgrade(self);
        let interval = (self.policy.lease / RENEWALS_PER_LEASE).max(Duration::from_millis(1));
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(interval);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let Some(core) = core.upgrade() else { return };
                core.renew_due(interval).await;
            }
        });
    }

    async fn renew_due(&self, interval: Duration) {
        use crate::events::Anomaly;
        use crate::store::{Lease, Renewed};
        // Ticks come a little early or late, so a lease that was renewed at the last one is due: else every
        // other tick would pass it by.
        for (key, token) in self.desk.due(interval / 2, self.policy.lease_max) {
            let lease = Lease { token, ttl: self.policy.lease };
            // After an error the next tick tries again; the version guards the record in any case.
            if let Ok(Renewed::Lost) = self.store.renew(&key, lease).await {
                self.desk.lose(&key, token);
                self.observer.alarm(Anomaly::LostLease, Some(&key));
            }
        }
    }

    /// Ends a session for all requests, sockets and streams of this node.
    pub(crate) fn ended(&self, kind: EventKind, key: &StoreKey) {
        self.observer.tell(kind, key);
        self.watch.ended(key);
    }

    /// Returns the deadline that the store is given for a session used at `now`.
    ///
    /// A use within [`unwritten`](Self::unwritten) of the last one is not written down, so that time is added:
    /// nobody ends early.
    pub(crate) fn deadline(&self, header: &Header, now: Timestamp) -> Timestamp {
        (now + header.idle + self.slack(header)).min(header.absolute_at)
    }

    /// Returns when a session was last used, as far as it was written down.
    pub(crate) fn last_active(&self, header: &Header, expires_at: Timestamp) -> Timestamp {
        let slack = self.slack(header);
        if expires_at >= header.absolute_at {
            return header.seen_at;
        }
        header.seen_at.max(expires_at - header.idle - slack)
    }

    /// Moves damaged bytes away, so that the session starts anew and an operator can look at them.
    ///
    /// Returns what PHP has stored in their place since they were read, which is left where it is.
    pub(crate) async fn set_aside(&self, key: &StoreKey, lease: Option<LeaseToken>) -> Result<Option<Found>> {
        #[cfg(feature = "php")]
        if self.php.is_some() {
            return self.set_aside_under_lock(key, lease).await;
        }
        #[cfg(not(feature = "php"))]
        let _ = lease;
        self.observer.alarm(Anomaly::DamagedRecord, Some(key));
        self.store.set_aside(key).await.map(|()| None)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("policy", &self.policy)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

fn release(off_path: &OffPath, store: &SharedStore, key: StoreKey, token: LeaseToken) {
    let store = store.clone();
    off_path.run(async move {
        // If it can't be released, it ends by its time.
        drop(store.release(&key, token).await);
    });
}
