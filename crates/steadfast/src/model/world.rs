//! A state of the model: the store, one browser, what is under way between them, and what must hold.

use std::collections::BTreeMap;

use super::record::Stored;
use crate::plan::Opened;

/// What a handler does with the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    View,
    Read,
    Write,
    /// Asks for another secret.
    Rotate,
    Login,
    StepUp,
    Logout,
}

pub(super) const KINDS: [Kind; 7] =
    [Kind::View, Kind::Read, Kind::Write, Kind::Rotate, Kind::Login, Kind::StepUp, Kind::Logout];

/// What the browser's cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cookie {
    pub(super) key: u8,
    pub(super) secret: u8,
}

/// What a response does to the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SetCookie {
    Token(Cookie),
    Remove,
}

/// The record from which a request works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Base {
    pub(super) key: u8,
    pub(super) stored: Stored,
    /// When it was read, where that matters.
    pub(super) read_at: u8,
    /// Nobody has written since it was read: it has the version that was seen.
    pub(super) fresh: bool,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// On its way to the server.
    Sent,
    /// In its handler.
    Working { base: Option<Base>, opened: Opened },
    /// Committed; the head leaves, and may say this about the cookie.
    Committed { cookie: SetCookie, until: Option<u8> },
    /// On its way to the browser.
    Answered(SetCookie),
}

/// A request under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    pub(super) kind: Kind,
    pub(super) cookie: Option<Cookie>,
    /// What the browser may rely on: it has had a cookie of this level, and nothing ended the session.
    pub(super) promised: Option<u8>,
    pub(super) stage: Stage,
    /// It has been on its way for a tick: it arrives within the next one.
    pub(super) late: bool,
}

/// What no response waits for. It may be done at any time, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Errand {
    /// Notes the first presentation of a secret, unless somebody writes first.
    Deliver { base: Base },
    /// Ends what a change of privilege left behind, at the end of its window.
    EndOrigin { origin: u8, window_ends: u8 },
    /// Deletes the undelivered session of a sign-in that was repeated.
    DropUndelivered { key: u8 },
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Fault {
    SignedOut,
    CameBack,
    LostWrite,
    TwoSuccessors,
    NotDirect,
    SawPrivilege,
    WroteFrozen,
    WroteDead,
    RemovedByOther,
    LeftBehind,
}

/// What nobody in the world knows, to tell whether the rules hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct History {
    faults: u16,
    /// By secret: who was signed in when it was minted.
    pub(super) levels: Vec<u8>,
    /// By secret: the one that succeeded it.
    pub(super) successors: Vec<Option<u8>>,
    /// By key: the sign-in that it belongs to.
    pub(super) lineages: Vec<u8>,
    /// By key: the key from which a change of privilege led to it.
    pub(super) origins: Vec<Option<u8>>,
    /// Sign-ins that were ended by sign-out or revocation.
    pub(super) ended: u32,
    /// Records that were deleted.
    pub(super) dead: u32,
}

impl History {
    pub(super) fn note(&mut self, fault: Fault) {
        self.faults |= 1 << fault as u8;
    }

    pub(super) fn noted(&self, fault: Fault) -> bool {
        self.faults & (1 << fault as u8) != 0
    }

    pub(super) fn is_clean(&self) -> bool {
        self.faults == 0
    }

    pub(super) fn lineage_ended(&self, key: u8) -> bool {
        self.ended & (1 << self.lineages[usize::from(key)]) != 0
    }

    pub(super) fn is_dead(&self, key: u8) -> bool {
        self.dead & (1 << key) != 0
    }

    /// Whether the session of `earlier` became that of `later` by changes of privilege.
    pub(super) fn leads_to(&self, earlier: u8, later: u8) -> bool {
        let mut at = self.origins[usize::from(later)];
        while let Some(key) = at {
            if key == earlier {
                return true;
            }
            at = self.origins[usize::from(key)];
        }
        false
    }
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: u8,
    pub(super) jar: Option<Cookie>,
    pub(super) promised: Option<u8>,
    pub(super) records: BTreeMap<u8, Stored>,
    pub(super) flights: Vec<Flight>,
    pub(super) errands: Vec<Errand>,
    /// Requests that the browser may still send, by kind.
    pub(super) budget: [u8; KINDS.len()],
    pub(super) revocations: u8,
    pub(super) history: History,
}

impl World {
    /// Mints a key, with the secret of its first token.
    pub(super) fn mint(&mut self, level: u8, lineage: Option<u8>, origin: Option<u8>) -> Cookie {
        let key = u8::try_from(self.history.lineages.len()).expect("few keys");
        self.history.lineages.push(lineage.unwrap_or(key));
        self.history.origins.push(origin);
        Cookie { key, secret: self.mint_secret(level) }
    }

    pub(super) fn mint_secret(&mut self, level: u8) -> u8 {
        self.history.levels.push(level);
        self.history.successors.push(None);
        u8::try_from(self.history.levels.len() - 1).expect("few secrets")
    }

    /// The record under a key, unless it has expired.
    pub(super) fn record(&self, key: u8) -> Option<Stored> {
        self.records.get(&key).copied().filter(|stored| stored.expires.is_none_or(|at| self.now < at))
    }

    /// Writes a record; whoever read it before has an older version now.
    pub(super) fn write(&mut self, key: u8, stored: Stored) {
        if self.history.is_dead(key) {
            self.history.note(Fault::WroteDead);
        }
        if let Some(before) = self.records.insert(key, stored) {
            if before.is_frozen() && (!stored.is_frozen() || stored.values != before.values) {
                self.history.note(Fault::WroteFrozen);
            }
            if before.values & !stored.values != 0 {
                self.history.note(Fault::LostWrite);
            }
        }
        self.outdate(key);
    }

    pub(super) fn delete(&mut self, key: u8) {
        self.records.remove(&key);
        self.history.dead |= 1 << key;
        self.outdate(key);
    }

    /// Ends the sign-in that a key belongs to: nobody may rely on it any more.
    pub(super) fn end(&mut self, key: u8) {
        self.delete(key);
        self.history.ended |= 1 << self.history.lineages[usize::from(key)];
        self.promised = None;
        self.flights.iter_mut().for_each(|flight| flight.promised = None);
    }

    /// Once everything off the path is done, a signed-in record that was left behind has an end in sight
    /// if its session ended.
    pub(super) fn look_for_what_was_left_behind(&mut self) {
        let lasting = self.records.iter().any(|(key, stored)| {
            stored.is_frozen()
                && stored.level > 0
                && stored.expires.is_none()
                && self.history.lineage_ended(*key)
        });
        if lasting && self.errands.is_empty() {
            self.history.note(Fault::LeftBehind);
        }
    }

    fn outdate(&mut self, key: u8) {
        for flight in &mut self.flights {
            if let Stage::Working { base: Some(base), .. } = &mut flight.stage {
                base.fresh &= base.key != key;
            }
        }
        // A conditional errand that is outdated does nothing.
        self.errands.retain(|errand| !matches!(errand, Errand::Deliver { base } if base.key == key));
    }
}
