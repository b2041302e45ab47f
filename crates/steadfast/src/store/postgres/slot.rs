//! A place for a connection, which is opened anew when it is gone.
//!
//! Directly connected, many calls are under way on a connection at once. Behind a pooler one is: PgBouncer
//! and others take the connection to the server away between two statements of a client that did not wait for
//! the first one's answer, and then send the rest of the second to whoever is there (decision 0016).

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};
use tokio_postgres::{Error as PgError, Row};

use super::clients::{Role, Source};
use super::connection::{Connection, Params};
use super::error::{at_open, at_run, ends_connection, failed, too_slow, too_slow_to_connect};
use super::statements::{Statement, Texts};
use crate::error::{Error, Result};

/// How long after a failed attempt everybody is told of it, instead of trying again: a server that has no
/// connection left, or starts, has other things to do than to refuse each request.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a store have in common.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) source: Box<dyn Source>,
    pub(super) texts: Arc<Texts>,
    pub(super) prepared: bool,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
}

impl Opening {
    async fn open(&self, role: Role) -> Result<Connection> {
        let opening = async {
            let held = self.source.connect(role).await?;
            let mut connection = Connection::new(held, Arc::clone(&self.texts));
            if self.prepared && role == Role::Requests {
                connection.prepare().await.map_err(at_open)?;
            }
            Ok(connection)
        };
        timeout(self.connect_timeout, opening).await.unwrap_or_else(|_| Err(too_slow_to_connect()))
    }
}

/// A place for a connection.
#[derive(Debug)]
pub(super) struct Slot {
    role: Role,
    opening: Arc<Opening>,
    current: RwLock<Option<Arc<Connection>>>,
    /// One opens at a time; the others wait for it, and for its failure.
    last_failure: Mutex<Option<Failure>>,
    /// Behind a pooler, whoever's call is under way.
    turn: Option<Mutex<()>>,
}

#[derive(Debug)]
struct Failure {
    at: Instant,
    error: Arc<Error>,
}

impl Slot {
    pub(super) fn new(role: Role, opening: &Arc<Opening>) -> Self {
        Self {
            role,
            opening: Arc::clone(opening),
            current: RwLock::new(None),
            last_failure: Mutex::new(None),
            turn: (!opening.prepared).then(Mutex::default),
        }
    }

    /// Reports whether a call would have to wait for another one's answer.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.try_lock().is_err())
    }

    /// Returns the connection, opened anew if it is gone.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>> {
        match self.live() {
            Some(connection) => Ok(connection),
            // Boxed, so that not every call has room for what is rare.
            None => Box::pin(self.reopened()).await,
        }
    }

    async fn reopened(&self) -> Result<Arc<Connection>> {
        let asked = Instant::now();
        let mut last_failure = self.last_failure.lock().await;
        if let Some(connection) = self.live() {
            return Ok(connection);
        }
        if let Some(Failure { at, error }) = &*last_failure
            && (*at >= asked || at.elapsed() < PAUSE)
        {
            let again = failed(error.kind(), "there is no connection to PostgreSQL: see the cause");
            return Err(again.with_source(Arc::clone(error)));
        }
        match self.opening.open(self.role).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *last_failure = None;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                let error = Arc::new(error);
                *last_failure = Some(Failure { at: Instant::now(), error: Arc::clone(&error) });
                Err(failed(error.kind(), "cannot connect to PostgreSQL: see the cause").with_source(error))
            }
        }
    }

    /// Runs a statement that returns one row or none.
    pub(super) async fn query_opt(&self, statement: Statement, params: Params<'_>) -> Result<Option<Row>> {
        let call = self.begin().await?;
        let answer = call.answer(pin!(call.connection.query_opt(statement, params))).await;
        call.end(answer)
    }

    /// Runs a statement that returns rows.
    pub(super) async fn query(&self, statement: Statement, params: Params<'_>) -> Result<Vec<Row>> {
        let call = self.begin().await?;
        let answer = call.answer(pin!(call.connection.query(statement, params))).await;
        call.end(answer)
    }

    /// Runs a statement and returns how many rows it wrote.
    pub(super) async fn execute(&self, statement: Statement, params: Params<'_>) -> Result<u64> {
        let call = self.begin().await?;
        let answer = call.answer(pin!(call.connection.execute(statement, params))).await;
        call.end(answer)
    }

    async fn begin(&self) -> Result<Call<'_>> {
        let turn = match &self.turn {
            Some(turn) => {
                let patience = self.opening.connect_timeout + self.opening.timeout;
                Some(timeout(patience, turn.lock()).await.map_err(|_| too_slow())?)
            }
            None => None,
        };
        let connection = self.connection().await?;
        connection.asks();
        Ok(Call { slot: self, connection, turn, answered: false })
    }

    fn live(&self) -> Option<Arc<Connection>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        if current.is_silent_for(self.opening.timeout) {
            self.give_up(&current);
            return None;
        }
        (!current.is_closed()).then_some(current)
    }

    /// Takes a connection out of use, and ends what is under way on it.
    fn give_up(&self, connection: &Arc<Connection>) {
        self.retire(connection);
        connection.abandon();
    }

    /// Takes a connection out of use. Calls that are under way on it go on.
    fn retire(&self, connection: &Arc<Connection>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|current| Arc::ptr_eq(current, connection));
    }
}

/// A statement that is under way.
struct Call<'a> {
    slot: &'a Slot,
    connection: Arc<Connection>,
    turn: Option<MutexGuard<'a, ()>>,
    answered: bool,
}

impl Call<'_> {
    /// Waits for the answer; `None` if it is overdue.
    ///
    /// The answer is pinned by the caller: moved in here it would have its room twice in each future.
    async fn answer<T, F>(&self, answer: Pin<&mut F>) -> Option<Result<T, PgError>>
    where
        F: Future<Output = Result<T, PgError>>,
    {
        timeout(self.slot.opening.timeout, answer).await.ok()
    }

    fn end<T>(mut self, answer: Option<Result<T, PgError>>) -> Result<T> {
        self.answered = true;
        if answer.is_some() {
            self.connection.hears();
        }
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => {
                if ends_connection(&error) {
                    self.slot.retire(&self.connection);
                }
                Err(at_run(error))
            }
            None => {
                // Whatever is stuck there would hold up all that follow.
                self.slot.give_up(&self.connection);
                Err(too_slow())
            }
        }
    }
}

impl Drop for Call<'_> {
    /// A call that was dropped leaves an answer behind, which the next one behind a pooler must not meet.
    fn drop(&mut self) {
        if self.turn.is_some() && !self.answered {
            self.slot.give_up(&self.connection);
        }
    }
}
