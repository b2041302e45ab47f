//! The threads that read: what waits is answered from one snapshot.

use std::sync::Arc;

use super::db::Db;
use super::job::{Job, Jobs};
use super::queue::CloseOnDrop;

/// Most calls answered from one snapshot, so that the others of several readers have work too.
const GROUP: usize = 16;

/// Runs jobs until the queue is closed and empty.
pub(super) fn run(db: &Db, jobs: &Jobs) {
    let _close = CloseOnDrop(jobs);
    while jobs.wait() {
        // Another reader may have been faster.
        read(db, jobs.take(GROUP));
    }
}

/// Answers calls from a snapshot that is taken after all of them were made.
fn read(db: &Db, mut group: Vec<Box<dyn Job>>) {
    if group.len() < 2 {
        return group.into_iter().for_each(|job| run_one(db, job));
    }
    // One transaction saves locking and unlocking the log for each. If it can't begin, each call says why.
    let together = db.execute("BEGIN", []).is_ok();
    group.drain(..).for_each(|job| run_one(db, job));
    if together {
        // It only read, so there is nothing to lose; and unlike a commit, this always ends the snapshot.
        let _ = db.execute("ROLLBACK", []);
    }
}

fn run_one(db: &Db, mut job: Box<dyn Job>) {
    match job.run(db) {
        Ok(()) => job.answer(),
        Err(error) => job.fail(Arc::new(error)),
    }
}
