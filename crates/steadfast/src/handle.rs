//! A session beyond its request: for sockets, streams and jobs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{Access, Client, Core, Exchange, Opening, Watching};
use crate::record::{self, Standing};
use crate::session::{Session, SessionView};
use crate::store::{Found, Loaded, Store as _, StoreKey};

/// How often [`SessionHandle::ended`] asks the store, in case another node ended the session.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// A session beyond its request: for WebSockets, event streams and background jobs.
///
/// It knows the session by its key, not by a cookie, so it outlives rotations in time. It ends with the
/// session: by sign-out, revocation, expiry, and by a change of privilege, which starts another one. It
/// never brings a session back to life.
///
/// # Examples
///
/// ```
/// # use steadfast::SessionHandle;
/// async fn import(session: SessionHandle) -> steadfast::Result<()> {
///     for done in 1..=100_u32 {
///         session.edit(move |s| s.set("import.percent", done)).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct SessionHandle {
    core: Arc<Core>,
    key: StoreKey,
    watching: Watching,
}

impl SessionHandle {
    pub(crate) fn new(core: Arc<Core>, key: StoreKey) -> Self {
        let watching = core.watch.watch(&key);
        Self { core, key, watching }
    }

    /// Reads the session as it is now; `None` if it has ended. Does not extend it.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn view(&self) -> Result<Option<SessionView>> {
        let exchange = self.open(Access::View).await?;
        let there = exchange.with(|work| {
            work.state.extend = false;
            work.base.is_some()
        });
        Ok(there.then(|| SessionView::new(exchange)))
    }

    /// Changes the session: reads it, runs the closure, and commits. Does not extend it.
    ///
    /// Requests that overlap are joined as in `Merge`: the closure's steps, not the closure itself, are done
    /// again on a fresher record if they must be.
    ///
    /// # Errors
    ///
    /// [`Missing`](ErrorKind::Missing) if the session has ended, [`Closed`](ErrorKind::Closed) for a change
    /// of who holds it, whatever the closure fails with, and whatever the commit fails with.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the change may or may not have happened; nothing is half done.
    pub async fn edit<T>(&self, edit: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let exchange = self.open(Access::Merge).await?;
        if exchange.with(|work| work.base.is_none()) {
            return Err(Error::new(ErrorKind::Missing, "the session has ended; nothing was written"));
        }
        exchange.with(|work| work.state.extend = false);
        let result = edit(&Session::new(Arc::clone(&exchange)))?;
        exchange.commit().await?;
        Ok(result)
    }

    /// Reports whether the session still lives.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with: an outage is not an end.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn alive(&self) -> Result<bool> {
        let loaded = self.core.store.load(&self.key).await;
        let loaded = loaded.inspect_err(|error| self.core.observer.failed(error.kind(), Some(&self.key)))?;
        let Loaded::Found(Found { record, now }) = loaded else { return Ok(false) };
        let header = record::decode(&record.payload)?.header;
        let frozen = matches!(header.standing, Standing::Frozen { .. });
        Ok(!frozen && now < record.expires_at && now < header.absolute_at)
    }

    /// Completes when the session has ended: at once on this node, within 5 seconds from another one. An
    /// outage of the store is not an end.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn ended(&self) {
        loop {
            // Listening begins before asking, so that an end in between is not missed.
            let mut notified = std::pin::pin!(self.watching.notified());
            notified.as_mut().enable();
            if let Ok(false) = self.alive().await {
                return;
            }
            // Either way the store is asked: the key may have been watched for an older reason.
            drop(tokio::time::timeout(ALIVE_EVERY, notified).await);
        }
    }

    async fn open(&self, access: Access) -> Result<Arc<Exchange>> {
        let exchange = Arc::new(Exchange::of_handle(Arc::clone(&self.core)));
        exchange.open(access, Opening::<fn() -> Result<Client>>::Handle(self.key)).await?;
        Ok(exchange)
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHandle(..)")
    }
}
