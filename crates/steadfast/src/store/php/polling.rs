//! Waiting for a lock of PHP's where nobody tells that it has ended.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use crate::random::jittered;
use crate::store::waits::Ticket;

/// How often a waiter looks whether PHP has given its lock back: at first, and after some looks.
///
/// PHP's own waiters look every 100 ms (CodeIgniter 4 on Redis), every second (the other drivers of CodeIgniter),
/// every 2 ms (phpredis) or every 150 ms (php-memcached).
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(25);

/// Returns when a lock is seen to be free, or was ended by a call in this process.
///
/// Whoever can't tell whether it is held says no, and leaves the error to the call that follows.
pub(super) async fn until_free<F>(ticket: &Ticket<'_>, is_held: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let mut pause = FIRST_LOOK;
    loop {
        if timeout(jittered(pause), ticket.released()).await.is_ok() || !is_held().await {
            return;
        }
        pause = LAST_LOOK.min(pause + FIRST_LOOK / 4);
    }
}
