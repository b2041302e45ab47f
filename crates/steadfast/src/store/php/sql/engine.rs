//! What an engine does for the store: lend connections, and run statements on them.

use std::fmt;
use std::future::Future;

use bytes::Bytes;

use crate::error::{Error, Result};

use super::words::Words;

/// What a connection is lent for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store::php) enum Purpose {
    /// One call, which takes a moment.
    Call,
    /// A lock, which a handler may hold for as long as it runs.
    Lock,
}

/// What is sent together, and takes effect together or one after the other.
pub(in crate::store::php) enum Step {
    /// One statement, which has taken effect before the next step begins.
    One(String),
    /// A transaction.
    Together(Vec<String>),
}

/// What one statement answered.
#[derive(Default)]
pub(in crate::store::php) struct Answer {
    /// Its rows.
    pub(in crate::store::php) rows: Vec<Vec<Option<Bytes>>>,
    /// How many rows it has found to change, if it changes any.
    pub(in crate::store::php) found: u64,
}

/// Why statements were not run to the end. Their connection is closed then.
pub(in crate::store::php) enum Failure {
    /// There is a row of that name.
    Duplicate,
    /// A lock was not given in the time that the statement allows: CodeIgniter's, a row's, or the table's.
    NotInTime,
    /// Anything else.
    Failed(Error),
}

/// A database, and its connections.
pub(in crate::store::php) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// A connection. Unless it is [given back](Self::give_back) it is closed, and with it goes its lock.
    type Link: Send + 'static;

    /// How this engine says it.
    type Words: Words;

    fn words(&self) -> &Self::Words;

    /// Lends a connection of the pool for a purpose, in bounded time.
    fn lend(&self, purpose: Purpose) -> impl Future<Output = Result<Self::Link>> + Send;

    /// Takes a connection back, for others to use. It holds no lock.
    fn give_back(&self, link: Self::Link);

    /// Runs steps, in one round trip where that is allowed, and returns the answer of each statement.
    fn run(
        &self,
        link: &mut Self::Link,
        steps: Vec<Step>,
    ) -> impl Future<Output = Result<Vec<Answer>, Failure>> + Send;
}

impl Answer {
    /// Returns the first cell, if it has one.
    fn first(&self) -> Option<&Bytes> {
        self.rows.first()?.first()?.as_ref()
    }

    /// Reports whether it says yes.
    pub(super) fn is_yes(&self) -> bool {
        self.first().is_some_and(|cell| &cell[..] == b"1")
    }
}
