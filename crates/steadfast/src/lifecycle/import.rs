//! Sessions that are still where they were before a migration: found there, moved here, and ended there.
//!
//! A session is here before it is gone there, so a crash in between leaves both, and the one here is found first.
//! Whoever moves a session holds it there, so requests that come at the same time make one session of it. See
//! `docs/decisions/0025-migration-reads-through.md`.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Core;
use super::convert::convert;
use super::exchange::{Access, Base, Client, Exchange, Tokens};
use super::open::Entered;
use super::prepare::Op;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Anomaly, EventKind};
use crate::plan::{Admission, Opened, Rotation, StoreOp};
use crate::record::{Contents, Header, Standing, Values};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Loaded, Record, Store as _, StoreKey, Updated,
};
use crate::token::Token;

/// How often a session is read again that a node without this setting writes to meanwhile.
const TRIES: usize = 3;

/// How long a record may last that tells whether two stores are one.
const PROBE: Duration = Duration::from_secs(60);

/// Records that are listed with one store call.
const PAGE: NonZeroUsize = NonZeroUsize::new(128).expect("128 is not zero");

/// Where sessions were before.
pub(crate) struct Import {
    pub(crate) core: Arc<Core>,
    /// The cookie had another name there.
    renames: bool,
}

/// Where a session goes on, and the token that opens it there, as far as it is known.
pub(super) struct Place {
    pub(super) key: StoreKey,
    pub(super) token: Option<Token>,
}

/// What became of a session that was to be moved.
enum Moved {
    /// It is here, whoever moved it.
    Here(Place),
    /// It had another id there by now.
    On(StoreKey),
    Nowhere,
}

impl Import {
    pub(crate) fn new(core: Arc<Core>, cookie_name: &str) -> Self {
        let renames = core.cookies.name() != cookie_name;
        Self { core, renames }
    }

    /// Refuses a store that is the new one under another name: what is moved there would be ended.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if it is, and whatever the stores fail with.
    pub(crate) async fn check(&self, new: &Core) -> Result<()> {
        if self.core.php.is_some() != new.php.is_some() {
            return Ok(()); // Records have other names then.
        }
        let key = new.fresh_token(None).key.store_key();
        let (payload, expires_at) = (Bytes::new(), new.now() + PROBE);
        let record = Record { version: new.version(&payload), payload, expires_at, user: None };
        let _ = new.store.create(&key, &record).await?;
        let seen = self.core.store.load(&key).await;
        let _ = new.store.delete(&key, None).await?;
        match seen? {
            Loaded::Missing => Ok(()),
            Loaded::Found(_) => Err(Error::new(
                ErrorKind::InvalidConfig,
                "`migrate_from` is the store itself; give the new one another prefix, table or directory",
            )),
        }
    }

    /// Returns the header that removes the cookie of before, if the new one does not take its place.
    pub(super) fn remove_cookie(&self) -> Option<String> {
        self.renames.then(|| self.core.cookies.remove())
    }

    /// Returns the token by which the session goes on that a token opened before.
    fn token_after(&self, new: &Core, token: &Token, ip: Option<IpAddr>) -> Token {
        match (&self.core.php, &new.php) {
            (None, None) => token.clone(),
            (Some(layout), None) => layout.native_token(token),
            (_, Some(layout)) => layout.token_after(token, ip),
        }
    }

    /// Returns under which key a session goes on; `None` if only its cookie tells.
    pub(crate) fn key_after(&self, new: &Core, key: &StoreKey) -> Option<StoreKey> {
        if self.core.php.is_none() {
            return new.php.is_none().then_some(*key);
        }
        token_of(key).map(|token| self.token_after(new, &token, None).key.store_key())
    }

    fn place(&self, new: &Core, base: &Base, ip: Option<IpAddr>) -> Option<Place> {
        let Base { key, token, header, .. } = base;
        if self.core.php.is_none() && new.php.is_none() {
            return Some(Place { key: *key, token: token.clone() });
        }
        let token = self.token_after(new, &present(token.as_ref()?, header)?, ip);
        Some(Place { key: token.key.store_key(), token: Some(token) })
    }

    /// Reports whether this is what a session leaves behind that has moved to PHP's layout.
    fn has_moved(&self, base: &Base) -> bool {
        self.core.php.is_none() && base.header.standing == Standing::Frozen { successor: base.key }
    }

    /// Moves a session here.
    async fn fetch(
        &self,
        new: &Core,
        key: StoreKey,
        token: Option<Token>,
        before: &Client,
        client: &Client,
    ) -> Result<Moved> {
        let there = Exchange::new(Arc::clone(&self.core));
        for _ in 0..TRIES {
            let entered = there.enter(Access::Exclusive, &key, &mut token.clone(), before).await?;
            let began = Instant::now();
            let Some(entered) = entered else { return Ok(Moved::Nowhere) };
            if let Some(on) = entered.base.header.moved_to() {
                return Ok(Moved::On(on));
            }
            let Some(place) = self.place(new, &entered.base, client.ip) else { return Ok(Moved::Nowhere) };
            if self.has_moved(&entered.base) {
                return Ok(if new.php.is_some() { Moved::Here(place) } else { Moved::Nowhere });
            }
            if let Some(moved) = self.bring(new, &entered, place, began, client).await? {
                return Ok(moved);
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the session is written to where it was before; give all nodes the same `migrate_from`",
        ))
    }

    /// Stores a session here and ends it there; `None` if it was written to there meanwhile.
    async fn bring(
        &self,
        new: &Core,
        entered: &Entered,
        place: Place,
        began: Instant,
        client: &Client,
    ) -> Result<Option<Moved>> {
        let record = convert(&self.core, new, entered, &place, client)?;
        let stored = new.store.create(&place.key, &record).await? == Created::Stored;
        new.store.settle(&place.key).await?;
        let held = || began.elapsed() < self.core.policy.lease;
        Ok(match self.end(new, &entered.base).await? {
            Deleted::Gone => {
                new.observer.tell(EventKind::Imported, &place.key);
                Some(Moved::Here(place))
            }
            // Nobody else moves it while it is held: it was ended, by a revocation or a sign-out.
            Deleted::Missing if stored && held() => {
                let _ = new.end_record(&place.key).await?;
                Some(Moved::Nowhere)
            }
            Deleted::Missing => Some(Moved::Here(place)),
            Deleted::Stale => {
                if stored {
                    let _ = new.store.delete(&place.key, Some(record.version)).await?;
                }
                None
            }
        })
    }

    /// Ends a session where it was.
    ///
    /// If it goes on in PHP's layout, its secrets stay for the forward window: a token that was replaced a moment
    /// ago names its successor, and the id is made of that.
    async fn end(&self, new: &Core, base: &Base) -> Result<Deleted> {
        let (store, seen) = (&self.core.store, base.found.record.version);
        if new.php.is_none() || self.core.php.is_some() {
            return store.delete(&base.key, Some(seen)).await;
        }
        let mut header = Header { user: None, device: None, ..base.header.clone() };
        header.freeze(base.key);
        let payload = self.core.write(self.core.encoding(), &header, &Values::default())?;
        let (version, expires_at) =
            (self.core.version(&payload), base.found.now + self.core.policy.forward_window);
        let left = Record { payload, version, expires_at, user: None };
        Ok(match store.update(&base.key, seen, &left, LeaseEnd::None).await? {
            Updated::Stored => Deleted::Gone,
            Updated::Stale => Deleted::Stale,
            Updated::Missing => Deleted::Missing,
        })
    }

    /// Ends what a crash in the midst of a move left behind, unless somebody holds it, who is moving it then.
    async fn end_left_over(&self, new: &Core, key: StoreKey) -> Result<()> {
        let lease = Lease { token: LeaseToken::fresh(), ttl: self.core.policy.lease };
        let Acquired::Held(found) = self.core.store.acquire(&key, lease).await? else { return Ok(()) };
        let Contents { codec, header, values } = self.core.read(&key, &found.record, found.now)?;
        let (opened, asked) = (Opened::Stranger, found.now);
        let base = Base { token: None, key, found, header, opened, codec, values, asked, turn: None };
        if !self.has_moved(&base) {
            let _ = self.end(new, &base).await?;
        }
        self.core.store.release(&key, lease.token).await
    }

    /// Does where sessions were before what an operation does here, if keys are the same on both sides: what a
    /// crash left there must not come back when the session here ends.
    pub(super) async fn keep_up(&self, new: &Core, op: &Op, kind: StoreOp) -> Result<()> {
        let key = match op {
            Op::End { key, .. } => key,
            Op::Replace { old, .. } => old,
            Op::Nothing | Op::Create { .. } | Op::Update { .. } => return Ok(()),
        };
        if self.key_after(new, key) != Some(*key) {
            return Ok(());
        }
        if matches!(kind, StoreOp::Delete | StoreOp::DeleteAndCreate) {
            return self.core.end_record(key).await.map(drop);
        }
        self.end_left_over(new, *key).await
    }

    /// Moves at most so many sessions, without their visitors; returns how many.
    ///
    /// # Errors
    ///
    /// `Unsupported` if only their cookies tell where they go on, or if the store can't list them.
    pub(crate) async fn fetch_some(&self, new: &Core, limit: NonZeroUsize) -> Result<u64> {
        if self.core.php.is_none() && new.php.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "only a visitor's cookie tells where a session goes on in PHP's layout; wait for the visitors",
            ));
        }
        let nobody = || Client { any_device: true, ..Client::default() };
        let (before, client) = (nobody(), nobody());
        let (mut moved, mut after) = (0, None);
        loop {
            let page = self.core.store.page(after.as_ref(), PAGE).await?;
            for listed in &page {
                if !self.is_free(&listed.key).await? {
                    continue;
                }
                let token = token_of(&listed.key);
                match self.fetch(new, listed.key, token, &before, &client).await {
                    Ok(Moved::Here(_)) => moved += 1,
                    Ok(Moved::On(_) | Moved::Nowhere) => {}
                    // A visitor is at work with it, and moves it the next time.
                    Err(error) if error.kind() == ErrorKind::Busy => {}
                    Err(error) => return Err(error),
                }
                if moved == limit.get() as u64 {
                    return Ok(moved);
                }
            }
            match page.last() {
                Some(last) => after = Some(last.key),
                None => return Ok(moved),
            }
        }
    }

    /// Reports whether there is a session that nobody works with.
    async fn is_free(&self, key: &StoreKey) -> Result<bool> {
        let lease = Lease { token: LeaseToken::fresh(), ttl: self.core.policy.lease };
        let Acquired::Held(_) = self.core.store.acquire(key, lease).await? else { return Ok(false) };
        self.core.store.release(key, lease.token).await.map(|()| true)
    }
}

impl Exchange {
    /// Finds the session that a client's cookies of before open, and moves it here.
    pub(super) async fn find_before(
        &self,
        import: &Import,
        access: Access,
        mut before: Client,
        client: &mut Client,
    ) -> Result<Option<Entered>> {
        let token = match std::mem::take(&mut before.tokens) {
            Tokens::None => return Ok(None),
            Tokens::One(token) => token,
            Tokens::Several(tokens) => {
                match self.only_one_of_before(import, tokens, &before, client).await? {
                    Some(token) => token,
                    None => return Ok(None),
                }
            }
        };
        let entered = self.follow_before(import, access, token, &before, client).await?;
        client.moved &= entered.is_some();
        Ok(entered)
    }

    /// Goes on by the token of before, and by those that took its place there.
    async fn follow_before(
        &self,
        import: &Import,
        access: Access,
        mut token: Token,
        before: &Client,
        client: &mut Client,
    ) -> Result<Option<Entered>> {
        for _ in 0..=super::MAX_HOPS {
            let (key, after) = (token.key.store_key(), import.token_after(&self.core, &token, client.ip));
            let has_new_key = after.key.store_key() != key;
            client.moved = import.renames || has_new_key;
            if let Some(entered) = self.go_in_by(access, after.clone(), client).await? {
                if has_new_key {
                    self.core.end_left_over(key);
                }
                return Ok(Some(entered));
            }
            match import.fetch(&self.core, key, Some(token), before, client).await? {
                Moved::On(on) => match token_of(&on) {
                    Some(next) => token = next,
                    None => return Ok(None),
                },
                Moved::Here(place) => {
                    return self.go_in_by(access, place.token.unwrap_or(after), client).await;
                }
                // Somebody else may have moved it while this request waited.
                Moved::Nowhere => return self.go_in_by(access, after, client).await,
            }
        }
        Ok(None)
    }

    async fn go_in_by(&self, access: Access, token: Token, client: &Client) -> Result<Option<Entered>> {
        let key = token.key.store_key();
        self.go_in(access, &key, &mut Some(token), client).await
    }

    /// Tries several cookies of before, on both sides. If two of them open a session, none is used.
    async fn only_one_of_before(
        &self,
        import: &Import,
        tokens: Vec<Token>,
        before: &Client,
        client: &Client,
    ) -> Result<Option<Token>> {
        let there = Exchange::new(Arc::clone(&import.core));
        let mut opens = Vec::new();
        for token in tokens {
            let after = import.token_after(&self.core, &token, client.ip);
            let is_here = self.look(&after.key.store_key(), &mut Some(after), client).await?.is_some();
            if is_here
                || there.look(&token.key.store_key(), &mut Some(token.clone()), before).await?.is_some()
            {
                opens.push(token);
            }
        }
        if opens.len() > 1 {
            self.core.observer.alarm(Anomaly::TwoSessions, None);
            return Ok(None);
        }
        Ok(opens.pop())
    }
}

impl Core {
    /// Ends what a crash in the midst of a move left behind, off the request's path.
    fn end_left_over(self: &Arc<Self>, key: StoreKey) {
        let core = Arc::clone(self);
        self.off_path.run(async move {
            let Some(import) = &core.import else { return };
            if let Err(error) = import.end_left_over(&core, key).await {
                core.observer.failed(error.kind(), Some(&key));
            }
        });
    }

    /// Sees to it that the browser gets the cookie of now: a fresh secret, or the id that the session goes on by.
    pub(super) fn renews_cookie(&self, admission: Admission, rotation: Rotation) -> (Admission, Rotation) {
        match (admission, rotation) {
            (Admission::Current { .. }, _) if self.php.is_some() => {
                (Admission::Forwarded { reopen: false }, Rotation::Barred)
            }
            (_, Rotation::Possible) => (admission, Rotation::Due),
            opened => opened,
        }
    }
}

/// Returns the token of a record in PHP's layout: its id.
#[cfg(feature = "php")]
fn token_of(key: &StoreKey) -> Option<Token> {
    key.shared().copied().map(Token::shared)
}

#[cfg(not(feature = "php"))]
fn token_of(_: &StoreKey) -> Option<Token> {
    None
}

/// Returns the token with the present secret, also for one that it has replaced.
fn present(token: &Token, header: &Header) -> Option<Token> {
    if header.secret.matches(&token.secret.digest()) {
        return Some(token.clone());
    }
    let sealed = &header.predecessor.as_ref()?.successor;
    token.secret.unseal(sealed, &header.secret).map(|secret| token.with_secret(secret))
}
