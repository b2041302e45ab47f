//! What the clients know of one session.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::check::{self, Call, Saw};
use crate::http::Reply;

/// A session, from its first answer on.
#[derive(Debug)]
pub(super) struct Life {
    /// What every value in it says, and no value of another session.
    pub(super) tag: String,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    cookie: String,
    calls: Vec<Call>,
    /// Keys whose write was acknowledged.
    kept: BTreeSet<String>,
    end: End,
}

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    NotYet,
    /// Somebody asked for it, and was not answered yet or by an error: it may be over.
    Asked,
    /// Who asked for it was told so.
    Sure(Instant),
}

/// What an answer is worth to somebody who asked at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Worth {
    /// The session was there all the time.
    Certain,
    /// Its end was near: the answer may be a stranger's.
    Doubtful,
}

impl Life {
    pub(super) fn new(tag: String, cookie: String) -> Self {
        let known = Known { cookie, calls: Vec::new(), kept: BTreeSet::new(), end: End::NotYet };
        Self { tag, known: Mutex::new(known) }
    }

    /// Returns the newest cookie.
    pub(super) fn cookie(&self) -> String {
        self.known.lock().unwrap().cookie.clone()
    }

    /// Takes over a replaced cookie, if the session has not ended, and says what the answer is worth.
    pub(super) fn answered(&self, reply: &Reply) -> Worth {
        let mut known = self.known.lock().unwrap();
        if known.end != End::NotYet {
            return Worth::Doubtful;
        }
        if let Some(cookie) = reply.cookie() {
            known.cookie = cookie.to_owned();
        }
        Worth::Certain
    }

    pub(super) fn note_call(&self, asked: Duration, saw: Saw) {
        self.known.lock().unwrap().calls.push(Call { asked, saw });
    }

    pub(super) fn note_kept(&self, key: String) {
        self.known.lock().unwrap().kept.insert(key);
    }

    /// Reports whether the caller is the one who is to end it.
    pub(super) fn begin_end(&self) -> bool {
        let mut known = self.known.lock().unwrap();
        let first = known.end == End::NotYet;
        known.end = if first { End::Asked } else { known.end };
        first
    }

    pub(super) fn note_end(&self) {
        self.known.lock().unwrap().end = End::Sure(Instant::now());
    }

    /// Reports whether it was over for sure before now.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.known.lock().unwrap().end, End::Sure(_))
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.known.lock().unwrap().end == End::NotYet
    }

    /// Checks that values are this session's and no other's, and returns its counter.
    #[track_caller]
    pub(super) fn check_values(&self, values: &Value) -> u64 {
        let values = values.as_object().expect("all values");
        for (key, value) in values.iter().filter(|(key, _)| *key != "n") {
            assert_eq!(value, self.tag.as_str(), "a value of another session: {key}");
        }
        values.get("n").map_or(0, |n| n.as_u64().expect("a number"))
    }

    /// Checks the calls of one counter that takes turns.
    #[track_caller]
    pub(super) fn check_turns(&self) {
        let known = self.known.lock().unwrap();
        if let Err(why) = check::counter(&known.calls) {
            panic!("{why}: {:#?}", known.calls);
        }
    }

    /// Returns how many acknowledged increments and keys are not among the values that are left.
    pub(super) fn lost(&self, values: &Value) -> (u64, usize) {
        let known = self.known.lock().unwrap();
        let acknowledged =
            known.calls.iter().filter(|call| matches!(call.saw, Saw::Counted { .. })).count() as u64;
        let unknown = known.calls.iter().filter(|call| call.saw == Saw::Nothing).count() as u64;
        let left = self.check_values(values);
        assert!(left <= acknowledged + unknown, "{left} of {acknowledged} increments, {unknown} unknown");
        let keys = known.kept.iter().filter(|key| values.get(key.as_str()).is_none()).count();
        (acknowledged.saturating_sub(left), keys)
    }
}
