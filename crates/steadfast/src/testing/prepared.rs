//! A session for a request that is to be tested.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::lifecycle::{Access, Client, Exchange, Opening};
use crate::session::Session;
use crate::sessions::Sessions;

/// A session that a test prepared, from [`Sessions::prepare`]: the cookie that opens it.
#[derive(Clone)]
pub struct Prepared {
    cookie: String,
    set_cookies: Vec<String>,
}

impl Prepared {
    /// Returns the value of a `Cookie` header that opens the session: `name=value`.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Returns the `Set-Cookie` header that a response with this session would have carried, for
    /// [`TestBrowser::set_cookie`](super::TestBrowser::set_cookie) and other cookie jars.
    /// For a session that travels in several cookies, the first one; see [`set_cookies`](Self::set_cookies).
    #[must_use]
    pub fn set_cookie(&self) -> &str {
        &self.set_cookies[0]
    }

    /// Returns all `Set-Cookie` headers: one, unless the session travels in several cookies.
    pub fn set_cookies(&self) -> impl Iterator<Item = &str> {
        self.set_cookies.iter().map(String::as_str)
    }
}

/// Does not show the cookie: it opens the session.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared(..)")
    }
}

/// # For tests
impl Sessions {
    /// Makes a session as a handler would have left it, and returns its cookie.
    ///
    /// The closure does what the requests before the one to be tested would have done: it sets values,
    /// flash and temp values, signs in, asks to be remembered. The session is there even if it does nothing.
    /// It is bound to no address and no user agent, whatever the policy says.
    ///
    /// # Errors
    ///
    /// Whatever the closure or the store fails with.
    ///
    /// # Cancel safety
    ///
    /// The session may have been stored.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, body::Body, routing::get};
    /// use http::{Request, header::COOKIE};
    /// use steadfast::{SessionView, Sessions};
    /// use tower::ServiceExt as _;
    ///
    /// let sessions = Sessions::connect("memory:").await?;
    /// let greet = |session: SessionView| async move { session.user().unwrap_or_default() };
    /// let app = Router::new().route("/", get(greet)).layer(sessions.layer());
    ///
    /// let alice = sessions.prepare(|session| session.login("alice")).await?;
    /// let request = Request::get("/").header(COOKIE, alice.cookie()).body(Body::empty())?;
    /// let response = app.oneshot(request).await?;
    /// assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, "alice");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "axum"))]
    /// # fn main() {}
    /// ```
    pub async fn prepare<T>(&self, prepare: impl FnOnce(&Session) -> Result<T>) -> Result<Prepared> {
        let exchange = Arc::new(Exchange::new(Arc::clone(self.core())));
        let nobody = Opening::Request { client: || Ok(Client::default()), is_background: || false };
        exchange.open(Access::Merge, nobody).await?;
        prepare(&Session::new(Arc::clone(&exchange)))?;
        exchange.with(|work| work.state.create())?;
        exchange.commit().await?;
        let set_cookies: Vec<_> = exchange.cookies().collect();
        let pairs = set_cookies.iter().map(|cookie| cookie.split(';').next().unwrap_or_default());
        let cookie = pairs.collect::<Vec<_>>().join("; ");
        Ok(Prepared { cookie, set_cookies })
    }
}
