//! The link to the server: the connection of the moment, and its replacement.
//!
//! Calls on a good connection wait for nothing here. When there is none, the first call opens one and the
//! others wait with it, all for `connect_timeout` at most; after a failure calls fail at once for a moment.
//! When calls get no answer in time, a new connection is tried beside the old one, which stays until then:
//! a connection that is half open is thus replaced, and a server that only hangs is found again.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;

use super::clock::ServerClock;
use super::command::with_text;
use super::conn::Conn;
use super::dial::{Dialed, Dialer};
use super::error::{Fault, Refusal};
use super::scripts::Script;

/// So many calls in a row without an answer make a connection suspect: one may be a slow command.
const SUSPECT: u32 = 2;

/// How long calls fail at once after a connection could not be opened.
const PAUSE: Duration = Duration::from_millis(100);

/// The link of a store to its servers.
pub(in crate::store) struct Link {
    dialer: Dialer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    dialing: Option<Dialing>,
    /// Why the last try failed, and until when no other is made.
    failed: Option<(Instant, Fault)>,
}

/// Tells how a try to open a connection ended, to all who wait for it.
type Dialing = watch::Receiver<Option<Result<Arc<Live>, Fault>>>;

/// A connection in use.
pub(in crate::store) struct Live {
    pub(in crate::store) conn: Conn,
    /// The server's clock. A new connection begins without, and one to a cluster has none: there are several.
    pub(super) clock: Option<ServerClock>,
    ended: Arc<AtomicBool>,
    unanswered: AtomicU32,
    subscribed: OnceCell<()>,
}

impl Link {
    pub(super) fn new(dialer: Dialer) -> Arc<Self> {
        Arc::new(Self { dialer, state: Mutex::default() })
    }

    /// Returns the connection, and opens one if there is none.
    pub(in crate::store) async fn live(self: &Arc<Self>) -> Result<Arc<Live>, Fault> {
        let dialing = {
            let mut state = self.lock();
            if let Some(live) = state.live.as_ref().filter(|live| !live.ended.load(Ordering::Relaxed)) {
                return Ok(Arc::clone(live));
            }
            state.live = None;
            self.dial(&mut state)?
        };
        // Boxed, so that not every call has room for a wait that is rare.
        Box::pin(self.dialed(dialing)).await
    }

    /// Waits for a connection that is being opened.
    async fn dialed(&self, mut dialing: Dialing) -> Result<Arc<Live>, Fault> {
        let timeout = self.dialer.options.connect_timeout;
        let dialed = tokio::time::timeout(timeout, dialing.wait_for(Option::is_some)).await;
        let Ok(dialed) = dialed else { return Err(Fault::ConnectTimedOut) };
        // The task that dials ends without a word only with its runtime.
        let ended = Err(Fault::Disconnected(std::io::ErrorKind::NotConnected));
        dialed.map_or(None, |dialed| dialed.clone()).unwrap_or(ended)
    }

    /// Opens a connection in the background, unless that is under way, or has just failed.
    ///
    /// A task of its own, because the call that began it may be given up before it is done.
    fn dial(self: &Arc<Self>, state: &mut State) -> Result<Dialing, Fault> {
        if let Some(dialing) = state.dialing.as_ref().filter(|dialing| dialing.has_changed().is_ok()) {
            return Ok(dialing.clone());
        }
        if let Some((until, fault)) = state.failed
            && Instant::now() < until
        {
            return Err(fault);
        }
        let (tell, dialing) = watch::channel(None);
        state.dialing = Some(dialing.clone());
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let dialed = link.dialer.dial().await.map(|dialed| Arc::new(Live::from(dialed)));
            let mut state = link.lock();
            state.dialing = None;
            match &dialed {
                Ok(live) => (state.live, state.failed) = (Some(Arc::clone(live)), None),
                Err(fault) => state.failed = Some((Instant::now() + PAUSE, *fault)),
            }
            drop(state);
            tell.send_replace(Some(dialed));
        });
        Ok(dialing)
    }

    /// Opens a new connection beside the present one, and uses it as soon as it is there.
    pub(super) fn refresh(self: &Arc<Self>) {
        // Whoever finds no connection later reports why.
        let _ = self.dial(&mut self.lock());
    }

    /// Sends a command to the server that has its key.
    ///
    /// What a replica refuses has not happened, so it is sent once more to whoever is the master by then.
    pub(in crate::store) async fn send(self: &Arc<Self>, cmd: &Cmd) -> Result<Value, Fault> {
        self.send_over(&self.live().await?, cmd).await
    }

    /// Sends a command over a connection that is at hand, as [`send`](Self::send) does.
    pub(super) async fn send_over(self: &Arc<Self>, live: &Arc<Live>, cmd: &Cmd) -> Result<Value, Fault> {
        match self.send_once(live, cmd).await {
            // Boxed, as all that is rare: each call has room for what is not.
            Err(Fault::Refused(Refusal::ReadOnly)) => Box::pin(self.send_anew(cmd)).await,
            answer => answer,
        }
    }

    async fn send_anew(self: &Arc<Self>, cmd: &Cmd) -> Result<Value, Fault> {
        self.send_once(&self.live().await?, cmd).await
    }

    async fn send_once(self: &Arc<Self>, live: &Arc<Live>, cmd: &Cmd) -> Result<Value, Fault> {
        let answer = live.conn.clone().send(cmd).await;
        self.note(live, answer.as_ref().err());
        answer
    }

    /// Calls a script.
    pub(in crate::store) async fn call(self: &Arc<Self>, script: &Script, cmd: &Cmd) -> Result<Value, Fault> {
        self.call_over(&self.live().await?, script, cmd).await
    }

    /// Calls a script over a connection that is at hand.
    pub(super) async fn call_over(
        self: &Arc<Self>,
        live: &Arc<Live>,
        script: &Script,
        cmd: &Cmd,
    ) -> Result<Value, Fault> {
        match self.send_over(live, cmd).await {
            Err(Fault::Refused(Refusal::NoScript)) => Box::pin(self.send(&with_text(cmd, script))).await,
            answer => answer,
        }
    }

    /// Learns how a call went, and replaces the connection if it is of no use.
    pub(in crate::store) fn note(self: &Arc<Self>, live: &Arc<Live>, fault: Option<&Fault>) {
        match fault {
            Some(Fault::TimedOut) => self.unanswered(live),
            // The library finds the nodes of a cluster again; if it doesn't, a new connection may.
            Some(fault) if fault.ends_connection() && live.conn.is_cluster() => self.unanswered(live),
            Some(fault) if fault.ends_connection() => {
                let mut state = self.lock();
                if state.live.as_ref().is_some_and(|present| Arc::ptr_eq(present, live)) {
                    state.live = None;
                }
            }
            _ if live.unanswered.load(Ordering::Relaxed) == 0 => {}
            _ => live.unanswered.store(0, Ordering::Relaxed),
        }
    }

    fn unanswered(self: &Arc<Self>, live: &Arc<Live>) {
        if live.unanswered.fetch_add(1, Ordering::Relaxed) + 1 < SUSPECT {
            return;
        }
        let mut state = self.lock();
        if state.live.as_ref().is_some_and(|present| Arc::ptr_eq(present, live)) {
            // As in `refresh`.
            let _ = self.dial(&mut state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// Subscribes this connection to a channel, at the first call only.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), Fault> {
        let subscribe = || async { self.conn.clone().subscribe(channel).await };
        self.subscribed.get_or_try_init(subscribe).await.copied()
    }
}

impl From<Dialed> for Live {
    fn from(Dialed { conn, ended }: Dialed) -> Self {
        let (unanswered, subscribed) = (AtomicU32::new(0), OnceCell::new());
        let clock = (!conn.is_cluster()).then(ServerClock::new);
        Self { conn, clock, ended, unanswered, subscribed }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Link")
            .field("connected", &state.live.is_some())
            .field("connecting", &state.dialing.is_some())
            .field("failed", &state.failed.map(|(_, fault)| fault))
            .finish_non_exhaustive()
    }
}
