//! A call on its way: what to do on a thread, and who waits for the answer.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::db::Db;
use super::error::{at_run, failed};
use super::queue::{Queue, Refused};
use crate::error::{Error, ErrorKind, Result};

/// The jobs of a thread.
pub(super) type Jobs = Queue<Box<dyn Job>>;

/// A call without its types. It may run twice: if the transaction around it fails, it runs again alone.
pub(super) trait Job: Send {
    /// Does the work and keeps the outcome.
    fn run(&mut self, db: &Db) -> rusqlite::Result<()>;

    /// Hands the outcome over.
    fn answer(self: Box<Self>);

    /// Hands an error over instead.
    fn fail(self: Box<Self>, error: Arc<rusqlite::Error>);
}

/// What to do with a call whose future was dropped before its turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfDropped {
    /// Run it: somebody counts on its effect.
    Run,
    /// Forget it: only the dropped future could have used its effect.
    Forget,
}

struct Call<T, F> {
    operation: F,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T>>,
    if_dropped: IfDropped,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: Fn(&Db) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, db: &Db) -> rusqlite::Result<()> {
        self.outcome = None;
        if self.if_dropped == IfDropped::Run || !self.reply.is_closed() {
            self.outcome = Some((self.operation)(db)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // An error only says that nobody waits any more.
            let _ = self.reply.send(Ok(outcome));
        }
    }

    fn fail(self: Box<Self>, error: Arc<rusqlite::Error>) {
        let _ = self.reply.send(Err(at_run(error)));
    }
}

/// Has an operation run by a thread of the queue and returns its outcome.
///
/// # Cancel safety
///
/// Once it has been polled the operation is in the queue; `if_dropped` says what becomes of it.
pub(super) async fn call<T, F>(jobs: &Jobs, if_dropped: IfDropped, operation: F) -> Result<T>
where
    T: Send + 'static,
    F: Fn(&Db) -> rusqlite::Result<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    jobs.push(Box::new(Call { operation, outcome: None, reply, if_dropped })).map_err(refused)?;
    answer.await.unwrap_or_else(|_| Err(refused(Refused::Closed)))
}

fn refused(refused: Refused) -> Error {
    let message = match refused {
        Refused::Full => "too many calls wait for the database: the disk can't keep up with the requests",
        Refused::Closed => "a thread of the store has panicked: see its message, and restart the process",
    };
    failed(ErrorKind::Unavailable, message)
}
