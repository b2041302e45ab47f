//! The protocol, as pure functions: who is let in, and what a response does to the store and the cookie.
//!
//! Nothing here does I/O or reads a clock. [`admit`] compares a presented secret with a record's header;
//! [`plan`] decides from what came in and what was done; the methods of [`Header`] below are the only
//! ways in which an identity changes. The tables are tested row by row, and a model checker walks
//! through these very functions (`src/model/`).

use std::time::Duration;

use crate::record::{Header, Predecessor, Standing};
use crate::rules::Rules;
use crate::store::StoreKey;
use crate::time::Timestamp;
use crate::token::{Secret, SecretDigest};

/// How a request that presented a secret stands to the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Admission {
    /// It came with the present secret.
    Current {
        /// Nobody had come with it before, as far as the record knows.
        first: bool,
    },
    /// It came with the direct predecessor, which is still good: same session, and the response
    /// carries the successor.
    Forwarded {
        /// The window is over, but nobody has come with the successor: the window opens again.
        reopen: bool,
    },
    /// It is a stranger.
    Refused,
}

/// Compares a presented secret with a record.
pub(crate) fn admit(header: &Header, presented: &SecretDigest, now: Timestamp, rules: Rules) -> Admission {
    if header.secret.matches(presented) {
        let undelivered = matches!(header.standing, Standing::Undelivered { .. });
        let first = undelivered || header.predecessor.as_ref().is_some_and(|p| !p.replaced);
        return Admission::Current { first };
    }
    let Some(predecessor) = header.predecessor.as_ref().filter(|p| p.digest.matches(presented)) else {
        return Admission::Refused;
    };
    let in_window = rules.forward_in_window && now <= predecessor.window_ends;
    let undelivered = rules.forward_until_delivered && !predecessor.replaced;
    if in_window || undelivered { Admission::Forwarded { reopen: !in_window } } else { Admission::Refused }
}

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Opened {
    /// No session: no cookie, or one that opens nothing.
    Stranger,
    /// The session, by a token that was admitted.
    Live {
        admission: Admission,
        /// Whether the secret may be replaced now.
        rotation: Rotation,
    },
    /// The record that a change of privilege left behind.
    Frozen,
}

/// Whether a secret may be replaced in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rotation {
    /// Its predecessor is still good, so it stays: only one step back is ever honoured.
    Barred,
    /// Where the handler asks for it.
    Possible,
    /// It has served its time.
    Due,
}

/// Decides whether the secret of a record may be replaced by a request that was admitted.
pub(crate) fn rotation(
    header: &Header,
    admission: Admission,
    now: Timestamp,
    rotate_every: Option<Duration>,
    rules: Rules,
) -> Rotation {
    let due = rotate_every.is_some_and(|every| now.saturating_since(header.rotated_at) >= every);
    // The request that came with the present secret delivered it, so only the window is left to wait for.
    let open = header.predecessor.as_ref().is_some_and(|p| now <= p.window_ends);
    let barred = open || !matches!(admission, Admission::Current { .. });
    match (barred && rules.one_successor_at_a_time, due) {
        (true, _) => Rotation::Barred,
        (false, true) => Rotation::Due,
        (false, false) => Rotation::Possible,
    }
}

/// What the handler did to the identity of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Keep,
    /// Asked for another secret.
    Rotate,
    /// Changed the privilege: sign-in, step-up.
    Renew,
    /// Ended it: sign-out, destroy.
    End,
}

/// What the handler did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) fate: Fate,
    /// Values or settings were written (after the end of the old session, if there was one).
    pub(crate) written: bool,
}

/// What is to be done to the store, on the request's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOp {
    /// Nothing.
    None,
    /// A first record is stored.
    Create,
    /// The record is written over the version that was read.
    Update(Identity),
    /// A new record is stored, and the old one frozen.
    Freeze,
    /// A new record is stored in place of the one that the frozen record names.
    Succeed,
    /// The record is ended over the version that was read, and deleted.
    Delete,
    /// The record is deleted, and a new one stored.
    DeleteAndCreate,
}

/// What an update does to the identity in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    /// A new secret takes the place of the present one.
    pub(crate) rotate: bool,
    /// The present secret has been presented for the first time.
    pub(crate) deliver: bool,
    /// The predecessor's window opens again.
    pub(crate) reopen: bool,
}

/// What the response does to the browser's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieOp {
    /// Nothing: an unchanged secret is never sent again.
    None,
    /// Sends the token of a new record.
    Issue,
    /// Sends the new secret of this record, unless the head leaves too late in the predecessor's window:
    /// by the time it arrives, a later secret may be with the browser already.
    IssueInWindow,
    /// Sends the successor of the secret that came, with the same reservation.
    Forward,
    /// Removes the cookie.
    Remove,
}

/// What a response does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// This.
    Do(StoreOp, CookieOp),
    /// Nothing: another session took this one's place. The handler's response is replaced by a 409.
    Superseded,
}

/// Decides what a response does to the store and the cookie.
pub(crate) fn plan(opened: Opened, done: Done, rules: Rules) -> Plan {
    match opened {
        Opened::Stranger => stranger(done, rules),
        Opened::Live { admission, rotation } => live(admission, rotation, done, rules),
        Opened::Frozen => frozen(done, rules),
    }
}

fn stranger(Done { fate, written }: Done, rules: Rules) -> Plan {
    // A dead cookie is left alone until a write replaces it: removing it could race with the response
    // of a parallel request that has just set a living one.
    match (fate, written) {
        (Fate::Renew, _) | (_, true) => Plan::Do(StoreOp::Create, CookieOp::Issue),
        (_, false) if rules.leave_dead_cookies => Plan::Do(StoreOp::None, CookieOp::None),
        (_, false) => Plan::Do(StoreOp::None, CookieOp::Remove),
    }
}

fn live(admission: Admission, rotation: Rotation, Done { fate, written }: Done, rules: Rules) -> Plan {
    match (fate, written) {
        (Fate::End, false) => Plan::Do(StoreOp::Delete, CookieOp::Remove),
        (Fate::End, true) => Plan::Do(StoreOp::DeleteAndCreate, CookieOp::Issue),
        (Fate::Renew, _) if rules.new_record_for_privilege => Plan::Do(StoreOp::Freeze, CookieOp::Issue),
        (Fate::Renew, _) => {
            let identity = Identity { rotate: true, ..Identity::default() };
            Plan::Do(StoreOp::Update(identity), CookieOp::IssueInWindow)
        }
        (Fate::Keep | Fate::Rotate, _) => kept(admission, rotation, Done { fate, written }, rules),
    }
}

fn kept(admission: Admission, rotation: Rotation, Done { fate, written }: Done, rules: Rules) -> Plan {
    match admission {
        Admission::Current { first } => {
            let asked = fate == Fate::Rotate && rotation == Rotation::Possible;
            let rotate = asked || rotation == Rotation::Due;
            let identity = Identity { rotate, deliver: first, reopen: false };
            let cookie = if rotate { CookieOp::IssueInWindow } else { CookieOp::None };
            // A delivery alone is recorded off the request's path.
            let store = if written || rotate { StoreOp::Update(identity) } else { StoreOp::None };
            Plan::Do(store, cookie)
        }
        Admission::Forwarded { reopen } => {
            let identity = Identity { reopen, ..Identity::default() };
            // The successor is sent again only once the window is known to be open in the store.
            let store = if written || reopen { StoreOp::Update(identity) } else { StoreOp::None };
            Plan::Do(store, CookieOp::Forward)
        }
        Admission::Refused => stranger(Done { fate: Fate::Keep, written }, rules),
    }
}

fn frozen(Done { fate, written }: Done, rules: Rules) -> Plan {
    match (fate, written) {
        (Fate::Renew, _) => Plan::Do(StoreOp::Succeed, CookieOp::Issue),
        (Fate::Keep, false) => Plan::Do(StoreOp::None, CookieOp::None),
        _ if rules.frozen_is_read_only => Plan::Superseded,
        _ => Plan::Do(StoreOp::Update(Identity::default()), CookieOp::None),
    }
}

impl Header {
    /// Applies what an update does to the identity. `presented` is the secret that came, `next` the one
    /// that takes its place if it is to be rotated.
    pub(crate) fn apply(
        &mut self,
        identity: Identity,
        presented: &Secret,
        next: &Secret,
        now: Timestamp,
        forward_window: Duration,
    ) {
        let Identity { rotate, deliver, reopen } = identity;
        if deliver {
            self.deliver(now);
        }
        if reopen && let Some(predecessor) = &mut self.predecessor {
            predecessor.window_ends = now + forward_window;
        }
        if rotate {
            self.predecessor = Some(Predecessor {
                digest: presented.digest(),
                window_ends: now + forward_window,
                successor: presented.seal(next),
                replaced: false,
            });
            self.secret = next.digest();
            self.rotated_at = now;
        }
    }

    /// Notes that somebody has come with the present secret.
    pub(crate) fn deliver(&mut self, now: Timestamp) {
        if let Standing::Undelivered { .. } = self.standing {
            self.standing = Standing::Live;
        }
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.replaced = true;
        }
        self.forget_predecessor(now);
    }

    /// Erases a predecessor that is good for nothing any more.
    pub(crate) fn forget_predecessor(&mut self, now: Timestamp) {
        self.predecessor.take_if(|p| p.replaced && now > p.window_ends);
    }

    /// Returns until when a response may send the present secret, if there is one before it.
    ///
    /// In the first half of the window only: so the response has a quarter of the window to reach the
    /// browser, and a request that the browser sent just before with the predecessor has another one to
    /// reach the server, before the next rotation can end the predecessor.
    pub(crate) fn sendable_until(&self, forward_window: Duration, rules: Rules) -> Option<Timestamp> {
        let margin = if rules.send_in_first_half { forward_window / 2 } else { Duration::ZERO };
        self.predecessor.as_ref().map(|p| p.window_ends - margin)
    }

    /// Turns the header into that of the record which a change of privilege leaves behind.
    pub(crate) fn freeze(&mut self, successor: StoreKey) {
        self.standing = Standing::Frozen { successor };
    }
}

#[cfg(test)]
mod tests;
