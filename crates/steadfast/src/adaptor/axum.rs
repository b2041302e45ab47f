//! Extractors for axum: the type in a handler's signature says how it shares the session.
//!
//! [`Session`] reads and writes in the policy's concurrency mode, [`SessionView`] reads; [`Exclusive`] and
//! [`Merge`] choose the mode for one handler. `Result<Session, steadfast::Error>` lets a handler live
//! through an outage of the store.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::answer::{refuse, sentence};
use super::request::open;
use crate::error::{Error, Result};
use crate::lifecycle::Access;
use crate::session::{Session, SessionView};

pub use super::mode::{Exclusive, Merge};

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
    open(parts, Some(access)).await.map(Session::new)
}

/// Answers with the error's status and a sentence for the visitor; what failed is for the log.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = sentence(self.kind()).into_response();
        refuse(&mut response, self.kind());
        response
    }
}
