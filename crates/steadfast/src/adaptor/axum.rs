//! Extractors for axum: the type in a handler's signature says how it shares the session.
//!
//! [`Session`] reads and writes in the policy's concurrency mode, [`SessionView`] reads; [`Exclusive`] and
//! [`Merge`] choose the mode for one handler. `Result<Session, steadfast::Error>` lets a handler live
//! through an outage of the store.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::{attached, open};
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::Access;
use crate::session::{Session, SessionView};

/// The session, with the guarantee that no other handler of it runs meanwhile.
///
/// # Examples
///
/// ```
/// use steadfast::axum::Exclusive;
///
/// async fn count(Exclusive(session): Exclusive) -> steadfast::Result<String> {
///     let n = session.get::<u32>("n")?.unwrap_or(0) + 1; // nobody writes between this read …
///     session.set("n", n)?; // … and this write
///     Ok(n.to_string())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Exclusive(pub Session);

/// The session, shared with other handlers that run meanwhile; what each did is joined at its commit.
///
/// # Examples
///
/// ```
/// use steadfast::axum::Merge;
///
/// async fn count(Merge(session): Merge) -> steadfast::Result<()> {
///     session.increment("n", 1)?; // joined with the increments of all others
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Merge(pub Session);

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        super::session(parts).await
    }
}

impl<S: Sync> FromRequestParts<S> for SessionView {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        super::session_view(parts).await
    }
}

impl<S: Sync> FromRequestParts<S> for Exclusive {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        session_by(Access::Exclusive, parts).await.map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Merge {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        session_by(Access::Merge, parts).await.map(Self)
    }
}

async fn session_by(access: Access, parts: &Parts) -> Result<Session> {
    let exchange = attached(parts)?;
    open(&exchange, access, parts).await?;
    Ok(Session::new(exchange))
}

/// Answers with the error's status and a sentence for the visitor; what failed is for the log.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let sentence = match self.kind() {
            ErrorKind::Stale | ErrorKind::Superseded | ErrorKind::Missing => {
                "Your session changed meanwhile. Please reload the page."
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                "Sessions are not available at the moment. Please try again."
            }
            _ => "Something went wrong on our side.",
        };
        let mut response = (status, sentence).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
