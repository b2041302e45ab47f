//! What handlers take of a request: its session with its query, and how long it took to get it.

use std::time::{Duration, Instant};

use steadfast::{Session, SessionView};

use crate::answers::Fault;
use crate::parameters::Query;

/// When a request came.
#[derive(Clone, Copy)]
pub(crate) struct Arrived(Instant);

impl Arrived {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

/// A request's session, to read and write, with its query.
pub(crate) struct Open {
    pub(crate) session: Session,
    pub(crate) query: Query,
    waited: Duration,
}

impl Open {
    pub(crate) fn new(session: Session, query: Option<&str>, arrived: Option<Arrived>) -> Self {
        let waited = arrived.map_or(Duration::ZERO, |arrived| arrived.0.elapsed());
        Self { session, query: Query::parse(query), waited }
    }

    /// Waits inside the handler for as long as `sleep` says.
    pub(crate) async fn sleep(&self) -> Result<(), Fault> {
        sleep(self.query.millis("sleep")?).await;
        Ok(())
    }

    /// Returns the milliseconds from the arrival of the request until its session was open.
    pub(crate) fn wait_ms(&self) -> f64 {
        self.waited.as_secs_f64() * 1_000.0
    }
}

/// A request's session, to read, with its query.
pub(crate) struct View {
    pub(crate) session: SessionView,
    pub(crate) query: Query,
}

impl View {
    pub(crate) fn new(session: SessionView, query: Option<&str>) -> Self {
        Self { session, query: Query::parse(query) }
    }
}

/// Waits, and lets others run meanwhile; no wait at all is none.
pub(crate) async fn sleep(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
