//! A connection with its prepared statements, on which many calls are under way at once.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error as PgError, Row};

use super::clients::Held;
use super::statements::{Statement, Texts};

/// The parameters of a statement, in its order.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection.
pub(super) struct Connection {
    held: Box<dyn Held>,
    /// In the order of [`Statement`]. What is not among them is sent with its text, also in one round trip.
    prepared: Vec<tokio_postgres::Statement>,
    texts: Arc<Texts>,
    began: Instant,
    /// Since when calls wait and none was answered, in microseconds since `began`; zero if none waits.
    silent_since: AtomicU64,
}

impl Connection {
    pub(super) fn new(held: Box<dyn Held>, texts: Arc<Texts>) -> Self {
        Self { held, prepared: Vec::new(), texts, began: Instant::now(), silent_since: AtomicU64::new(0) }
    }

    /// Prepares the statements of requests, all in one round trip.
    pub(super) async fn prepare(&mut self) -> Result<(), PgError> {
        let client = self.held.client();
        let pending = Statement::of_requests()
            .map(|statement| client.prepare_typed(self.texts.of(statement), statement.types()));
        self.prepared = all(pending).await?;
        Ok(())
    }

    pub(super) fn client(&self) -> &Client {
        self.held.client()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client().is_closed()
    }

    /// Notes that a call waits for its answer.
    pub(super) fn asks(&self) {
        if self.silent_since.load(Ordering::Relaxed) == 0 {
            let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.silent_since.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// Notes that the server has answered a call.
    pub(super) fn hears(&self) {
        self.silent_since.store(0, Ordering::Relaxed);
    }

    /// Reports whether calls have waited for longer than this and none was answered. Those whose callers
    /// gave up earlier can't tell it themselves.
    pub(super) fn is_silent_for(&self, time: Duration) -> bool {
        let since = self.silent_since.load(Ordering::Relaxed);
        since != 0 && self.began.elapsed() > Duration::from_micros(since) + time
    }

    pub(super) fn listens(&self) -> bool {
        self.held.listens()
    }

    pub(super) fn needs_session(&self) -> bool {
        self.held.needs_session()
    }

    pub(super) fn abandon(&self) {
        self.held.abandon();
    }

    /// Runs a statement that returns one row or none.
    ///
    /// Boxed is what is not prepared, so that prepared statements have no room for what precedes them.
    pub(super) async fn query_opt(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>, PgError> {
        match self.prepared.get(statement as usize) {
            Some(prepared) => self.client().query_opt(prepared, params).await,
            None => {
                let params = typed(statement, params);
                Box::pin(self.client().query_typed_opt(self.texts.of(statement), &params)).await
            }
        }
    }

    /// Runs a statement that returns rows.
    pub(super) async fn query(&self, statement: Statement, params: Params<'_>) -> Result<Vec<Row>, PgError> {
        match self.prepared.get(statement as usize) {
            Some(prepared) => self.client().query(prepared, params).await,
            None => {
                let params = typed(statement, params);
                Box::pin(self.client().query_typed(self.texts.of(statement), &params)).await
            }
        }
    }

    /// Runs a statement and returns how many rows it wrote.
    pub(super) async fn execute(&self, statement: Statement, params: Params<'_>) -> Result<u64, PgError> {
        match self.prepared.get(statement as usize) {
            Some(prepared) => self.client().execute(prepared, params).await,
            None => {
                let params = typed(statement, params);
                Box::pin(self.client().execute_typed(self.texts.of(statement), &params)).await
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, prepared, texts: _, began: _, silent_since: _ } = self;
        f.debug_struct("Connection")
            .field("prepared", &prepared.len())
            .field("listens", &held.listens())
            .field("closed", &held.client().is_closed())
            .finish()
    }
}

fn typed<'a>(statement: Statement, params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().copied().zip(statement.types().iter().cloned()).collect()
}

/// Waits for all of them at once, so that their messages leave together.
pub(in crate::store) async fn all<T, F>(futures: impl Iterator<Item = F>) -> Result<Vec<T>, PgError>
where
    F: Future<Output = Result<T, PgError>>,
{
    let mut pending: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in pending.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(Ok(value)) => *done = Some(value),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    Ok(done.into_iter().flatten().collect())
}
