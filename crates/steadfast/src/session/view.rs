//! A session to read: it waits for nobody and writes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{KeyFor, Metadata, Session};
use crate::codec::Value;
use crate::error::Result;
use crate::handle::SessionHandle;
use crate::lifecycle::Exchange;
use crate::record::Mark;

/// A request's session, to read.
///
/// One read of the store, no lease, no wait for requests that write, and no write on the request's path: that
/// the session was used is noted off it, now and then. Flash values are found and do not age, and no secret is
/// rotated. If something of the same request holds a [`Session`], the view sees its changes.
///
/// # Examples
///
/// ```
/// # use steadfast::SessionView;
/// async fn badge(session: SessionView) -> steadfast::Result<String> {
///     Ok(session.get::<u32>("unread")?.unwrap_or(0).to_string())
/// }
/// ```
#[derive(Clone)]
pub struct SessionView {
    session: Session,
}

impl SessionView {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self { session: Session::new(exchange) }
    }

    /// Returns a value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::get`].
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.session.get(key)
    }

    /// Reports whether there is a value, of any type, that is not null.
    pub fn has(&self, key: impl AsRef<[u8]>) -> bool {
        self.session.has(key)
    }

    /// Returns all ordinary values, without flash and temp ones.
    ///
    /// # Errors
    ///
    /// As [`Session::all`].
    pub fn all(&self) -> Result<BTreeMap<String, Value>> {
        self.session.all()
    }

    /// Returns the keys of all values that are there, flash and temp ones included, in their order.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.session.keys()
    }

    /// Returns how long a value lasts, as [`Session::mark_of`] does. A view ages no flash value.
    pub fn mark_of(&self, key: impl AsRef<[u8]>) -> Option<Mark> {
        self.session.mark_of(key)
    }

    /// Returns a flash value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::flash_get`].
    pub fn flash_get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.session.flash_get(key)
    }

    /// Returns a temp value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::temp_get`].
    pub fn temp_get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.session.temp_get(key)
    }

    /// Returns who is signed in.
    pub fn user(&self) -> Option<String> {
        self.session.user()
    }

    /// Returns what is known of the session beside its values; `None` if there is no session.
    pub fn metadata(&self) -> Option<Metadata> {
        self.session.metadata()
    }

    /// Returns the session's record as it was stored, for tools that inspect sessions; `None` if there is
    /// no session. The bytes are described in `docs/wire-format.md`.
    ///
    /// # Security
    ///
    /// They hold all values, and digests by which requests are let in: show them to nobody.
    pub fn record_bytes(&self) -> Option<Bytes> {
        self.session.record_bytes()
    }

    /// Returns a token for the forms of this response, as [`Session::csrf_token`] does; `None` if there is no
    /// session, since a view creates none.
    ///
    /// # Errors
    ///
    /// As [`Session::csrf_token`].
    pub fn csrf_token(&self) -> Result<Option<String>> {
        self.session.tag().map(|_| self.session.csrf_token()).transpose()
    }

    /// Reports whether a CSRF token is one of this session's, in constant time.
    #[must_use]
    pub fn verify_csrf(&self, token: impl AsRef<[u8]>) -> bool {
        self.session.verify_csrf(token)
    }

    /// Returns a handle for sockets, streams and jobs that outlive the request; `None` for a session that
    /// does not exist.
    #[must_use]
    pub fn detach(&self) -> Option<SessionHandle> {
        self.session.detach()
    }

    /// Leaves the session's deadline where it is, although it is used: for polling.
    pub fn do_not_extend(&self) {
        self.session.do_not_extend();
    }
}

impl fmt::Debug for SessionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionView(..)")
    }
}
