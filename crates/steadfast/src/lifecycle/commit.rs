//! From what was done to the store: one conditional write, done again on a fresher record if it must be.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::desk::Turn;
use super::exchange::{Access, Base, Exchange, Outcome, SendCookie, Work, missing};
use super::prepare::{Afterwards, Fresh, Op, Prepared, Written};
use crate::error::{Error, ErrorKind, Result};
use crate::events::EventKind;
use crate::plan::{Admission, Fate, Opened, Rotation, StoreOp};
use crate::record::{Standing, Values};
use crate::session::Phase;
use crate::store::{
    Created, Deleted, Found, LeaseEnd, Predecessor, Record, Replaced, Store as _, StoreKey, Touched, Updated,
    Version,
};
use crate::time::Timestamp;

/// How often a commit is tried on fresher records, before the session counts as too busy. From the second
/// try on the requests of a node go one after another, so only other nodes can be in the way.
const TRIES: u32 = 64;

/// How long a merged request that met a conflict waits for those of its node to be done.
const IN_LINE: Duration = Duration::from_millis(250);

/// What the store said to a commit.
enum Sent {
    Done,
    /// Somebody else wrote: read again, and do it again.
    Conflict,
    /// There is no record any more.
    Gone,
    /// The new key is taken; another one will not be.
    KeyTaken,
}

impl Exchange {
    /// Commits what was done; a second call does nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`], [`Superseded`](ErrorKind::Superseded) and [`Missing`](ErrorKind::Missing) if
    /// another request was first, and whatever the store fails with. No cookie is sent then.
    ///
    /// # Cancel safety
    ///
    /// The write may or may not have happened; the turn is passed on, and the lease given back.
    pub(crate) async fn commit(self: &Arc<Self>) -> Result<()> {
        match self.begin_commit()? {
            Some(prepared) => self.finish_commit(prepared).await,
            None => Ok(()),
        }
    }

    /// Plans the commit, and does it if no store need be asked, as after a request that only read, or where the
    /// session travels in the cookies of the response.
    /// Otherwise returns what [`finish_commit`](Self::finish_commit) is to do.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub(crate) fn begin_commit(self: &Arc<Self>) -> Result<Option<Box<Prepared>>> {
        let prepared = self.with(|work| {
            let before = std::mem::replace(&mut work.state.phase, Phase::Closed);
            (before != Phase::Closed).then(|| work.prepare(&self.core))
        });
        match prepared.transpose() {
            Ok(None) => Ok(None),
            Ok(Some(Prepared { op: Op::Nothing, cookie, now, .. })) => {
                self.settle_read(self.with(|work| work.committed(cookie)), now);
                Ok(None)
            }
            Ok(Some(prepared)) if self.core.carrier.is_some() => {
                self.settle(prepared);
                Ok(None)
            }
            Ok(Some(prepared)) => Ok(Some(Box::new(prepared))),
            Err(error) => Err(self.commit_failed(error)),
        }
    }

    /// Does what [`begin_commit`](Self::begin_commit) left to be done.
    pub(crate) async fn finish_commit(self: &Arc<Self>, prepared: Box<Prepared>) -> Result<()> {
        self.store(prepared).await.map_err(|error| self.commit_failed(error))
    }

    fn commit_failed(&self, error: Error) -> Error {
        self.abandon();
        let key = self.with(|work| work.base.as_ref().map(|base| base.key));
        self.core.observer.failed(error.kind(), key.as_ref());
        error
    }

    /// Boxes what only a conflict needs: each commit carries room for what is not.
    async fn store(self: &Arc<Self>, mut prepared: Box<Prepared>) -> Result<()> {
        let mut in_line = None;
        for _ in 0..TRIES {
            if let Some(copy) = &prepared.copy {
                // First, because the session that is left could be ended again, and its copy could not.
                self.core.end_copy(copy).await?;
            }
            if let Some(import) = &self.core.import {
                Box::pin(import.keep_up(&self.core, &prepared.op, prepared.kind)).await?;
            }
            match self.send_or_conflict(&prepared.op).await? {
                Sent::Done => {
                    self.settle(*prepared);
                    return Ok(());
                }
                Sent::KeyTaken => self.with(|work| (work.reserved, work.client.adopted) = (None, None)),
                // Whoever ended it removes the cookie, and what starts after the end does not need it: this
                // request goes on as a stranger.
                Sent::Gone if self.with(|work| work.has_ended(&self.core)) => {
                    self.with(|work| work.base = None);
                }
                Sent::Gone => return Err(missing()),
                #[cfg(feature = "php")]
                Sent::Conflict if self.core.php.is_some() => Box::pin(self.rebase_under_lock()).await?,
                Sent::Conflict => {
                    if in_line.is_none() {
                        in_line = Box::pin(self.get_in_line()).await;
                    }
                    Box::pin(self.rebase()).await?;
                }
            }
            *prepared = self.with(|work| work.prepare(&self.core))?;
        }
        Err(Error::new(ErrorKind::Busy, "too many requests changed the session at once; try again"))
    }

    /// Sends a commit. Where PHP holds the session, its lock has to be waited for: that is a conflict, too. A new
    /// session is nobody's; there the driver itself is busy.
    async fn send_or_conflict(&self, op: &Op) -> Result<Sent> {
        let is_held = |error: &Error| error.kind() == ErrorKind::Busy && self.core.php.is_some();
        match self.send(op).await {
            Err(error) if is_held(&error) && !matches!(op, Op::Create { .. }) => Ok(Sent::Conflict),
            sent => sent,
        }
    }

    async fn send(&self, op: &Op) -> Result<Sent> {
        let store = &self.core.store;
        match op {
            Op::Nothing => Ok(Sent::Done),
            Op::Create { new } => {
                let Fresh { key, written, .. } = &**new;
                Ok(match store.create(key, &written.record).await? {
                    Created::Stored => Sent::Done,
                    Created::IdTaken => Sent::KeyTaken,
                })
            }
            Op::Update { key, seen, written } => self.send_update(key, *seen, &written.record).await,
            Op::Replace { old, seen, frozen, new } => {
                let predecessor = frozen.as_ref().map_or(Predecessor::Delete, Predecessor::Update);
                let replaced = store.replace(old, *seen, predecessor, &new.key, &new.written.record).await?;
                Ok(match replaced {
                    Replaced::Stored => {
                        store.settle(&new.key).await?;
                        if store.fault_domain(old) != store.fault_domain(&new.key) {
                            store.settle(old).await?;
                        }
                        Sent::Done
                    }
                    Replaced::Stale => Sent::Conflict,
                    Replaced::Missing => Sent::Gone,
                    Replaced::IdTaken => Sent::KeyTaken,
                })
            }
            Op::End { key, seen } => self.send_end(key, *seen).await,
        }
    }

    async fn send_update(&self, key: &StoreKey, seen: Version, record: &Record) -> Result<Sent> {
        let lease = self.with(|work| work.lease_end(self.core.policy.lease));
        match self.core.store.update(key, seen, record, lease).await? {
            Updated::Stored => Ok(Sent::Done),
            Updated::Stale => Ok(Sent::Conflict),
            Updated::Missing if self.core.policy.rules.missing_stays_missing => Ok(Sent::Gone),
            Updated::Missing => match self.core.store.create(key, record).await? {
                Created::Stored => Ok(Sent::Done),
                Created::IdTaken => Ok(Sent::Conflict),
            },
        }
    }

    async fn send_end(&self, key: &StoreKey, seen: Version) -> Result<Sent> {
        let seen = self.core.policy.rules.conditional_end.then_some(seen);
        let store = &self.core.store;
        Ok(match store.delete(key, seen).await? {
            Deleted::Gone => {
                store.settle(key).await?;
                Sent::Done
            }
            Deleted::Stale => Sent::Conflict,
            Deleted::Missing => Sent::Gone,
        })
    }

    /// Waits, for a moment, until the merged requests of this node that met a conflict before are done.
    async fn get_in_line(&self) -> Option<Turn> {
        let key = self.with(|work| match work.access {
            Access::Merge => work.base.as_ref().map(|base| base.key),
            Access::View | Access::Exclusive => None,
        })?;
        match self.core.desk.enter(&key) {
            Ok(turn) => Some(turn),
            Err(waiting) => tokio::time::timeout(IN_LINE, waiting.turn()).await.ok(),
        }
    }

    /// Reads the record again, and does what was done again on it.
    async fn rebase(&self) -> Result<()> {
        let (token, key) = self.with(|work| {
            let base = work.base.as_ref().expect("only a record that was opened can be in conflict");
            (base.token.clone(), base.key)
        });
        let Some(base) = self.read_again(token, &key).await? else { return Err(missing()) };
        self.core.observer.tell(EventKind::Replayed, &key);
        self.with(|work| work.rebase(base, &self.core))
    }

    /// Notes what was stored, passes the turn on, and leaves the rest to be done off the path.
    fn settle(self: &Arc<Self>, prepared: Prepared) {
        let Prepared { op, copy: _, cookie, kind, now } = prepared;
        let turn = self.with(|work| work.committed(cookie));
        match op {
            Op::Nothing => self.settle_read(turn, now),
            Op::Create { new } => {
                self.core.observer.tell(EventKind::Created, &new.key);
                self.with(|work| work.go_on_from(*new, &self.core));
            }
            Op::Update { key, written, .. } => self.settle_update(key, kind, *written, turn),
            Op::Replace { old, new, .. } => {
                let (key, now) = (new.key, new.written.header.seen_at);
                let before = self.with(|work| work.go_on_from(*new, &self.core));
                pass_on(turn);
                match kind {
                    StoreOp::DeleteAndCreate => {
                        self.core.ended(EventKind::Ended, &old);
                        self.core.observer.tell(EventKind::Created, &key);
                    }
                    // The session lives on under another id, as PHP's do.
                    StoreOp::Update(_) => self.core.observer.tell(EventKind::Rotated, &key),
                    _ => self.core.ended(EventKind::Renewed, &old),
                }
                #[cfg(feature = "php")]
                self.core.settle_origin_later(&key, self.with(|work| work.origin()));
                self.settle_before(before, now);
            }
            Op::End { key, .. } => {
                let (before, now) = self.with(|work| (work.base.take(), work.now(&self.core)));
                pass_on(turn);
                self.core.ended(EventKind::Ended, &key);
                self.settle_before(before, now);
            }
        }
    }

    fn settle_update(&self, key: StoreKey, kind: StoreOp, written: Written, turn: Option<Turn>) {
        let Written { record, header } = written;
        let for_waiter = turn.as_ref().is_some_and(Turn::keeps_lease);
        let (found, standing, now) = self.with(|work| {
            let now = work.store_time(&self.core);
            let found = Found { record, now };
            let handed = for_waiter.then(|| found.clone());
            let base = work.base.as_mut().expect("only a record that was opened is updated");
            let standing = base.header.standing;
            (base.found, base.header) = (found, header);
            (handed, standing, now)
        });
        self.core.observer.tell(EventKind::Committed, &key);
        if let StoreOp::Update(identity) = kind {
            if identity.rotate {
                self.core.observer.tell(EventKind::Rotated, &key);
            }
            if identity.deliver {
                self.core.observer.tell(EventKind::Delivered, &key);
                end_origin(&self.core, standing, now);
            }
        }
        match (turn, found) {
            (Some(turn), Some(found)) => turn.hand_over(found),
            (turn, _) => pass_on(turn),
        }
    }

    /// Does what a request that wrote nothing leaves to be done, off its path, and then passes the turn on.
    fn settle_read(&self, turn: Option<Turn>, now: Timestamp) {
        let core = &self.core;
        match self.with(|work| work.afterwards(core, now)) {
            Afterwards::Nothing => drop(turn),
            Afterwards::Touch(expires_at) => {
                let Some(key) = self.with(|work| work.base.as_ref().map(|base| base.key)) else { return };
                if core.carrier.is_some() {
                    return core.observer.tell(EventKind::Touched, &key);
                }
                let (core, off_path) = (Arc::clone(core), &core.off_path);
                off_path.run(async move {
                    match core.store.touch(&key, expires_at).await {
                        Ok(Touched::Moved) => core.observer.tell(EventKind::Touched, &key),
                        Ok(Touched::Missing) => {}
                        // The next request does it: the slack is made for that.
                        Err(error) => core.observer.failed(error.kind(), Some(&key)),
                    }
                    drop(turn);
                });
            }
            Afterwards::Deliver => {
                let Some((key, seen, written, standing)) = self.with(|work| work.delivery(core)) else {
                    return;
                };
                let (core, off_path) = (Arc::clone(core), &core.off_path);
                off_path.run(async move {
                    deliver(&core, &key, seen, &written, standing).await;
                    drop(turn);
                });
            }
        }
    }

    /// Settles what the record before the present one had left behind.
    fn settle_before(&self, before: Option<Box<Base>>, now: Timestamp) {
        match before.map(|base| base.header.standing) {
            None | Some(Standing::Live) => {}
            // Somebody came with its secret: this request.
            Some(standing @ Standing::Undelivered { .. }) => end_origin(&self.core, standing, now),
            // A repeated sign-in leaves the session of the first one alone: its response may still be on the
            // way, or with the browser already, where it may overtake this one.
            Some(Standing::Frozen { .. }) if self.core.policy.rules.spare_undelivered => {}
            Some(Standing::Frozen { successor }) => delete_off_path(&self.core, successor),
        }
    }
}

/// Notes the first presentation of a secret, unless somebody wrote meanwhile: the next one notes it then.
async fn deliver(core: &Core, key: &StoreKey, seen: Version, written: &Written, standing: Standing) {
    match core.store.update(key, seen, &written.record, LeaseEnd::None).await {
        Ok(Updated::Stored) => {
            core.observer.tell(EventKind::Delivered, key);
            end_origin(core, standing, written.header.seen_at);
        }
        Ok(Updated::Stale | Updated::Missing) => {}
        Err(error) => core.observer.failed(error.kind(), Some(key)),
    }
}

/// Ends the record that a change of privilege left behind, now that somebody came with its successor: at
/// the end of its window.
fn end_origin(core: &Core, standing: Standing, now: Timestamp) {
    let Standing::Undelivered { origin, window_ends } = standing else { return };
    let store = core.store.clone();
    core.off_path.run(async move {
        if now >= window_ends {
            drop(store.delete(&origin, None).await);
        } else {
            drop(store.touch(&origin, window_ends).await);
        }
    });
}

fn delete_off_path(core: &Core, key: StoreKey) {
    let store = core.store.clone();
    core.off_path.run(async move { drop(store.delete(&key, None).await) });
}

/// Passes a turn on after a store call that ended its lease.
fn pass_on(turn: Option<Turn>) {
    if let Some(turn) = turn {
        turn.pass_on_without_lease();
    }
}

impl Work {
    /// Notes that the commit is done, with the cookie to send, and hands out the turn, to be passed on.
    fn committed(&mut self, cookie: Option<SendCookie>) -> Option<Turn> {
        self.outcome = Outcome::Committed(cookie);
        self.turn.take()
    }

    /// What the commit does with the lease: kept for a waiter of this node, or ended.
    fn lease_end(&mut self, ttl: Duration) -> LeaseEnd {
        self.turn.as_mut().map_or(LeaseEnd::None, |turn| turn.lease_end(ttl))
    }

    pub(super) fn rebase(&mut self, mut base: Box<Base>, core: &Core) -> Result<()> {
        let now = self.now(core);
        if self.state.fate != Fate::End && !self.fits(&base.header, core.policy.rules) {
            self.state.replay(base.take_values(), base.codec, base.header.flash_at, now)?;
        }
        self.base = Some(base);
        Ok(())
    }

    /// Goes on from the record that was stored under a new key; returns the one before it.
    fn go_on_from(&mut self, new: Fresh, core: &Core) -> Option<Box<Base>> {
        let Fresh { token, key, written: Written { record, header } } = new;
        let found = Found { record, now: self.store_time(core) };
        let opened =
            Opened::Live { admission: Admission::Current { first: false }, rotation: Rotation::Barred };
        let (codec, values, asked) = (self.state.codec, Values::default(), found.now);
        let base = Base { token: Some(token), key, found, header, opened, codec, values, asked, turn: None };
        self.base.replace(Box::new(base))
    }
}
