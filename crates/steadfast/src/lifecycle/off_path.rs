//! Work that no response waits for: releases, touches, first presentations.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Runs work that no response waits for, and can wait for all of it at shutdown.
///
/// It runs in the runtime in which the sessions were made. A server may have others, which end before it does:
/// each of actix-web's threads has one of its own.
#[derive(Clone)]
pub(crate) struct OffPath {
    home: Handle,
    running: Arc<Running>,
}

#[derive(Default)]
struct Running {
    count: AtomicUsize,
    idle: Notify,
}

impl OffPath {
    /// Called within the runtime in which everything is to run.
    pub(crate) fn new() -> Self {
        Self { home: Handle::current(), running: Arc::default() }
    }

    /// Returns the runtime in which everything runs.
    #[cfg(feature = "actix")]
    pub(crate) fn home(&self) -> &Handle {
        &self.home
    }

    /// Runs a future to its end, whether or not anybody waits for it.
    ///
    /// It is polled once here, because an embedded store is often done by then, which spares a task.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        // What it begins, a timer say, is to last as long as the task that goes on with it.
        let _home = self.home.enter();
        let mut context = Context::from_waker(Waker::noop());
        if work.as_mut().poll(&mut context) == Poll::Ready(()) {
            return;
        }
        let guard = Guard::new(&self.running);
        self.home.spawn(async move {
            work.await;
            drop(guard);
        });
    }

    /// Waits until nothing runs any more.
    pub(crate) async fn drained(&self) {
        let mut idle = std::pin::pin!(self.running.idle.notified());
        loop {
            idle.as_mut().enable();
            if self.running.count.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.as_mut().await;
            idle.set(self.running.idle.notified());
        }
    }
}

/// Counts one piece of work, also if it panics.
struct Guard(Arc<Running>);

impl Guard {
    fn new(running: &Arc<Running>) -> Self {
        running.count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(running))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn work_goes_on_when_the_runtime_of_the_request_is_gone() {
        let home = Builder::new_current_thread().enable_time().build().unwrap();
        let worker = Builder::new_current_thread().enable_time().build().unwrap();
        let off_path = home.block_on(async { OffPath::new() });
        let ((go, gone), (done, is_done)) = (oneshot::channel::<()>(), oneshot::channel());
        worker.block_on(async {
            off_path.run(async move {
                let gone = tokio::time::timeout(Duration::from_secs(3_600), gone).await;
                done.send(gone.is_ok()).unwrap();
            });
        });
        drop(worker);
        go.send(()).unwrap();
        assert!(home.block_on(is_done).unwrap());
    }
}
