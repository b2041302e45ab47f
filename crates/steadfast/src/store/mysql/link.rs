//! A connection while work is done on it.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use mysql_async::prelude::{FromRow, Queryable as _};
use mysql_async::{Conn, Row, Value};

use super::error::Fault;
use super::sql::ROLLBACK;

/// A connection of the pool. Unless it is [given back](Self::give_back) it is closed: then nobody knows
/// whether the last answer has been read, or a transaction is open.
pub(in crate::store) struct Link {
    /// `None` once it was given back.
    conn: Option<Conn>,
    in_transaction: bool,
}

impl Link {
    pub(in crate::store) fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), in_transaction: false }
    }

    /// Hands the connection back to its pool, for others to use.
    pub(in crate::store) fn give_back(mut self) {
        drop(self.conn.take());
    }

    /// Runs a prepared statement that returns no rows, and returns how many it found.
    pub(super) async fn change(&mut self, sql: &str, params: Vec<Value>) -> Result<u64, Fault> {
        let conn = self.conn();
        conn.exec_drop(sql, params).await?;
        Ok(conn.affected_rows())
    }

    /// Runs a prepared statement and returns its first row.
    pub(super) async fn first<T>(&mut self, sql: &str, params: Vec<Value>) -> Result<Option<T>, Fault>
    where
        T: FromRow + Send + 'static,
    {
        Ok(self.conn().exec_first(sql, params).await?)
    }

    /// Runs a prepared statement and returns its rows.
    pub(super) async fn rows(&mut self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, Fault> {
        Ok(self.conn().exec(sql, params).await?)
    }

    /// Sends text, which may be several statements, and returns how many rows each of those that return
    /// none has found.
    ///
    /// After an error of one, those that follow were not run.
    pub(super) async fn send(&mut self, sql: String) -> Result<Vec<u64>, Fault> {
        let mut result = self.conn().query_iter(sql).await?;
        let mut found = Vec::with_capacity(4);
        loop {
            found.push(result.affected_rows());
            let last = result.is_empty();
            // The end of one result is the step to the next.
            while result.next().await?.is_some() {}
            if last {
                return Ok(found);
            }
        }
    }

    /// Sends text of two statements, the first without rows, and returns the first row of the second.
    pub(super) async fn send_for_row(&mut self, sql: String) -> Result<Option<Row>, Fault> {
        let mut result = self.conn().query_iter(sql).await?;
        // The end of the first, which has no rows, is the step to the second.
        result.next().await?;
        let row = result.next().await?;
        result.drop_result().await?;
        Ok(row)
    }

    /// Says that what is sent from now on is, or begins, a transaction.
    pub(super) fn expect_transaction(&mut self) {
        self.in_transaction = true;
    }

    /// Says that the transaction has ended.
    pub(super) fn transaction_ended(&mut self) {
        self.in_transaction = false;
    }

    /// Undoes what a transaction has done so far, if there may be one.
    pub(super) async fn roll_back(&mut self) -> Result<(), Fault> {
        if self.in_transaction {
            self.conn().query_drop(ROLLBACK).await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    pub(in crate::store) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a link has its connection until it is given back")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            close(conn);
        }
    }
}

/// Closes a connection without waiting for anything.
///
/// Dropped as it is it would go back to its pool, which reads what the server still has to say, however long
/// that takes, and does not know of our transactions. The first step of `disconnect` marks it as closed, and
/// then the pool only forgets it. The server ends what it was doing when it notices.
fn close(conn: Conn) {
    let mut closing = pin!(conn.disconnect());
    // Whether the farewell could be said does not matter.
    let _ = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}
