//! A session beyond its request: for sockets, streams and jobs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{Access, ByKey, Core, Exchange, MAX_HOPS, Watching};
use crate::record::Standing;
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
/// In a layout that is shared with PHP a rotation changes the key itself. The handle goes along if it is used
/// within the forward window of each rotation, which [`ended`](Self::ended) does by itself.
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
    key: Arc<Mutex<StoreKey>>,
    watching: Watching,
}

impl SessionHandle {
    pub(crate) fn new(core: Arc<Core>, key: StoreKey) -> Self {
        let watching = core.watch.watch(&key);
        Self { core, key: Arc::new(Mutex::new(key)), watching }
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
        for _ in 0..=MAX_HOPS {
            let key = self.key();
            let loaded = self.core.store.load(&key).await;
            let loaded = loaded.inspect_err(|error| self.core.observer.failed(error.kind(), Some(&key)))?;
            let Loaded::Found(Found { record, now }) = loaded else { return Ok(false) };
            let header = self.core.read(&key, &record, now)?.header;
            let frozen = matches!(header.standing, Standing::Frozen { .. });
            if frozen || now >= record.expires_at || now >= header.absolute_at || header.was_left(now) {
                return Ok(false);
            }
            match header.moved_to() {
                None => return Ok(true),
                Some(to) => self.go_on_at(to),
            }
        }
        Ok(false)
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
        let key = self.key();
        exchange.open(access, ByKey::Handle(key)).await?;
        if let Some(key) = exchange.with(|work| work.base.as_ref().map(|base| base.key)) {
            self.go_on_at(key);
        }
        Ok(exchange)
    }

    fn key(&self) -> StoreKey {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_on_at(&self, key: StoreKey) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHandle(..)")
    }
}
