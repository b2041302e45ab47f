//! Extractors: the session of a request with its query, and how long it took to get it.

use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use steadfast::{Session, SessionView};

use crate::answers::Fault;
use crate::parameters::Query;

/// When a request came.
#[derive(Clone, Copy)]
struct Arrived(Instant);

/// Notes when a request came.
pub(super) async fn note_arrival(mut request: Request) -> Request {
    request.extensions_mut().insert(Arrived(Instant::now()));
    request
}

/// A request's session, to read and write, with its query.
pub(super) struct Open {
    pub(super) session: Session,
    pub(super) query: Query,
    waited: Duration,
}

impl Open {
    /// Waits inside the handler for as long as `sleep` says.
    pub(super) async fn sleep(&self) -> Result<(), Fault> {
        sleep(self.query.millis("sleep")?).await;
        Ok(())
    }

    /// Returns the milliseconds from the arrival of the request until its session was open.
    pub(super) fn wait_ms(&self) -> f64 {
        self.waited.as_secs_f64() * 1_000.0
    }
}

impl<S: Sync> FromRequestParts<S> for Open {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let arrived = parts.extensions.get::<Arrived>().map_or_else(Instant::now, |arrived| arrived.0);
        let session = Session::from_request_parts(parts, state).await?;
        Ok(Self { session, query: Query::parse(parts.uri.query()), waited: arrived.elapsed() })
    }
}

/// A request's session, to read, with its query.
pub(super) struct View {
    pub(super) session: SessionView,
    pub(super) query: Query,
}

impl<S: Sync> FromRequestParts<S> for View {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let session = SessionView::from_request_parts(parts, state).await?;
        Ok(Self { session, query: Query::parse(parts.uri.query()) })
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self::parse(parts.uri.query()))
    }
}

/// Waits, and lets others run meanwhile; no wait at all is none.
pub(super) async fn sleep(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
