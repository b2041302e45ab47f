//! Waiting for the end of a lease: woken by the database where it can, looking again where it can't.

use std::time::Duration;

use super::error::at_run;
use super::slot::Slot;
use super::statements::Statement;
use crate::random::jittered;
use crate::store::StoreKey;
use crate::store::waits::Ticket;

/// Pauses between two looks at a lease whose end nobody announces: short at first, then longer.
const FIRST_POLL: Duration = Duration::from_millis(5);
const LAST_POLL: Duration = Duration::from_millis(25);

/// The pause between two looks at a lease whose end is announced, in case an announcement was lost.
const LISTENING: Duration = Duration::from_secs(1);

/// Returns when a lease was ended by a call of this store, was announced to have ended, or is seen to be
/// free. An error is left to the acquire that follows.
pub(super) async fn lease_is_free(
    requests: &Slot,
    service: &Slot,
    key: &StoreKey,
    ticket: &Ticket<'_>,
    listen: bool,
) {
    let mut poll = FIRST_POLL;
    loop {
        // Listening comes first: whatever ends the lease after it is marked will be heard.
        let listens = listen && service.connection().await.is_ok_and(|connection| connection.listens());
        let pause = if listens {
            let Some(left) = time_left(requests, Statement::Await, key).await else { return };
            LISTENING.min(left)
        } else {
            jittered(poll)
        };
        if tokio::time::timeout(pause, ticket.released()).await.is_ok() {
            return;
        }
        if !listens && time_left(requests, Statement::Look, key).await.is_none() {
            return;
        }
        poll = LAST_POLL.min(poll * 2);
    }
}

/// Returns how long the lease is held without a renewal; `None` if nobody holds it or that can't be told.
async fn time_left(slot: &Slot, statement: Statement, key: &StoreKey) -> Option<Duration> {
    let row = slot.query_opt(statement, &[&&key.as_bytes()[..]]).await.ok()??;
    let micros: i64 = row.try_get(0).map_err(at_run).ok()?;
    Some(Duration::from_micros(micros.max(0).unsigned_abs()))
}
