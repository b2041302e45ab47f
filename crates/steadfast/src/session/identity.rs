//! Who the session belongs to, and for how long: sign-in, sign-out, rotation, the end.

use super::state::UserChange;
use super::{Phase, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::SessionHandle;
use crate::plan::Fate;

/// Longest id of a user, in bytes. Ids are digits, addresses and UUIDs; this is no place for more.
const MAX_USER_BYTES: usize = 512;

/// # Identity
impl Session {
    /// Returns who is signed in, this request's sign-in included.
    pub fn user(&self) -> Option<String> {
        self.exchange.with(|work| match (&work.state.user, work.state.fate) {
            (UserChange::Bind(user), _) => Some(user.clone()),
            (UserChange::Keep, Fate::End) => None,
            (UserChange::Keep, _) => work.header().and_then(|header| header.user.clone()),
        })
    }

    /// Signs a user in: binds the session to them, under a new key.
    ///
    /// The values stay. Whoever held a cookie of the session before, planted or stolen, is left with the
    /// session as it was, read-only, and for a short time. The session appears in
    /// [`Sessions::sessions_of`](crate::Sessions::sessions_of) from the commit on. If the response is lost,
    /// signing in again starts another session; the one that nobody came with ends by its time.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) for an id of more than 512 bytes, [`Closed`](ErrorKind::Closed)
    /// after the end of the request and for a handle.
    ///
    /// # Examples
    ///
    /// ```
    /// # use steadfast::{Result, Session};
    /// async fn sign_in(session: Session) -> Result<()> {
    ///     // … after the password was checked:
    ///     session.login("alice")?;
    ///     session.remember(true)
    /// }
    /// ```
    pub fn login(&self, user: impl Into<String>) -> Result<()> {
        let user = user.into();
        if user.len() > MAX_USER_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, "the id of a user is longer than 512 bytes"));
        }
        self.renew()?;
        self.exchange.with(|work| work.state.user = UserChange::Bind(user));
        Ok(())
    }

    /// Signs the user out: ends the session with all its values.
    ///
    /// What is set after it, a farewell flash say, starts a fresh session under a new key.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request.
    pub fn logout(&self) -> Result<()> {
        self.edit(|state, _| state.end())
    }

    /// Ends the session with all its values. The browser's cookie is removed, unless something is set
    /// after it, which starts a fresh session under a new key.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request.
    #[doc(alias = "sess_destroy")]
    #[doc(alias = "session_destroy")]
    #[doc(alias = "stop")]
    pub fn destroy(&self) -> Result<()> {
        self.edit(|state, _| state.end())
    }

    /// Changes the privilege without another user, a step-up: the same session goes on under a new key,
    /// and nobody who held a cookie before gets it. Nothing happens to a session that does not exist yet.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request and for a handle.
    #[doc(alias = "regenerate_id")]
    pub fn rotate(&self) -> Result<()> {
        if self.exchange.with(|work| work.base.is_none()) {
            return self.edit(|state, _| state.writable());
        }
        self.renew()
    }

    /// Replaces the secret of the session now rather than when its time has come.
    ///
    /// Requests that are under way with the old one are forwarded. Nothing happens while the secret before
    /// the present one is still good: only one step back is ever honoured.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request and for a handle.
    #[doc(alias = "regenerate")]
    #[doc(alias = "sess_regenerate")]
    pub fn rotate_secret(&self) -> Result<()> {
        self.has_cookie()?;
        self.edit(|state, _| {
            state.writable()?;
            if state.fate == Fate::Keep {
                state.fate = Fate::Rotate;
            }
            Ok(())
        })
    }

    /// Chooses whether the cookie outlives the browser ("remember me"), with the timeouts for it.
    ///
    /// A cookie is sent only with a new secret, so a session that is there already gets one, as by
    /// [`rotate_secret`](Self::rotate_secret); where that does nothing, by its next rotation.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request, [`Unsupported`](ErrorKind::Unsupported) in a
    /// layout that is shared with PHP, which has one lifetime for all.
    #[doc(alias = "remember_me")]
    pub fn remember(&self, persistent: bool) -> Result<()> {
        if self.exchange.core().php.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "sessions that are shared with PHP all have one lifetime; set `idle_timeout`",
            ));
        }
        self.exchange.with(|work| {
            work.state.writable()?;
            let changes = work.header().is_some_and(|header| header.persistent != persistent);
            if changes && work.state.fate == Fate::Keep {
                work.state.fate = Fate::Rotate;
            }
            work.state.persistent = Some(persistent);
            Ok(())
        })
    }

    /// Commits what was done and lets the next request have the session, now rather than at the end.
    ///
    /// Reads go on; a write after it is [`Closed`](ErrorKind::Closed). The cookie, if there is one to send,
    /// goes out with the response.
    ///
    /// # Errors
    ///
    /// Whatever the commit fails with; see [`ErrorKind`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the write may or may not have happened; nothing is half done.
    #[doc(alias = "session_write_close")]
    pub async fn close(&self) -> Result<()> {
        Box::pin(self.exchange.commit()).await
    }

    /// Returns a handle for sockets, streams and jobs that outlive the request; `None` for a session that
    /// does not exist (yet), or travels in cookies, where nobody finds it without its request.
    pub fn detach(&self) -> Option<SessionHandle> {
        let core = self.exchange.core().clone();
        if core.carrier.is_some() {
            return None;
        }
        self.exchange.with(|work| work.base.as_ref().map(|base| SessionHandle::new(core, base.key)))
    }

    fn renew(&self) -> Result<()> {
        self.has_cookie()?;
        self.edit(|state, _| {
            state.writable()?;
            // A session that was ended in this request goes on as a fresh one, under a new key anyway.
            if state.fate != Fate::End {
                state.fate = Fate::Renew;
            }
            Ok(())
        })
    }

    /// A handle has no cookie, and so nothing to send a new one with.
    fn has_cookie(&self) -> Result<()> {
        if self.exchange.is_handle() && self.exchange.with(|work| work.state.phase == Phase::Open) {
            return Err(Error::new(
                ErrorKind::Closed,
                "a session handle can't change who holds the session; do it in a request",
            ));
        }
        Ok(())
    }
}
