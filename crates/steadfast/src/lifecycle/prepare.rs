//! From what was done to bytes: the store operation of a commit, made without waiting for anything.

use bytes::Bytes;

use super::exchange::{Access, Base, SendCookie, Work, superseded};
use super::{Core, Import};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{self, Admission, CookieOp, Done, Fate, Identity, Opened, Plan, Rotation, StoreOp};
use crate::random;
use crate::record::{Device, Header, Standing};
use crate::rules::Rules;
use crate::session::UserChange;
use crate::store::{Record, StoreKey, UserKey, Version};
use crate::time::Timestamp;
use crate::token::{self, Secret, Token};

/// A commit, ready to be sent to the store.
pub(crate) struct Prepared {
    pub(super) op: Op,
    /// The copy that a change of id left to PHP, if the session ends and the copy is to end with it.
    pub(super) copy: Option<StoreKey>,
    pub(super) cookie: Option<SendCookie>,
    pub(super) kind: StoreOp,
    /// When it was made.
    pub(super) now: Timestamp,
}

/// What is sent to the store. Records are boxed, because most requests only read.
pub(super) enum Op {
    Nothing,
    Create {
        new: Box<Fresh>,
    },
    Update {
        key: StoreKey,
        seen: Version,
        written: Box<Written>,
    },
    Replace {
        old: StoreKey,
        seen: Version,
        frozen: Option<Record>,
        new: Box<Fresh>,
    },
    /// Conditional, because the session would stay alive if a step-up had just moved it.
    End {
        key: StoreKey,
        seen: Version,
    },
}

/// A record under a new key.
pub(super) struct Fresh {
    pub(super) token: Token,
    pub(super) key: StoreKey,
    pub(super) written: Written,
}

/// A record with the header that went into it.
pub(super) struct Written {
    pub(super) record: Record,
    pub(super) header: Header,
}

impl Work {
    /// Plans the commit and encodes what it needs.
    pub(super) fn prepare(&self, core: &Core) -> Result<Prepared> {
        let now = self.now(core);
        let opened = self.opened(core);
        let done = Done { fate: self.state.fate, written: self.state.is_written() };
        let Plan::Do(kind, cookie) = plan::plan(opened, done, core.policy.rules) else {
            return Err(superseded());
        };
        let (op, token) = self.op(core, kind, now)?;
        let cookie = match &core.carrier {
            None => self.cookie(core, cookie, self.header_after(&op), token, now)?,
            Some(carrier) => self.carry(core, carrier, &op, now)?,
        };
        // After a change of privilege nobody would know of it any more.
        let ends = !matches!(kind, StoreOp::None | StoreOp::Create | StoreOp::Update(_));
        let copy = self.base.as_ref().filter(|_| ends).and_then(|base| base.header.origin_key());
        Ok(Prepared { op, copy, cookie, kind, now })
    }

    /// How the session was opened, for the plan: who only reads never rotates, nor what travels whole.
    fn opened(&self, core: &Core) -> Opened {
        let never = self.access == Access::View || core.carrier.is_some();
        match self.base.as_ref().map_or(Opened::Stranger, |base| base.opened) {
            Opened::Live { admission, rotation: _ } if never => {
                Opened::Live { admission, rotation: Rotation::Barred }
            }
            opened => opened,
        }
    }

    /// Makes the store operation, with the token of who may come afterwards, if it is a new one.
    fn op(&self, core: &Core, kind: StoreOp, now: Timestamp) -> Result<(Op, Option<Token>)> {
        let base = self.base.as_deref();
        let base_of = || base.expect("the plan changes only a record that was opened");
        Ok(match kind {
            StoreOp::None => (Op::Nothing, None),
            StoreOp::Create => {
                let new = self.fresh(core, None, now)?;
                let token = new.token.clone();
                (Op::Create { new }, Some(token))
            }
            #[cfg(feature = "php")]
            StoreOp::Update(Identity { rotate: true, .. }) if core.php.is_some() => {
                self.move_on(core, base_of(), now)?
            }
            StoreOp::Update(identity) => {
                let base = base_of();
                let (written, token) = self.update(core, base, identity, now)?;
                let seen = base.found.record.version;
                (Op::Update { key: base.key, seen, written }, token)
            }
            StoreOp::Freeze | StoreOp::Succeed | StoreOp::DeleteAndCreate => {
                let base = base_of();
                let carried = (kind != StoreOp::DeleteAndCreate).then_some(base);
                let new = self.fresh(core, carried, now)?;
                let frozen = carried.map(|base| frozen(core, base, new.key, now)).transpose()?;
                let token = new.token.clone();
                let seen = base.found.record.version;
                (Op::Replace { old: base.key, seen, frozen, new }, Some(token))
            }
            StoreOp::Delete => {
                let base = base_of();
                (Op::End { key: base.key, seen: base.found.record.version }, None)
            }
        })
    }

    /// Returns the header that will hold after an operation.
    fn header_after<'a>(&'a self, op: &'a Op) -> Option<&'a Header> {
        match op {
            Op::Nothing => self.header(),
            Op::Create { new } | Op::Replace { new, .. } => Some(&new.written.header),
            Op::Update { written, .. } => Some(&written.header),
            Op::End { .. } => None,
        }
    }

    /// Makes the record of a session that starts now, or that goes on from another under a new key.
    fn fresh(&self, core: &Core, from: Option<&Base>, now: Timestamp) -> Result<Box<Fresh>> {
        let adopted = self.client.adopted.as_ref().filter(|_| from.is_none() && self.base.is_none());
        let token = self.reserved.as_ref().or(adopted).cloned();
        let token = token.unwrap_or_else(|| core.fresh_token(self.client.ip));
        let mut header = fresh_header(core, self, now, &token.secret);
        if let Some(Base { header: old, key, .. }) = from {
            if self.state.user == UserChange::Keep {
                // A step-up goes on with the same sign-in; its time does not begin anew.
                (header.created_at, header.absolute_at) = (old.created_at, old.absolute_at);
                (header.user, header.device) = (old.user.clone(), old.device.clone());
            } else {
                header.absolute_at = now + core.policy.lifetimes(old.persistent).1;
            }
            (header.idle, header.persistent) = (old.idle, old.persistent);
            (header.bound_ip, header.bound_agent) = (old.bound_ip, old.bound_agent);
            header.flash_at = old.flash_at;
            #[cfg(feature = "php")]
            if let Some(side) = &old.php {
                header.php =
                    Some(Box::new(side.moved(&token.key.store_key(), closed_origin(core, *key, now))));
            }
            // What travels in a cookie leaves no record behind, and what is shared with PHP names it itself.
            if core.carrier.is_none() && core.php.is_none() {
                let window_ends = now + core.policy.forward_window;
                header.standing = Standing::Undelivered { origin: *key, window_ends };
            }
        }
        self.settle(core, &mut header, now);
        let key = token.key.store_key();
        let written = self.write(core, header, now)?;
        Ok(Box::new(Fresh { token, key, written }))
    }

    /// Makes the record that is written over the one that was read.
    fn update(
        &self,
        core: &Core,
        base: &Base,
        identity: Identity,
        now: Timestamp,
    ) -> Result<(Box<Written>, Option<Token>)> {
        let mut header = base.header.clone();
        let mut token = None;
        // Mostly nothing happens to the identity, and then the system is not asked for randomness.
        if let Some(presented) = base.token.as_ref().filter(|_| identity != Identity::default()) {
            let next = Secret::fresh();
            header.apply(identity, &presented.secret, &next, now, core.policy.forward_window);
            token = identity.rotate.then(|| presented.with_secret(next));
        }
        header.forget_predecessor(now);
        header.seen_at = if self.state.extend { now } else { header.seen_at };
        self.settle(core, &mut header, now);
        Ok((Box::new(self.write(core, header, now)?), token))
    }

    /// Applies what the handler changed beside the values.
    pub(super) fn settle(&self, core: &Core, header: &mut Header, now: Timestamp) {
        if self.state.changes_data() {
            header.data_tag = random::unique();
        }
        if self.state.flash_changed {
            header.flash_at = now.shifted(core.order_skew(self.skew) - self.skew);
        }
        match &self.state.user {
            UserChange::Keep => {}
            UserChange::Bind(user) => {
                header.user = Some(user.clone());
                header.device =
                    Some(Device { ip: self.client.ip, user_agent: self.client.user_agent.clone() });
            }
        }
        if let Some(persistent) = self.state.persistent {
            let (idle, absolute) = core.policy.lifetimes(persistent);
            (header.persistent, header.idle) = (persistent, idle);
            header.absolute_at = header.created_at + absolute;
        }
    }

    pub(super) fn write(&self, core: &Core, header: Header, now: Timestamp) -> Result<Written> {
        let payload = core.write(self.state.codec, &header, &self.state.values)?;
        check_size(core, &payload)?;
        // A write that is not a use leaves the deadline where it is.
        let kept = self.base.as_ref().filter(|_| !self.state.extend).map(|base| base.found.record.expires_at);
        let expires_at = kept.unwrap_or_else(|| core.deadline(&header, now));
        let user = self.user_key(&header);
        let version = core.version(&payload);
        Ok(Written { record: Record { payload, version, expires_at, user }, header })
    }

    /// Returns the user in whose index the record is listed: a digest, taken over if the record had it.
    fn user_key(&self, header: &Header) -> Option<UserKey> {
        let same = self.base.as_ref().filter(|base| base.header.user == header.user);
        let known = same.and_then(|base| base.found.record.user);
        header.user.as_deref().map(|user| known.unwrap_or_else(|| token::user_key(user)))
    }

    /// Makes the cookie that the response sends.
    fn cookie(
        &self,
        core: &Core,
        op: CookieOp,
        header: Option<&Header>,
        token: Option<Token>,
        now: Timestamp,
    ) -> Result<Option<SendCookie>> {
        let (token, until) = match (op, header) {
            (CookieOp::None, _) => return Ok(None),
            (CookieOp::Remove, _) => {
                return Ok(Some(self.sends(core, core.cookies.remove(), None)));
            }
            (CookieOp::Issue, Some(_)) => (token, None),
            (CookieOp::IssueInWindow, Some(header)) => (token, core.sendable_until(header)),
            (CookieOp::Forward, Some(header)) => {
                let until = core.sendable_until(header);
                if core.policy.rules.drop_late_cookies && until.is_some_and(|until| now > until) {
                    return Ok(None);
                }
                // In a layout that is shared with PHP the session was found under the id that follows.
                let found = || self.base.as_ref().and_then(|base| base.token.clone());
                (if core.php.is_some() { found() } else { self.successor(header)? }, until)
            }
            (CookieOp::Issue | CookieOp::IssueInWindow | CookieOp::Forward, None) => return Ok(None),
        };
        let (Some(token), Some(header)) = (token, header) else { return Ok(None) };
        let header = core.cookies.issue(&token.encode(), core.cookie_lifetime(header, now));
        Ok(Some(self.sends(core, header, until)))
    }

    /// Sends a cookie, and removes the one by which the session moved here.
    fn sends(&self, core: &Core, cookie: String, until: Option<Timestamp>) -> SendCookie {
        let moved = core.import.as_ref().filter(|_| self.client.moved);
        let headers = [Some(cookie), moved.and_then(Import::remove_cookie)];
        SendCookie { headers: headers.into_iter().flatten().collect(), until }
    }

    /// Opens the successor of the secret that came.
    fn successor(&self, header: &Header) -> Result<Option<Token>> {
        let base = self.base.as_ref();
        let (Some(token), Some(predecessor)) = (base.and_then(|b| b.token.as_ref()), &header.predecessor)
        else {
            return Ok(None);
        };
        let successor = token.secret.unseal(&predecessor.successor, &header.secret);
        let secret = successor.ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "the session record names a successor that its secret does not open",
            )
        })?;
        Ok(Some(token.with_secret(secret)))
    }
}

/// Makes the record that a change of privilege leaves behind: as it was read, and naming its successor.
fn frozen(core: &Core, base: &Base, successor: StoreKey, now: Timestamp) -> Result<Record> {
    let contents = core.read(&base.key, &base.found.record, base.found.now)?;
    let mut header = contents.header;
    header.freeze(successor);
    #[cfg(feature = "php")]
    if let Some(side) = &mut header.php {
        side.left = Some(crate::layout::Left { to: None, until: now + core.policy.forward_window });
    }
    #[cfg(not(feature = "php"))]
    let _ = now;
    let payload = core.write(contents.codec, &header, &contents.values)?;
    let version = core.version(&payload);
    Ok(Record { payload, version, ..base.found.record.clone() })
}

/// Names the record that a change of privilege leaves behind in a layout that is shared with PHP.
#[cfg(feature = "php")]
fn closed_origin(core: &Core, key: StoreKey, now: Timestamp) -> Option<crate::layout::Origin> {
    let name = *key.shared()?;
    Some(crate::layout::Origin::closed(name, now + core.policy.forward_window))
}

fn fresh_header(core: &Core, work: &Work, now: Timestamp, secret: &Secret) -> Header {
    let (idle, absolute) = core.policy.lifetimes(false);
    Header {
        data_tag: random::unique(),
        created_at: now,
        rotated_at: now,
        seen_at: now,
        absolute_at: now + absolute,
        flash_at: Timestamp::EPOCH,
        idle,
        persistent: false,
        secret: secret.digest(),
        predecessor: None,
        standing: Standing::Live,
        user: None,
        device: None,
        bound_ip: work.client.bound_ip,
        bound_agent: work.client.bound_agent,
        php: core.fresh_side(),
    }
}

fn check_size(core: &Core, payload: &Bytes) -> Result<()> {
    if payload.len() <= core.policy.max_record_bytes {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        "the session is larger than the limit `max_record_bytes`; nothing was written",
    ))
}

/// What a request that only read leaves to be done off its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Nothing,
    /// The deadline is to be moved.
    Touch(Timestamp),
    /// The first presentation of the secret is to be noted.
    Deliver,
}

impl Work {
    /// Decides what a request that wrote nothing leaves to be done.
    pub(super) fn afterwards(&self, core: &Core, now: Timestamp) -> Afterwards {
        let Some(Base { opened: Opened::Live { admission, .. }, header, found, token, .. }) =
            self.base.as_deref()
        else {
            return Afterwards::Nothing;
        };
        if matches!(admission, Admission::Current { first: true }) && token.is_some() {
            return Afterwards::Deliver;
        }
        let deadline = core.deadline(header, now);
        let moved = deadline.saturating_since(found.record.expires_at);
        let due = self.state.extend && moved >= core.unwritten(header) && !moved.is_zero();
        if due { Afterwards::Touch(deadline) } else { Afterwards::Nothing }
    }

    /// Makes the record that notes the first presentation of the secret.
    pub(super) fn delivery(&self, core: &Core) -> Option<(StoreKey, Version, Written, Standing)> {
        let base = self.base.as_ref()?;
        let contents = core.read(&base.key, &base.found.record, base.found.now).ok()?;
        let now = self.now(core);
        let (mut header, standing) = (contents.header, base.header.standing);
        header.deliver(now);
        header.seen_at = now;
        let payload = core.write(contents.codec, &header, &contents.values).ok()?;
        let expires_at = core.deadline(&header, now);
        let user = base.found.record.user;
        let record = Record { version: core.version(&payload), payload, expires_at, user };
        Some((base.key, base.found.record.version, Written { record, header }, standing))
    }

    /// Reports whether the record has the same values and user as the one that was read, so that what was
    /// done can go on with its header.
    pub(super) fn fits(&self, header: &Header, rules: Rules) -> bool {
        let same = self.base.as_ref().is_some_and(|base| base.header.data_tag == header.data_tag);
        same || !rules.conditional_writes
    }

    /// Reports whether the end of the session was asked for, and had come when its record was gone.
    ///
    /// A step-up moves the session to a new key and leaves the record for a window. So a record that is
    /// gone sooner after it was read was ended by somebody else; one that is gone later may live on. PHP leaves
    /// nothing when it changes an id: there it may always live on.
    pub(super) fn has_ended(&self, core: &Core) -> bool {
        if core.php.is_some() {
            return false;
        }
        let read = self.base.as_ref().map_or(Timestamp::EPOCH, |base| base.found.now);
        self.state.fate == Fate::End && self.now(core).saturating_since(read) < core.policy.forward_window
    }
}
