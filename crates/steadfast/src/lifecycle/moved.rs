//! What is different for a session that is shared with PHP: its id is all there is, so a rotation gives it
//! another record, and what PHP still writes into the old one has to be carried over.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Access, Base, ByKey, Client, Exchange, Work, missing};
use super::open::Entered;
use super::prepare::{Fresh, Op};
use super::{Core, MAX_HOPS};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Anomaly, EventKind};
use crate::layout::{CaughtUp, Left, Origin};
use crate::plan::{Admission, Opened, Rotation};
use crate::record::{Contents, Values};
use crate::store::{
    Acquired, Deleted, Found, Lease, LeaseEnd, LeaseToken, Record, Store as _, StoreKey, Updated, Version,
};
use crate::time::Timestamp;
use crate::token::Token;

/// The part of a forward window in which requests that were under way may come with the old id.
const UNDER_WAY: u32 = 4;

/// How often the end of a copy is tried, while PHP goes on writing into it.
const TRIES: usize = 3;

impl Exchange {
    /// Goes on where the session went, if its id has changed since the request was sent.
    pub(super) async fn follow(
        &self,
        access: Access,
        mut entered: Option<Entered>,
        client: &Client,
    ) -> Result<Option<Entered>> {
        for _ in 0..MAX_HOPS {
            let Some(to) = entered.as_ref().and_then(|entered| entered.base.header.moved_to()) else {
                return Ok(entered);
            };
            // The turn under the old id ends here: nobody waits for one id and holds another.
            let Some(Entered { base, .. }) = entered.take() else { return Ok(None) };
            let Base { token, key, values, turn, .. } = *base;
            drop(turn);
            let mut token = token.and_then(|_| to.shared().copied()).map(Token::shared);
            entered = self.enter(access, &to, &mut token, client).await?;
            if let Some(entered) = &mut entered {
                self.core.observer.tell(EventKind::Forwarded, &entered.base.key);
                entered.came_from(&key, &values, access, &self.core);
            }
        }
        Ok(None)
    }

    /// Lets the copy under an id of before end, where the node that should have done it did not.
    pub(super) fn settle_origin_if_over(&self, access: Access, entered: Option<&Entered>) {
        let Some(Entered { base, .. }) = entered else { return };
        let over = base.header.origin_key().filter(|_| !base.header.has_origin(base.found.now));
        if let Some(origin) = over
            && access > Access::View
            && base.token.is_some()
        {
            let (core, key) = (Arc::clone(&self.core), base.key);
            self.core.off_path.run(async move { core.settle_origin(key, origin).await });
        }
    }

    /// Waits for PHP's lock after a conflict, and does everything again on what is there then.
    ///
    /// A request that held the lock does nothing again: it has lost it.
    pub(super) async fn rebase_under_lock(&self) -> Result<()> {
        let (mut token, key, client) = self.with(|work| {
            let base = work.base.as_ref().expect("only a record that was opened can be in conflict");
            (base.token.clone(), base.key, std::mem::take(&mut work.client))
        });
        let (before, forwarded) = self.with(|work| (work.turn.take(), work.is_forwarded()));
        drop(before);
        let entered = match self.take_turn(&key, &mut token, &client).await {
            Ok(entered) => self.follow(Access::Exclusive, entered, &client).await,
            Err(error) => Err(error),
        };
        self.with(|work| work.client = client);
        let Some(mut entered) = entered? else { return Err(missing()) };
        if forwarded {
            entered.base.note_forwarded();
        }
        self.core.observer.tell(EventKind::Replayed, &key);
        let (base, turn) = entered.into_parts();
        self.with(|work| {
            work.turn = turn;
            work.rebase(base, &self.core)
        })
    }
}

impl Entered {
    /// Notes that the request came with an id of before, and carries over what PHP wrote under it.
    fn came_from(&mut self, before: &StoreKey, copy: &Values, access: Access, core: &Core) {
        self.base.note_forwarded();
        if access > Access::View && self.base.came_from(before) {
            let mut values = self.base.take_values();
            self.carried |= self.base.catch_up(copy, &mut values, core);
            self.base.values = values;
        }
    }
}

impl Base {
    /// Notes that the request came with an id of before, so its answer sends the present one.
    pub(super) fn note_forwarded(&mut self) {
        if let Opened::Live { .. } = self.opened
            && self.token.is_some()
        {
            let admission = Admission::Forwarded { reopen: false };
            self.opened = Opened::Live { admission, rotation: Rotation::Barred };
        }
    }

    /// Reports whether the session went by another id before, of which a copy may be left.
    fn came_from(&self, origin: &StoreKey) -> bool {
        self.header.origin_key().as_ref() == Some(origin)
    }

    /// Carries over what PHP wrote into the copy; reports whether there is something to store.
    fn catch_up(&mut self, copy: &Values, values: &mut Values, core: &Core) -> bool {
        let origin = self.header.php.as_mut().and_then(|side| side.origin.as_mut());
        let Some(origin) = origin else { return false };
        let CaughtUp { carried, forked } = origin.catch_up(copy, values);
        if forked > 0 {
            core.observer.alarm(Anomaly::Forked, Some(&self.key));
        }
        carried + forked > 0
    }
}

impl Work {
    /// Reports whether the request came with an id of before.
    pub(super) fn is_forwarded(&self) -> bool {
        let opened = self.base.as_ref().map(|base| base.opened);
        matches!(opened, Some(Opened::Live { admission: Admission::Forwarded { .. }, .. }))
    }

    /// Makes the records of a rotation in time: the session under a new id, and the copy that PHP's requests
    /// under way find under the old one.
    pub(super) fn move_on(&self, core: &Core, base: &Base, now: Timestamp) -> Result<(Op, Option<Token>)> {
        let (Some(layout), Some(name)) = (&core.php, base.key.shared()) else {
            return Err(Error::new(ErrorKind::Missing, "the session has no id that could change"));
        };
        let token = core.fresh_token(self.client.ip);
        let mut header = base.header.clone();
        (header.rotated_at, header.seen_at) = (now, now);
        self.settle(core, &mut header, now);
        let side = header.php.take().unwrap_or_default();
        let until = now + core.policy.forward_window;
        let key = token.key.store_key();
        let mut copy = None;
        let mut moved = side.moved(&key, None);
        moved.csrf = base.csrf_secret();
        if !layout.ends_old_ids {
            let to = key.shared().map(|to| Left { to: Some(*to), until });
            header.php = Some(Box::new(side.as_copy(to)));
            let payload = core.write(self.state.codec, &header, &self.state.values)?;
            let version = core.version(&payload);
            copy = Some(Record { payload, version, expires_at: core.deadline(&header, now), user: None });
            moved.origin = Some(Origin::new(*name, until, &self.state.values));
        }
        header.php = Some(Box::new(moved));
        let written = self.write(core, header, now)?;
        let new = Box::new(Fresh { token: token.clone(), key, written });
        let seen = base.found.record.version;
        Ok((Op::Replace { old: base.key, seen, frozen: copy, new }, Some(token)))
    }

    /// Returns the key of the copy that was left under another id, and until when, if there is one.
    pub(super) fn origin(&self) -> Option<(StoreKey, Timestamp)> {
        let side = self.header()?.php.as_ref()?;
        side.origin.as_ref().map(|origin| (origin.name.key(), origin.until))
    }
}

impl Core {
    /// Ends the copy that a change of id left, once its time is over.
    ///
    /// If this node is gone by then, the next request of the session does it.
    pub(super) fn settle_origin_later(
        self: &Arc<Self>,
        key: &StoreKey,
        origin: Option<(StoreKey, Timestamp)>,
    ) {
        let Some((origin, until)) = origin else { return };
        let (core, key) = (Arc::downgrade(self), *key);
        let left = until.saturating_since(self.now()) + Duration::from_secs(1);
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            if let Some(core) = core.upgrade() {
                core.settle_origin(key, origin).await;
            }
        });
    }

    /// Carries over what PHP wrote last into the copy of a session, and ends the copy.
    async fn settle_origin(self: &Arc<Self>, key: StoreKey, origin: StoreKey) {
        for _ in 0..TRIES {
            match self.try_to_settle_origin(key, &origin).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.observer.failed(error.kind(), Some(&key)),
            }
        }
    }

    /// Reports whether there is nothing left to do.
    async fn try_to_settle_origin(self: &Arc<Self>, key: StoreKey, origin: &StoreKey) -> Result<bool> {
        // What PHP has made another session of is no copy any more, and is left alone.
        if let Some((copy, seen)) = self.read_copy(origin).await?.filter(|(copy, _)| copy.header.is_copy()) {
            if !copy.header.was_left(self.now()) {
                return Ok(true);
            }
            // The session may have ended meanwhile, or PHP have changed its id: the copy ends all the same.
            if self.carry_over(key, origin, &copy).await? && self.is_in_use(&copy) {
                return self.keep_copy(key, origin, copy, seen).await;
            }
            if self.store.delete(origin, Some(seen)).await? == Deleted::Stale {
                return Ok(false);
            }
        }
        self.forget_origin(key, origin).await.map(|()| true)
    }

    /// Reads the copy under PHP's lock, and lets go of it.
    async fn read_copy(&self, key: &StoreKey) -> Result<Option<(Contents, Version)>> {
        let token = LeaseToken::fresh();
        let Some(found) = self.await_lock(key, token).await? else { return Ok(None) };
        self.store.release(key, token).await?;
        let contents = self.read(key, &found.record, found.now)?;
        Ok(Some((contents, found.record.version)))
    }

    /// Deletes the copy that a change of id left, unless PHP has made another session of it.
    pub(super) async fn end_left(&self, key: &StoreKey) -> Result<()> {
        for _ in 0..TRIES {
            let copy = self.read_copy(key).await?.filter(|(copy, _)| copy.header.is_copy());
            let Some((_, seen)) = copy else { return Ok(()) };
            if self.store.delete(key, Some(seen)).await? != Deleted::Stale {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Busy, "PHP goes on writing under the session's old id; try again"))
    }

    /// Deletes a record whoever works on it, under PHP's lock.
    pub(super) async fn delete_under_lock(&self, key: &StoreKey) -> Result<Deleted> {
        match self.store.delete(key, None).await {
            Err(error) if error.kind() == ErrorKind::Busy => {}
            deleted => return deleted,
        }
        match self.await_lock(key, LeaseToken::fresh()).await? {
            Some(_) => self.store.delete(key, None).await,
            None => Ok(Deleted::Missing),
        }
    }

    /// Moves damaged bytes away if they are there still: under PHP's lock, that of `lease` if it has it. Returns what is
    /// there instead, if PHP has written since.
    pub(super) async fn set_aside_under_lock(
        &self,
        key: &StoreKey,
        lease: Option<LeaseToken>,
    ) -> Result<Option<Found>> {
        let token = lease.unwrap_or_else(LeaseToken::fresh);
        match self.await_lock(key, token).await {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => match self.read(key, &found.record, found.now) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                _ => {
                    if lease.is_none() {
                        self.store.release(key, token).await?;
                    }
                    return Ok(Some(found));
                }
            },
            // What the driver itself can't read it looks at again, under the lock.
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
        self.observer.alarm(Anomaly::DamagedRecord, Some(key));
        self.store.set_aside(key).await.map(|()| None)
    }

    /// Waits for PHP's lock, and reads the record; `None` if there is none.
    async fn await_lock(&self, key: &StoreKey, token: LeaseToken) -> Result<Option<Found>> {
        let lease = Lease { token, ttl: self.policy.lease };
        let until = tokio::time::Instant::now() + self.policy.lock_wait;
        loop {
            match self.store.acquire(key, lease).await? {
                Acquired::Held(found) => return Ok(Some(found)),
                Acquired::Missing => return Ok(None),
                Acquired::Busy => {
                    let left = until.saturating_duration_since(tokio::time::Instant::now());
                    if left.is_zero() {
                        return Err(Error::new(
                            ErrorKind::Busy,
                            "PHP held the session for longer than `lock_wait`; try again",
                        ));
                    }
                    self.store.released(key, left).await;
                }
            }
        }
    }

    /// Carries over what PHP wrote into the copy; reports whether the session that it is a copy of lives.
    async fn carry_over(self: &Arc<Self>, key: StoreKey, origin: &StoreKey, copy: &Contents) -> Result<bool> {
        let exchange = self.hold(key).await?;
        let lives = exchange.with(|work| {
            let Some(base) = work.base.as_mut().filter(|base| base.came_from(origin)) else { return false };
            if base.catch_up(&copy.values, &mut work.state.values, self) {
                work.state.note_carried();
            }
            true
        });
        exchange.commit().await.map(|()| lives)
    }

    /// Reports whether PHP goes on with the old id, not only in requests that were under way: a late answer of its
    /// own has given it back to the browser. Never so after a change of privilege.
    fn is_in_use(&self, copy: &Contents) -> bool {
        let window = self.policy.forward_window;
        let left = copy.header.php.as_ref().and_then(|side| side.left);
        let under_way = window / UNDER_WAY;
        left.is_some_and(|left| left.to.is_some() && copy.header.seen_at > left.until - window + under_way)
    }

    /// Keeps a copy for one more window.
    async fn keep_copy(
        self: &Arc<Self>,
        key: StoreKey,
        origin: &StoreKey,
        copy: Contents,
        seen: Version,
    ) -> Result<bool> {
        let until = self.tick(self.now()) + self.policy.forward_window;
        let Contents { codec, mut header, values } = copy;
        if let Some(left) = header.php.as_mut().and_then(|side| side.left.as_mut()) {
            left.until = until;
        }
        let payload = self.write(codec, &header, &values)?;
        // It is no use: the deadline stays.
        let expires_at = header.seen_at + header.idle;
        let record = Record { version: self.version(&payload), payload, expires_at, user: None };
        if self.store.update(origin, seen, &record, LeaseEnd::None).await? != Updated::Stored {
            return Ok(false);
        }
        let exchange = self.hold(key).await?;
        exchange.with(|work| {
            let side = work.base.as_mut().filter(|base| base.came_from(origin));
            let side = side.and_then(|base| base.header.php.as_mut());
            if let Some(origin) = side.and_then(|side| side.origin.as_mut()) {
                origin.until = until;
                work.state.note_carried();
            }
        });
        exchange.commit().await?;
        self.settle_origin_later(&key, Some((*origin, until)));
        Ok(true)
    }

    async fn forget_origin(self: &Arc<Self>, key: StoreKey, origin: &StoreKey) -> Result<()> {
        let exchange = self.hold(key).await?;
        exchange.with(|work| {
            let Some(base) = work.base.as_mut().filter(|base| base.came_from(origin)) else { return };
            if let Some(side) = &mut base.header.php {
                side.origin = None;
                work.state.note_carried();
            }
        });
        exchange.commit().await
    }

    /// Opens a session by its key, alone, without extending it.
    async fn hold(self: &Arc<Self>, key: StoreKey) -> Result<Arc<Exchange>> {
        let exchange = Arc::new(Exchange::of_handle(Arc::clone(self)));
        exchange.open(Access::Exclusive, ByKey::Handle(key)).await?;
        exchange.with(|work| work.state.extend = false);
        Ok(exchange)
    }
}
