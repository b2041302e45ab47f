//! Two pools of connections: one for calls, and one for locks, so that handlers which hold locks keep nobody
//! from reading.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Pool, Row, Value};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind, Result};
use crate::store::mysql::shared::{BEGIN, COMMIT, DRIVER, Fault, Link, When, explain, no_connection};
use crate::store::php::sql::{Answer, Engine, Failure, Purpose, Step};

use super::words::MysqlWords;

/// A MySQL or MariaDB server, with the words for one table.
pub(super) struct Mysql<W = MysqlWords> {
    pub(super) calls: Pool,
    pub(super) locks: Pool,
    pub(super) multi_statements: bool,
    pub(super) timeout: Duration,
    pub(super) words: W,
}

impl Mysql<()> {
    /// Adds the words for the table, which was looked at meanwhile.
    pub(super) fn with(self, words: MysqlWords) -> Mysql {
        let Self { calls, locks, multi_statements, timeout, words: () } = self;
        Mysql { calls, locks, multi_statements, timeout, words }
    }
}

impl<W> Mysql<W> {
    pub(super) async fn connection(&self, purpose: Purpose, when: When) -> Result<Link> {
        let pool = match purpose {
            Purpose::Call => &self.calls,
            Purpose::Lock => &self.locks,
        };
        match timeout(self.timeout, pool.get_conn()).await {
            Ok(conn) => conn.map(Link::new).map_err(|error| explain(error.into(), when)),
            Err(_) if purpose == Purpose::Lock => Err(no_lock_connection()),
            Err(_) => Err(no_connection()),
        }
    }

    /// Sends statements, together if that is allowed, and returns what each answered.
    pub(super) async fn send(&self, link: &mut Link, statements: Vec<String>) -> Result<Vec<Answer>, Fault> {
        if self.multi_statements {
            return send(link, statements.join(";"), statements.len()).await;
        }
        let mut answers = Vec::with_capacity(statements.len());
        for statement in statements {
            answers.extend(send(link, statement, 1).await?);
        }
        Ok(answers)
    }
}

impl Engine for Mysql {
    type Link = Link;
    type Words = MysqlWords;

    fn words(&self) -> &MysqlWords {
        &self.words
    }

    async fn lend(&self, purpose: Purpose) -> Result<Link> {
        self.connection(purpose, When::Running).await
    }

    fn give_back(&self, link: Link) {
        link.give_back();
    }

    async fn run(&self, link: &mut Link, steps: Vec<Step>) -> Result<Vec<Answer>, Failure> {
        let mut statements = Vec::new();
        // Beginning and end of a transaction answer nothing that is asked for.
        let mut asked_for = Vec::new();
        for step in steps {
            match step {
                Step::One(statement) => {
                    statements.push(statement);
                    asked_for.push(true);
                }
                Step::Together(transaction) => {
                    asked_for.push(false);
                    asked_for.extend(transaction.iter().map(|_| true));
                    asked_for.push(false);
                    statements.push(BEGIN.to_owned());
                    statements.extend(transaction);
                    statements.push(COMMIT.to_owned());
                }
            }
        }
        let answers = self.send(link, statements).await.map_err(failure)?;
        Ok(answers.into_iter().zip(asked_for).filter_map(|(answer, asked)| asked.then_some(answer)).collect())
    }
}

impl<W> fmt::Debug for Mysql<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mysql").field("multi_statements", &self.multi_statements).finish_non_exhaustive()
    }
}

async fn send(link: &mut Link, text: String, statements: usize) -> Result<Vec<Answer>, Fault> {
    let mut result = link.conn().query_iter(text).await?;
    let mut answers = Vec::with_capacity(statements);
    for _ in 0..statements {
        let mut answer = Answer { rows: Vec::new(), found: result.affected_rows() };
        // The end of one result is the step to the next.
        while let Some(row) = result.next().await? {
            answer.rows.push(cells(row)?);
        }
        answers.push(answer);
    }
    result.drop_result().await?;
    Ok(answers)
}

/// Takes a row apart: answers to texts are text.
fn cells(row: Row) -> Result<Vec<Option<Bytes>>, Fault> {
    let cell = |value| match value {
        Value::NULL => Ok(None),
        Value::Bytes(bytes) => Ok(Some(Bytes::from(bytes))),
        _ => Err(Fault::Column),
    };
    row.unwrap().into_iter().map(cell).collect()
}

fn failure(fault: Fault) -> Failure {
    match fault {
        fault if fault.is_duplicate() => Failure::Duplicate,
        fault if fault.is_undone() => Failure::NotInTime,
        fault => Failure::Failed(explain(fault, When::Running)),
    }
}

fn no_lock_connection() -> Error {
    let message = "all `lock_connections` are in use: raise it, or let handlers end sooner";
    Error::new(ErrorKind::Busy, message).in_driver(DRIVER)
}
