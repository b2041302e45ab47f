//! What a response left in a session.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::codec::Value;
use crate::error::Result;
use crate::lifecycle::{Access, Client, Exchange, Opening};
use crate::plan::Opened;
use crate::record::Mark;
use crate::session::{KeyFor, Metadata, Session};
use crate::sessions::Sessions;

/// A session as it stands in the store, from [`Sessions::inspect`].
///
/// Reading changes nothing: no flash value ages, no deadline moves, no cookie counts as presented.
pub struct Inspected {
    session: Session,
    superseded: bool,
}

/// # For tests
impl Sessions {
    /// Opens the session that cookies lead to, to see what is in it; `None` if they open none.
    ///
    /// Takes what a request would carry (`name=value`, several separated by `; `) or what a response
    /// carried (a `Set-Cookie` header). The session opens wherever it is bound to. One store call, which a
    /// [`FaultyStore`](super::FaultyStore) counts.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::Sessions;
    /// use steadfast::Mark;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> steadfast::Result<()> {
    /// let sessions = Sessions::connect("memory:").await?;
    /// let prepared = sessions
    ///     .prepare(|session| {
    ///         session.set("cart", ["tea"])?;
    ///         session.flash("notice", "Added.")
    ///     })
    ///     .await?;
    ///
    /// let left = sessions.inspect(prepared.cookie()).await?.expect("a session");
    /// assert_eq!(left.get::<Vec<String>>("cart")?, Some(vec!["tea".to_owned()]));
    /// assert_eq!(left.mark_of("notice"), Some(Mark::FlashNew));
    /// assert!(sessions.inspect("session=unknown").await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn inspect(&self, cookies: impl AsRef<str>) -> Result<Option<Inspected>> {
        let line = cookies.as_ref().as_bytes();
        let known_to =
            |core| Client { any_device: true, ..Client::of_cookies(core, std::iter::once(line), None) };
        let before = self.core().import.as_ref().map(|import| Box::new(known_to(&*import.core)));
        let client = Client { before, ..known_to(self.core()) };
        let exchange = Arc::new(Exchange::new(Arc::clone(self.core())));
        exchange
            .open(Access::View, Opening::Request { client: || Ok(client), is_background: || true })
            .await?;
        let opened = exchange.with(|work| work.base.as_ref().map(|base| base.opened));
        Ok(opened.map(|opened| Inspected {
            session: Session::new(exchange),
            superseded: opened == Opened::Frozen,
        }))
    }
}

impl Inspected {
    /// Returns a value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::get`].
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.session.get(key)
    }

    /// Reports whether there is a value, of any type, that is not null.
    #[must_use]
    pub fn has(&self, key: impl AsRef<[u8]>) -> bool {
        self.session.has(key)
    }

    /// Returns the keys of all values that are there, flash and temp ones included, in their order.
    #[must_use]
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.session.keys()
    }

    /// Returns all ordinary values, without flash and temp ones.
    ///
    /// # Errors
    ///
    /// As [`Session::all`].
    pub fn all(&self) -> Result<BTreeMap<String, Value>> {
        self.session.all()
    }

    /// Returns a flash value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::flash_get`].
    pub fn flash_get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.session.flash_get(key)
    }

    /// Returns all flash values.
    ///
    /// # Errors
    ///
    /// As [`Session::flash_all`].
    pub fn flash_all(&self) -> Result<BTreeMap<String, Value>> {
        self.session.flash_all()
    }

    /// Returns a temp value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::temp_get`].
    pub fn temp_get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.session.temp_get(key)
    }

    /// Returns all temp values.
    ///
    /// # Errors
    ///
    /// As [`Session::temp_all`].
    pub fn temp_all(&self) -> Result<BTreeMap<String, Value>> {
        self.session.temp_all()
    }

    /// Returns how long a value lasts; `None` if there is none.
    #[must_use]
    pub fn mark_of(&self, key: impl AsRef<[u8]>) -> Option<Mark> {
        self.session.mark_of(key)
    }

    /// Returns who is signed in.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.session.user()
    }

    /// Returns what is known of the session beside its values.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        self.session.metadata().expect("an inspected session exists")
    }

    /// Reports whether a change of privilege has put another session in the place of this one, which is
    /// then read-only and has the values it had before.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// Returns a CSRF token of the session, for the form that a test sends.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        self.session.csrf_token().expect("a session that exists has a token")
    }
}

/// Shows the session's tag and no value.
impl fmt::Debug for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspected").field("tag", &self.session.tag()).finish_non_exhaustive()
    }
}
