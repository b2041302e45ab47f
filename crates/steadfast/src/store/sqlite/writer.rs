//! The thread that writes: all that waits becomes one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::db::Db;
use super::file::is_busy;
use super::job::{Job, Jobs};
use super::queue::CloseOnDrop;
use crate::random::jittered;

/// Most calls in one transaction, so that other processes get the lock in between.
const GROUP: usize = 256;

/// Pauses between two tries to get the lock that another process holds: its transactions are short, so
/// the first is too. SQLite's own waiting begins at one millisecond and ends at a hundred.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// Counts what the writer did.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) operations: AtomicU64,
    pub(super) transactions: AtomicU64,
}

/// Runs jobs until the queue is closed and empty.
pub(super) fn run(db: &Db, jobs: &Jobs, counters: &Counters, busy_timeout: Duration) {
    let _close = CloseOnDrop(jobs);
    let writer = Writer { db, counters, busy_timeout };
    while jobs.wait() {
        writer.commit_what_waits(jobs);
    }
}

struct Writer<'a> {
    db: &'a Db,
    counters: &'a Counters,
    busy_timeout: Duration,
}

impl Writer<'_> {
    /// Takes the lock, then the jobs: those that arrive while it waits for another process go with them.
    fn commit_what_waits(&self, jobs: &Jobs) {
        if let Err(error) = self.begin() {
            // Nobody waits longer than one busy timeout, so all that wait now fail together.
            return fail_all(jobs.take(usize::MAX), error);
        }
        let mut group = jobs.take(GROUP);
        match self.run_and_commit(&mut group) {
            Ok(()) => group.into_iter().for_each(Job::answer),
            Err(error) if group.len() == 1 => fail_all(group, error),
            // One of them could not be done and took the others down. Each for itself, only that one fails.
            Err(_) => self.commit_each(group),
        }
    }

    fn commit_each(&self, group: Vec<Box<dyn Job>>) {
        let mut group = group.into_iter();
        while let Some(mut job) = group.next() {
            if let Err(error) = self.begin() {
                return fail_all(std::iter::once(job).chain(group), error);
            }
            match self.run_and_commit(std::slice::from_mut(&mut job)) {
                Ok(()) => job.answer(),
                Err(error) => job.fail(Arc::new(error)),
            }
        }
    }

    fn begin(&self) -> rusqlite::Result<()> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.db.execute("BEGIN IMMEDIATE", []) {
                Err(error) if is_busy(&error) && started.elapsed() < self.busy_timeout => {
                    thread::sleep(jittered(pause));
                    pause = LAST_PAUSE.min(pause * 2);
                }
                began => return began.map(drop),
            }
        }
    }

    /// Runs jobs in the transaction that was begun. After an error none of them has happened.
    fn run_and_commit(&self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let done = jobs
            .iter_mut()
            .try_for_each(|job| job.run(self.db))
            .and_then(|()| self.db.execute("COMMIT", []).map(drop));
        match done {
            Ok(()) => {
                self.counters.operations.fetch_add(jobs.len() as u64, Ordering::Relaxed);
                self.counters.transactions.fetch_add(1, Ordering::Relaxed);
            }
            // SQLite may have rolled back by itself already.
            Err(_) if self.db.conn.is_autocommit() => {}
            // A failing rollback would leave the transaction open, and the next BEGIN report that.
            Err(_) => drop(self.db.execute("ROLLBACK", [])),
        }
        done
    }
}

fn fail_all(jobs: impl IntoIterator<Item = Box<dyn Job>>, error: rusqlite::Error) {
    let error = Arc::new(error);
    jobs.into_iter().for_each(|job| job.fail(Arc::clone(&error)));
}
