//! What an application puts around its routes.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lifecycle::Core;
use crate::sessions::Sessions;

/// Puts sessions around routes: a tower `Layer`, and a `Transform` that actix-web's `wrap` takes.
///
/// A request whose handler takes no session costs no store call and gets no cookie. What a handler did is
/// committed before the head of its response leaves, whatever the status, also if the client hangs up
/// meanwhile. A handler that panics or is dropped writes nothing. If the commit fails, the response is
/// replaced by an empty one with the error's status and a [`CommitError`] among its extensions.
///
/// Responses of routes that took the session get `Vary: Cookie` and, unless the handler set
/// `Cache-Control`, `no-store`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # async fn example() -> steadfast::Result<()> {
/// use axum::{Router, routing::get};
/// use steadfast::{Session, SessionLayer};
///
/// let sessions = SessionLayer::connect("memory:").await?;
/// let app: Router = Router::new().route("/", get(|_: Session| async { "hello" })).layer(sessions);
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionLayer {
    pub(super) core: Arc<Core>,
}

impl SessionLayer {
    /// Opens the store that a connection string names, with the default policy.
    ///
    /// # Errors
    ///
    /// As [`Sessions::connect`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind but an empty store.
    pub async fn connect(dsn: &str) -> Result<Self> {
        Ok(Sessions::connect(dsn).await?.layer())
    }
}

/// # Adaptor
impl Sessions {
    /// Returns the layer that puts these sessions around routes.
    #[must_use]
    pub fn layer(&self) -> SessionLayer {
        SessionLayer { core: Arc::clone(self.core()) }
    }
}

/// Why a commit failed: among the extensions of the response that replaced the handler's.
#[derive(Clone, Debug)]
pub struct CommitError(pub Arc<Error>);

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot commit the session")
    }
}

impl StdError for CommitError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}
