//! The sessions of an application: made once, shared by everything.

mod builder;
mod dsn;
mod import;
mod users;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::events::EventKind;
use crate::lifecycle::Core;
use crate::policy::Policy;
use crate::store::Store as _;

pub use builder::SessionsBuilder;
pub use import::Imported;
pub use users::{Revoked, SessionInfo, UserSessions};

/// The sessions of an application: a cheap handle, for application state and background work.
///
/// # Examples
///
/// ```
/// use steadfast::Sessions;
///
/// # async fn example() -> steadfast::Result<()> {
/// let sessions = Sessions::connect("memory:").await?;
/// let revoked = sessions.revoke("alice").await?;
/// assert_eq!(revoked.ended, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sessions {
    core: Arc<Core>,
}

impl Sessions {
    /// Starts from the defaults.
    pub fn builder() -> SessionsBuilder {
        SessionsBuilder::default()
    }

    /// Opens the store that a connection string names, with the default [`Policy`](crate::Policy).
    ///
    /// `memory:`, `files:PATH`, `sqlite:PATH`, `redis://HOST`, `postgres://HOST`, `mysql://HOST`, `memcached://HOST`,
    /// `cookie:`; the options of each are on its page in `docs/drivers/`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) for a string that names no driver of this build
    /// or has unknown options, and whatever opening the store fails with.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind but an empty store.
    pub async fn connect(dsn: &str) -> Result<Self> {
        Self::builder().connect(dsn).await
    }

    /// Returns the name of the store's driver, as in the connection string.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example() -> steadfast::Result<()> {
    /// let sessions = steadfast::Sessions::connect("memory:").await?;
    /// assert_eq!(sessions.driver(), "memory");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.core.store.driver()
    }

    /// Returns how these sessions behave.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.core.policy
    }

    /// Removes at most `limit` expired records, and returns how many.
    ///
    /// The builder's [`purge_every`](SessionsBuilder::purge_every) does this by itself. Expiry does not
    /// depend on it: a session that is past its deadline opens no more.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    ///
    /// A part of the batch may have been removed.
    #[doc(alias = "gc")]
    pub async fn purge(&self, limit: NonZeroUsize) -> Result<usize> {
        purge(&self.core, limit).await
    }

    /// Counts the records of the store, expired ones that are still there included.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with; [`Unsupported`](crate::ErrorKind::Unsupported) where sessions travel in cookies.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn count(&self) -> Result<u64> {
        self.core.store.count().await
    }

    /// Waits until everything that no response waited for is done: releases, touches, first presentations.
    ///
    /// Call it after the server has finished its last request. Without it, leases run out by their time,
    /// and touches are done by the next request.
    ///
    /// # Cancel safety
    ///
    /// What runs goes on running.
    pub async fn shutdown(&self) {
        self.core.off_path.drained().await;
        if let Some(import) = &self.core.import {
            import.core.off_path.drained().await;
        }
    }

    #[cfg(any(feature = "actix", feature = "testing", feature = "tower"))]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

async fn purge(core: &Core, limit: NonZeroUsize) -> Result<usize> {
    let purged = core.store.purge(limit).await.inspect_err(|error| {
        core.observer.failed(error.kind(), None);
    })?;
    if purged > 0 {
        core.observer.tell_many(EventKind::Purged, purged as u64);
    }
    Ok(purged)
}

/// Records that one batch of the background purge removes at most: a few milliseconds of any driver.
const PURGE_BATCH: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// Purges in small batches for as long as somebody uses the sessions; a failure is tried again later.
fn purge_every(core: &Arc<Core>, interval: Duration) {
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let Some(core) = core.upgrade() else { return };
            // A full batch means that there is more; between batches requests have their turn.
            while purge(&core, PURGE_BATCH).await.is_ok_and(|purged| purged == PURGE_BATCH.get()) {
                tokio::task::yield_now().await;
            }
        }
    });
}
