//! What happens to a session around a handler: attached before it, committed or abandoned after it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Result;
use crate::lifecycle::{Core, Exchange, Prepared};
use crate::policy::OnServerError;

/// What the layer leaves in a request for those inside it.
#[derive(Clone)]
pub(super) struct Attached(pub(super) Arc<Exchange>);

/// A session that a handler works on: abandoned, if the handler does not come to its end.
///
/// None, if the same sessions are around the route already: they are the same sessions once.
pub(super) struct AtWork(Option<Arc<Exchange>>);

impl AtWork {
    /// Begins with a request, to which the second value is to be attached.
    pub(super) fn begin(core: &Arc<Core>, outside: Option<&Attached>) -> (Self, Option<Attached>) {
        if outside.is_some_and(|outside| Arc::ptr_eq(outside.0.core(), core)) {
            return (Self(None), None);
        }
        let exchange = Arc::new(Exchange::new(Arc::clone(core)));
        (Self(Some(Arc::clone(&exchange))), Some(Attached(exchange)))
    }

    /// Says what is to be done now that the handler has answered with a status.
    pub(super) fn answered(&mut self, status: u16) -> Next {
        let Some(exchange) = self.0.take().filter(|exchange| exchange.is_opened()) else {
            return Next::Leave;
        };
        let discard = exchange.core().policy.on_server_error == OnServerError::Discard;
        if discard && (500..600).contains(&status) {
            // What was committed by `close` stays committed, and so does its cookie.
            exchange.abandon();
            return Next::Answer(exchange, Ok(()));
        }
        match exchange.begin_commit() {
            Ok(Some(prepared)) => Next::Commit(Commit::new(exchange, prepared)),
            done => Next::Answer(exchange, done.map(drop)),
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.abandon();
        }
    }
}

/// What is to be done after a handler.
pub(super) enum Next {
    /// Nobody took the session: the response leaves as it is.
    Leave,
    /// The commit has come to its end without a wait.
    Answer(Arc<Exchange>, Result<()>),
    /// The commit waits for the store.
    Commit(Commit),
}

/// A commit that comes to its end, also if the client hangs up.
pub(super) struct Commit {
    pub(super) exchange: Arc<Exchange>,
    running: Running,
}

type Running = Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>;

impl Commit {
    fn new(exchange: Arc<Exchange>, prepared: Box<Prepared>) -> Self {
        let begun = Arc::clone(&exchange);
        Self { exchange, running: Some(Box::pin(async move { begun.finish_commit(prepared).await })) }
    }

    /// Goes on, in a server with one runtime.
    #[cfg(feature = "tower")]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll(&mut self.running, cx)
    }

    /// Goes on, in a server whose threads have runtimes that end with them: what the commit begins, a timer say, it
    /// begins in the one in which the sessions were made.
    #[cfg(feature = "actix")]
    pub(super) fn poll_at_home(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let _home = self.exchange.core().off_path.home().enter();
        poll(&mut self.running, cx)
    }
}

fn poll(commit: &mut Running, cx: &mut Context<'_>) -> Poll<Result<()>> {
    // Taken out, so that one that panics is not polled again when it is dropped.
    let Some(mut running) = commit.take() else { return Poll::Ready(Ok(())) };
    let polled = running.as_mut().poll(cx);
    if polled.is_pending() {
        *commit = Some(running);
    }
    polled
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.exchange.core().off_path.run(async move { drop(running.await) });
        }
    }
}
