//! The queue between callers and threads.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Most jobs that may wait. More means that the disk can't keep up, and waiting longer helps nobody.
const CAPACITY: usize = 16_384;

/// Jobs in order of arrival, for one thread or several.
///
/// Unlike a channel of the standard library it has several takers, lets one take all that waits under one
/// lock, and makes no system call unless a thread sleeps.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    jobs: VecDeque<T>,
    /// Threads that sleep and have not been called yet.
    asleep: usize,
    closed: bool,
}

/// Why a job was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many as allowed are waiting.
    Full,
    /// Its threads have ended.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), asleep: 0, closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Adds a job and calls a thread if one sleeps.
    pub(super) fn push(&self, job: T) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.jobs.len() >= CAPACITY {
            return Err(Refused::Full);
        }
        state.jobs.push_back(job);
        if state.asleep > 0 {
            state.asleep -= 1;
            drop(state);
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for a job, without taking it. Returns false when the queue is closed and empty.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.lock();
        loop {
            if !state.jobs.is_empty() {
                return true;
            }
            if state.closed {
                return false;
            }
            state.asleep += 1;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the jobs that wait now, at most `most`; possibly none.
    pub(super) fn take(&self, most: usize) -> Vec<T> {
        let mut state = self.lock();
        let count = state.jobs.len().min(most);
        state.jobs.drain(..count).collect()
    }

    /// Takes in no more. What waits is still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock, so the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue").field("waiting", &state.jobs.len()).field("closed", &state.closed).finish()
    }
}

/// Closes a queue and drops its jobs when its thread ends, by a panic too: nobody waits for an answer
/// that can't come.
pub(super) struct CloseOnDrop<'a, T>(pub(super) &'a Queue<T>);

impl<T> Drop for CloseOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_takes_in_nothing() {
        let queue = Queue::new();
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        queue.close();
        assert_eq!(queue.push(3), Err(Refused::Closed));
        assert!(queue.wait());
        assert_eq!(queue.take(1), [1]);
        assert_eq!(queue.take(8), [2]);
        assert!(!queue.wait());
    }

    #[test]
    fn a_full_queue_refuses() {
        let queue = Queue::new();
        for n in 0..CAPACITY {
            queue.push(n).unwrap();
        }
        assert_eq!(queue.push(0), Err(Refused::Full));
    }

    #[test]
    fn every_job_of_several_pushers_reaches_one_of_several_takers() {
        let queue = Queue::new();
        let sum = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut sum = 0;
                        while queue.wait() {
                            sum += queue.take(3).into_iter().sum::<u64>();
                        }
                        sum
                    })
                })
                .collect();
            let pushers: Vec<_> =
                (0..2).map(|_| scope.spawn(|| (1..=1_000).for_each(|n| queue.push(n).unwrap()))).collect();
            pushers.into_iter().for_each(|p| p.join().unwrap());
            queue.close();
            takers.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
        });
        assert_eq!(sum, 2 * 500_500);
    }
}
