//! Calls that go on when whoever made them is gone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A call, and what is to be done with an answer that nobody waits for any more.
///
/// It is polled by its caller, which costs no task. Only if it is dropped half-way it gets one.
pub(super) struct ToTheEnd<T, U, F>
where
    T: Send + 'static,
    U: FnOnce(T) -> F + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// Nothing is left once it has been answered.
    call: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    unwanted: Option<U>,
}

impl<T, U, F> ToTheEnd<T, U, F>
where
    T: Send + 'static,
    U: FnOnce(T) -> F + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    pub(super) fn new(call: impl Future<Output = T> + Send + 'static, unwanted: U) -> Self {
        Self { call: Some(Box::pin(call)), unwanted: Some(unwanted) }
    }
}

impl<T, U, F> Future for ToTheEnd<T, U, F>
where
    T: Send + 'static,
    U: FnOnce(T) -> F + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let call = self.call.as_mut().expect("a call is not polled again after its answer");
        let answer = std::task::ready!(call.as_mut().poll(cx));
        self.call = None;
        Poll::Ready(answer)
    }
}

impl<T, U, F> Drop for ToTheEnd<T, U, F>
where
    T: Send + 'static,
    U: FnOnce(T) -> F + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn drop(&mut self) {
        let (Some(call), Some(unwanted)) = (self.call.take(), self.unwanted.take()) else { return };
        // Without a runtime the connections are gone, too.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { unwanted(call.await).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::{Notify, oneshot};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_somebody_waits_for_is_theirs() {
        let call = ToTheEnd::new(async { 7 }, async |_: i32| panic!("it is wanted"));
        assert_eq!(call.await, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_caller_is_gone_goes_on_to_its_end() {
        let server = Arc::new(Notify::new());
        let (undo, undone) = oneshot::channel();
        let asked = Arc::clone(&server);
        let call = ToTheEnd::new(
            async move {
                asked.notified().await;
                7
            },
            async move |answer| undo.send(answer).expect("the test waits"),
        );
        assert!(timeout(Duration::from_millis(1), call).await.is_err(), "it is given up");
        server.notify_one();
        assert_eq!(undone.await, Ok(7));
    }
}
