//! Lends connections: in bounded time, again after a deadlock, never one that was left half-way.

use std::time::Duration;

use mysql_async::{Conn, Pool};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::Result;
use crate::random::jittered;

use super::error::{Fault, When, explain, no_answer, no_connection};
use super::link::Link;

/// How often work is done again that other transactions have undone. Deadlocks need two who hold two locks
/// each; only the purge and a change of privilege do, so the second try nearly always succeeds.
const REPEATS: u32 = 4;

/// The pause before work is done again: about what a transaction takes.
const PAUSE: Duration = Duration::from_millis(4);

/// The pool, and how long a call may take with it.
pub(super) struct Lender {
    pool: Pool,
    timeout: Duration,
    when: When,
}

impl Lender {
    pub(super) fn new(pool: Pool, timeout: Duration, when: When) -> Self {
        Self { pool, timeout, when }
    }

    /// Returns the same pool, for the calls of a store that has been opened.
    pub(super) fn running(self) -> Self {
        Self { when: When::Running, ..self }
    }

    /// Does work on a connection, within `timeout` all in all. The work returns the connection with its
    /// outcome.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped or out of time, the connection is closed. The server may still do the last
    /// statement that it was sent; a transaction that was not committed is undone.
    pub(super) async fn run<T, F>(&self, work: impl Fn(Link) -> F) -> Result<T>
    where
        F: Future<Output = (Result<T, Fault>, Link)>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut lent = false;
        // One timer for all of it, as each costs.
        match timeout_at(deadline, self.lend(work, deadline, &mut lent)).await {
            Ok(done) => done,
            Err(_) if lent => Err(no_answer()),
            Err(_) => Err(no_connection()),
        }
    }

    /// Does work on a connection; says when it has one.
    async fn lend<T, F>(&self, work: impl Fn(Link) -> F, deadline: Instant, lent: &mut bool) -> Result<T>
    where
        F: Future<Output = (Result<T, Fault>, Link)>,
    {
        let mut link = Link::new(self.connection().await?);
        *lent = true;
        let mut repeats = REPEATS;
        loop {
            let done;
            (done, link) = work(link).await;
            let fault = match done {
                Ok(done) => {
                    link.give_back();
                    return Ok(done);
                }
                Err(fault) if fault.spoils_the_connection() => return Err(explain(fault, self.when)),
                Err(fault) => fault,
            };
            link.roll_back().await.map_err(|fault| explain(fault, self.when))?;
            if !fault.is_undone() || repeats == 0 {
                link.give_back();
                return Err(explain(fault, self.when));
            }
            repeats -= 1;
            sleep_until(deadline.min(Instant::now() + jittered(PAUSE))).await;
        }
    }

    /// Takes a connection from the pool, which makes one if there is none and looks whether an idle one was
    /// closed meanwhile.
    async fn connection(&self) -> Result<Conn> {
        self.pool.get_conn().await.map_err(|error| explain(error.into(), self.when))
    }
}
