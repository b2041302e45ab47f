//! Connections that one call has at a time: what is held on one, as a lock is, must not meet another call.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::store::postgres::shared::{Held, Own, Role, Source as _, too_slow_to_connect};

/// After this time without work a connection is closed when another one is asked for.
const IDLE: Duration = Duration::from_secs(60);

/// A bounded number of connections.
pub(super) struct Pool {
    own: Arc<Own>,
    /// Those that nobody uses, the last one used at the end.
    idle: Arc<Mutex<Vec<Idle>>>,
    room: Arc<Semaphore>,
    connect_timeout: Duration,
}

struct Idle {
    held: Box<dyn Held>,
    since: Instant,
}

/// A connection of the pool. Unless it is [given back](Self::give_back) it is closed.
pub(super) struct Link {
    /// `None` once it was given back.
    held: Option<Box<dyn Held>>,
    idle: Arc<Mutex<Vec<Idle>>>,
    _room: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(own: &Arc<Own>, connections: usize, connect_timeout: Duration) -> Self {
        let room = Arc::new(Semaphore::new(connections));
        Self { own: Arc::clone(own), idle: Arc::default(), room, connect_timeout }
    }

    /// Lends a connection, for which it waits for as long as a new one may take to be made.
    ///
    /// # Errors
    ///
    /// Those of connecting, or `no_room` if all connections are in use.
    pub(super) async fn lend(&self, no_room: impl FnOnce() -> Error) -> Result<Link> {
        let room = timeout(self.connect_timeout, Arc::clone(&self.room).acquire_owned()).await;
        // It is never closed.
        let Ok(Ok(room)) = room else { return Err(no_room()) };
        let held = match self.take_idle() {
            Some(held) => held,
            None => timeout(self.connect_timeout, self.own.connect(Role::Requests))
                .await
                .map_err(|_| too_slow_to_connect())??,
        };
        Ok(Link { held: Some(held), idle: Arc::clone(&self.idle), _room: room })
    }

    /// Takes the connection that was used last, and closes those that nobody has used for long.
    fn take_idle(&self) -> Option<Box<dyn Held>> {
        let mut idle = lock(&self.idle);
        idle.retain(|idle| !idle.held.client().is_closed() && idle.since.elapsed() < IDLE);
        idle.pop().map(|idle| idle.held)
    }
}

impl Link {
    pub(super) fn client(&self) -> &Client {
        self.held.as_ref().expect("a link has its connection until it is given back").client()
    }

    /// Hands the connection back to its pool, for others to use.
    pub(super) fn give_back(mut self) {
        if let Some(held) = self.held.take() {
            lock(&self.idle).push(Idle { held, since: Instant::now() });
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandon();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { own: _, idle, room, connect_timeout: _ } = self;
        f.debug_struct("Pool")
            .field("idle", &lock(idle).len())
            .field("room", &room.available_permits())
            .finish_non_exhaustive()
    }
}

fn lock(idle: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
