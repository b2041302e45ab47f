//! Two pools of connections, and texts sent on them by the simple protocol.
//!
//! The texts of several steps leave together, each in a message of its own: a message is a transaction, and
//! a lock that is given back in a later one is given back after the write is there to be seen.

use bytes::Bytes;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error as PgError, SimpleQueryMessage, SimpleQueryRow};

use crate::error::{Error, ErrorKind, Result};
use crate::store::php::sql::{Answer, Engine, Failure, Purpose, Step};
use crate::store::postgres::shared::{DRIVER, all, at_run, failed};

use super::pool::{Link, Pool};
use super::words::PostgresWords;

/// A PostgreSQL server, with the words for one table.
#[derive(Debug)]
pub(super) struct Postgres<W = PostgresWords> {
    pub(super) calls: Pool,
    pub(super) locks: Pool,
    pub(super) words: W,
}

impl Postgres<()> {
    /// Adds the words for the table, which was looked at meanwhile.
    pub(super) fn with(self, words: PostgresWords) -> Postgres {
        let Self { calls, locks, words: () } = self;
        Postgres { calls, locks, words }
    }
}

impl Engine for Postgres {
    type Link = Link;
    type Words = PostgresWords;

    fn words(&self) -> &PostgresWords {
        &self.words
    }

    async fn lend(&self, purpose: Purpose) -> Result<Link> {
        match purpose {
            Purpose::Call => self.calls.lend(no_connection).await,
            Purpose::Lock => self.locks.lend(no_lock_connection).await,
        }
    }

    fn give_back(&self, link: Link) {
        link.give_back();
    }

    async fn run(&self, link: &mut Link, steps: Vec<Step>) -> Result<Vec<Answer>, Failure> {
        let texts: Vec<_> = steps.into_iter().map(text).collect();
        let sent = texts.iter().map(|text| link.client().simple_query(text));
        let messages = all(sent).await.map_err(failure)?;
        Ok(messages.into_iter().flat_map(answers).collect())
    }
}

fn text(step: Step) -> String {
    match step {
        Step::One(statement) => statement,
        // One message of several statements is one transaction.
        Step::Together(statements) => statements.join(";"),
    }
}

/// Divides what came for a message into the answers of its statements.
pub(super) fn answers(messages: Vec<SimpleQueryMessage>) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut answer = Answer::default();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => answer.rows.push(cells(&row)),
            SimpleQueryMessage::CommandComplete(found) => {
                answers.push(Answer { found, ..std::mem::take(&mut answer) });
            }
            _ => {}
        }
    }
    answers
}

fn cells(row: &SimpleQueryRow) -> Vec<Option<Bytes>> {
    (0..row.len()).map(|n| row.get(n).map(|cell| Bytes::copy_from_slice(cell.as_bytes()))).collect()
}

fn failure(error: PgError) -> Failure {
    match error.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => Failure::Duplicate,
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => Failure::NotInTime,
        _ => Failure::Failed(at_run(error)),
    }
}

pub(super) fn no_connection() -> Error {
    failed(
        ErrorKind::TimedOut,
        "no connection came free within `connect_timeout`: the server is slow, or `connections` is too low",
    )
}

fn no_lock_connection() -> Error {
    let message = "all `lock_connections` are in use: raise it, or let handlers end sooner";
    Error::new(ErrorKind::Busy, message).in_driver(DRIVER)
}
