//! One request's session: shared by the layer, its middleware and the handler.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Core;
use super::desk::Turn;
use crate::carrier::Crumbs;
use crate::codec::Encoding;
use crate::cookie::candidates;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Fate, Opened};
use crate::record::{Header, Values};
use crate::session::State;
use crate::store::{Found, StoreKey};
use crate::time::Timestamp;
use crate::token::{Key, Token};

/// What a handler wants of the session. Each can do all that those before it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Reads.
    View,
    /// Writes; whoever else writes meanwhile is joined with it.
    Merge,
    /// Writes; nobody else does meanwhile.
    Exclusive,
}

/// What is known of the client when its session is opened.
#[derive(Debug, Default)]
pub(crate) struct Client {
    /// The tokens of its cookies, at most as many as are tried.
    pub(crate) tokens: Tokens,
    /// There were more of them.
    pub(crate) too_many: bool,
    /// The cookies of a session that travels in them.
    pub(crate) crumbs: Crumbs,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: String,
    /// The digest of its network, if sessions are bound to it.
    pub(crate) bound_ip: Option<[u8; 8]>,
    /// The digest of its user agent, if sessions are bound to it.
    pub(crate) bound_agent: Option<[u8; 8]>,
    /// The id that a new session is to have, because it came with the request. As CodeIgniter 4 does it, if the
    /// policy says so: whoever plants an id in a browser knows the session then.
    pub(crate) adopted: Option<Token>,
    /// The session opens wherever it is bound to: a test looks at it.
    pub(crate) any_device: bool,
    /// The same client, as the sessions of before know it.
    pub(crate) before: Option<Box<Client>>,
    /// The session came with a cookie of before, so the browser is to get one of now.
    pub(crate) moved: bool,
}

impl Client {
    /// Finds the session's cookies among the lines of a request's `Cookie` headers.
    pub(crate) fn of_cookies<'a>(
        core: &Core,
        lines: impl Iterator<Item = &'a [u8]>,
        ip: Option<IpAddr>,
    ) -> Self {
        if let Some(carrier) = &core.carrier {
            return Self { crumbs: carrier.collect(lines), ip, ..Self::default() };
        }
        let found = candidates(lines, core.cookies.name());
        let tokens = found.iter().filter_map(|value| core.token(value, ip)).collect();
        Self { tokens, too_many: found.overflow(), ip, ..Self::default() }
    }
}

/// The tokens of a client's cookies: one nearly always, which then needs no list.
#[derive(Debug, Default)]
pub(crate) enum Tokens {
    #[default]
    None,
    One(Token),
    Several(Vec<Token>),
}

impl FromIterator<Token> for Tokens {
    fn from_iter<I: IntoIterator<Item = Token>>(tokens: I) -> Self {
        let mut tokens = tokens.into_iter();
        let Some(first) = tokens.next() else { return Self::None };
        let Some(second) = tokens.next() else { return Self::One(first) };
        Self::Several([first, second].into_iter().chain(tokens).collect())
    }
}

/// One request's session.
///
/// If it is dropped before its commit, nothing is written, and its turn, which is dropped with it, goes to the next
/// request.
pub(crate) struct Exchange {
    pub(super) core: Arc<Core>,
    /// When the request came, by the node's clock.
    pub(super) arrived: Timestamp,
    /// Held while the session is being opened, by those of one request only.
    opening: tokio::sync::Mutex<()>,
    /// Boxed, so that a request which takes no session does not carry room for one.
    cell: Mutex<Option<Box<Work>>>,
    /// The application itself opened it, by its key.
    handle: bool,
}

/// How a session is come by. What a request says is asked for when it is needed.
pub(crate) enum Opening<C, B> {
    /// By the cookies of a request.
    Request {
        client: C,
        /// The request was made by a script or ahead of time: flash values do not age by it.
        is_background: B,
    },
    /// By its key, by the application itself, for which nothing ages.
    Handle(StoreKey),
}

/// How the application itself comes by a session.
pub(crate) type ByKey = Opening<fn() -> Result<Client>, fn() -> bool>;

/// A session at work.
pub(crate) struct Work {
    pub(crate) access: Access,
    pub(super) client: Client,
    // Boxed: it is made in one place, and handed on from there.
    pub(crate) base: Option<Box<Base>>,
    pub(crate) state: State,
    pub(super) turn: Option<Turn>,
    /// By how much the store's clock is ahead of the node's, in microseconds.
    pub(super) skew: i64,
    pub(super) outcome: Outcome,
    /// The token of the record that the commit will make, if something was derived from it already.
    pub(super) reserved: Option<Token>,
}

/// The record from which a request works, and how it was let in.
pub(crate) struct Base {
    /// The cookie's token; none for a handle.
    pub(super) token: Option<Token>,
    pub(crate) key: StoreKey,
    pub(super) found: Found,
    pub(crate) header: Header,
    pub(crate) opened: Opened,
    /// How the values are written.
    pub(super) codec: Encoding,
    /// The values as they were read, until somebody works on them.
    pub(super) values: Values,
    /// When the store was asked for it, as [`asks`](Core::asks) told.
    pub(super) asked: Timestamp,
    /// The turn in which it was read, until somebody works on it.
    pub(super) turn: Option<Turn>,
}

impl Base {
    /// Returns when the session ends if it is not used any more.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.found.record.expires_at
    }

    /// Returns the secret of the session's CSRF tokens.
    pub(super) fn csrf_secret(&self) -> Option<[u8; 16]> {
        let of_key = self.token.as_ref().map(|token| token.key.csrf_secret());
        #[cfg(feature = "php")]
        if let Some(kept) = self.header.php.as_ref().and_then(|side| side.csrf) {
            return Some(kept);
        }
        of_key
    }

    /// Hands out the values as they were read, once.
    pub(super) fn take_values(&mut self) -> Values {
        std::mem::take(&mut self.values)
    }

    /// Returns the record's bytes as they were read.
    pub(crate) fn payload(&self) -> &Bytes {
        &self.found.record.payload
    }
}

/// What became of a request's session.
#[derive(Debug, Default)]
pub(super) enum Outcome {
    /// Nothing yet.
    #[default]
    Pending,
    /// It was committed, with this cookie to send.
    Committed(Option<SendCookie>),
}

/// The `Set-Cookie` headers to send: one, but for what travels in several cookies.
#[derive(Debug)]
pub(super) struct SendCookie {
    pub(super) headers: Vec<String>,
    /// Until when it may be sent, by the store's clock.
    pub(super) until: Option<Timestamp>,
}

impl Exchange {
    /// Begins the exchange of a request.
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let arrived = core.clock.now();
        Self { core, arrived, opening: tokio::sync::Mutex::default(), cell: Mutex::default(), handle: false }
    }

    /// Begins an exchange of the application itself.
    pub(crate) fn of_handle(core: Arc<Core>) -> Self {
        let mut exchange = Self::new(core);
        exchange.handle = true;
        exchange
    }

    pub(crate) fn is_handle(&self) -> bool {
        self.handle
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Opens the session, once for all of one request; more is done only if more is wanted than before.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with, and [`ErrorKind::Busy`] if the wait for a turn took too long.
    pub(crate) async fn open<C, B>(&self, access: Access, opening: Opening<C, B>) -> Result<()>
    where
        C: FnOnce() -> Result<Client>,
        B: FnOnce() -> bool,
    {
        let _one_at_a_time = match self.opening.try_lock() {
            Ok(first) => first,
            Err(_) => self.opening.lock().await,
        };
        let before = self.cell().as_ref().map(|work| (work.access, work.is_committed()));
        match before {
            Some((had, committed)) if had >= access || committed => Ok(()),
            Some(_) => Box::pin(self.upgrade(access, opening)).await,
            None => {
                // Boxed, so that a handler carries no room for it.
                let work = Box::pin(self.begin(access, opening)).await?;
                *self.cell() = Some(work);
                Ok(())
            }
        }
    }

    /// Works with an opened session. Nothing is awaited in between.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Work) -> T) -> T {
        work(self.cell().as_mut().expect("a session is handed out after it was opened"))
    }

    /// Reports whether anybody took the session.
    pub(crate) fn is_opened(&self) -> bool {
        self.cell().is_some()
    }

    /// Lets go of everything that is not committed yet: the handler panicked, failed or was dropped.
    pub(crate) fn abandon(&self) {
        let turn = self.cell().as_mut().and_then(|work| {
            work.state.phase = crate::session::Phase::Closed;
            if !work.is_committed() {
                work.outcome = Outcome::Committed(None);
            }
            work.turn.take()
        });
        drop(turn);
    }

    /// Returns the `Set-Cookie` headers to send with the head of the response that leaves now.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = String> + use<> {
        self.take_cookies().into_iter().flatten()
    }

    fn take_cookies(&self) -> Option<Vec<String>> {
        let mut cell = self.cell();
        let work = cell.as_mut()?;
        let Outcome::Committed(cookie) = &mut work.outcome else { return None };
        let SendCookie { headers, until } = cookie.take()?;
        let late = until.is_some_and(|until| self.core.clock.now().shifted(work.skew) > until);
        if late && self.core.policy.rules.drop_late_cookies {
            self.core.observer.alarm(crate::events::Anomaly::LateCookie, work.base.as_ref().map(|b| &b.key));
            return None;
        }
        Some(headers)
    }

    pub(super) fn cell(&self) -> MutexGuard<'_, Option<Box<Work>>> {
        // Nothing of the application runs under the lock but the closures of `update`; if one panics,
        // the handler panics, and nothing of its request is written.
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(..)")
    }
}

impl Work {
    /// Returns the present time by the store's clock.
    pub(crate) fn now(&self, core: &Core) -> Timestamp {
        self.clock(core)()
    }

    /// Returns the present time by the store's clock, as the store itself would tell it.
    pub(super) fn store_time(&self, core: &Core) -> Timestamp {
        core.clock.now().shifted(self.skew)
    }

    /// Returns what tells the present time by the store's clock, as far as the layout counts it.
    pub(crate) fn clock<'a>(&self, core: &'a Core) -> impl Fn() -> Timestamp + use<'a> {
        let skew = self.skew;
        move || core.tick(core.clock.now().shifted(skew))
    }

    pub(super) fn is_committed(&self) -> bool {
        matches!(self.outcome, Outcome::Committed(_))
    }

    /// Returns the secret of CSRF tokens of the session that the browser knows after this response.
    pub(crate) fn csrf_secret(&self) -> Option<[u8; 16]> {
        let goes_on = matches!(self.state.fate, Fate::Keep | Fate::Rotate) || self.is_committed();
        match self.base.as_ref().filter(|base| goes_on && base.token.is_some()) {
            Some(base) => base.csrf_secret(),
            None => self.reserved.as_ref().map(|token| token.key.csrf_secret()),
        }
    }

    /// Settles the key of the record that the commit will make, and that it will make one.
    pub(crate) fn reserve(&mut self, core: &Core) -> Result<&Key> {
        self.state.create()?;
        let ip = self.client.ip;
        Ok(&self.reserved.get_or_insert_with(|| core.fresh_token(ip)).key)
    }

    /// Returns the header of the session as it will be, if there is one.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.base.as_ref().map(|base| &base.header)
    }
}

/// Makes the error of a request whose session was replaced.
pub(super) fn superseded() -> Error {
    Error::new(
        ErrorKind::Superseded,
        "a sign-in or sign-out replaced this session meanwhile; nothing was written, reload the page",
    )
}

/// Makes the error of a request whose session is gone.
pub(super) fn missing() -> Error {
    Error::new(ErrorKind::Missing, "the session ended meanwhile; nothing was written")
}
