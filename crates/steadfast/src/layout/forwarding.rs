//! What a shared session knows of the ids it had: the copy that a change of id leaves to PHP, and what PHP still
//! writes there.
//!
//! PHP can't be told that an id is over, so a rotation in time leaves it a full copy. Ours forward from there by
//! two keys in it. What PHP writes into the copy meanwhile is found by comparing it with what was left, key by
//! key, and carried over; where both sides changed a key, the session has forked, and that is reported.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::{Mark, Values};
use crate::store::{SharedName, StoreKey};
use crate::time::Timestamp;

/// What the header of a shared session holds beside that of others.
#[derive(Clone, Default)]
pub(crate) struct PhpSide {
    /// The digest of the session's own id. What is written for one id must not count under another one, to which
    /// PHP carries it along.
    pub(super) own: String,
    /// The user as the values named them when they were read.
    pub(super) user_read: Option<String>,
    /// The session has a time of its last change of id, or gets one.
    pub(super) is_timed: bool,
    /// The session goes by another id now, or ended here: this is the copy that was left.
    pub(crate) left: Option<Left>,
    /// Where the session came from, while the copy there may still be written to.
    pub(crate) origin: Option<Origin>,
    /// The secret of its CSRF tokens, once the id from which it was made has changed.
    pub(crate) csrf: Option<[u8; 16]>,
}

/// Shows nothing of what opens or forges.
impl fmt::Debug for PhpSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhpSide").field("left", &self.left).finish_non_exhaustive()
    }
}

impl PhpSide {
    /// Returns what a session goes on with under a new id.
    pub(crate) fn moved(&self, to: &StoreKey, origin: Option<Origin>) -> Self {
        Self { own: own(to), user_read: self.user_read.clone(), is_timed: true, origin, ..Self::default() }
    }

    /// Returns what the copy has that a rotation leaves behind.
    pub(crate) fn as_copy(&self, left: Option<Left>) -> Self {
        Self { left, origin: None, ..self.clone() }
    }

    /// Reports whether this is a copy that was left, and its time is over.
    pub(crate) fn was_left(&self, now: Timestamp) -> bool {
        self.left.is_some_and(|left| now > left.until)
    }

    /// Reports whether nobody has noted when the session's id was made.
    pub(crate) fn is_untimed(&self) -> bool {
        !self.is_timed
    }

    /// Returns under which key the session goes on, if this is a copy that a rotation left.
    pub(crate) fn moved_to(&self) -> Option<StoreKey> {
        Some(self.left?.to?.key())
    }

    /// Returns until when there is a copy elsewhere, if there may be one.
    pub(crate) fn origin_until(&self) -> Option<Timestamp> {
        self.origin.as_ref().map(|origin| origin.until)
    }

    /// Returns the key of the copy elsewhere, if there may be one.
    pub(crate) fn origin_key(&self) -> Option<StoreKey> {
        self.origin.as_ref().map(|origin| origin.name.key())
    }

    /// Reports whether there is a copy elsewhere into which PHP may still write.
    pub(crate) fn has_origin(&self, now: Timestamp) -> bool {
        self.origin.as_ref().is_some_and(|origin| now <= origin.until)
    }
}

/// The end of an id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// Where the session goes on; nowhere that this id leads to, after a change of privilege.
    pub(crate) to: Option<SharedName>,
    /// Until when the copy is kept.
    pub(crate) until: Timestamp,
}

/// The copy that a change of id left behind.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) name: SharedName,
    /// Until when it is kept.
    pub(crate) until: Timestamp,
    /// The checksums of the values as they were left, or as they were carried over last. None after a change of
    /// privilege: nothing is carried over then.
    pub(super) left: Option<BTreeMap<Vec<u8>, u32>>,
}

/// What became of the values that PHP wrote into the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CaughtUp {
    /// Keys that were carried over.
    pub(crate) carried: usize,
    /// Keys that both sides had changed; the session keeps its own.
    pub(crate) forked: usize,
}

impl Origin {
    /// Notes what is left under an id.
    pub(crate) fn new(name: SharedName, until: Timestamp, left: &Values) -> Self {
        let left = left.iter().map(|entry| (entry.key.to_vec(), checksum(entry.value))).collect();
        Self { name, until, left: Some(left) }
    }

    /// Notes an id from which nothing is carried over.
    pub(crate) fn closed(name: SharedName, until: Timestamp) -> Self {
        Self { name, until, left: None }
    }

    /// Carries over what was changed in the copy since it was left, where the session itself has not changed it.
    pub(crate) fn catch_up(&mut self, copy: &Values, session: &mut Values) -> CaughtUp {
        let mut caught_up = CaughtUp::default();
        let Some(all_left) = &mut self.left else { return caught_up };
        for entry in copy.iter() {
            let (now, left) = (checksum(entry.value), all_left.get(entry.key).copied());
            if left == Some(now) {
                continue;
            }
            let ours = session.get(entry.key).map(|entry| checksum(entry.value));
            if ours == left {
                session.set(entry.key, entry.value.to_vec(), entry.mark);
                caught_up.carried += 1;
            } else if ours != Some(now) {
                caught_up.forked += 1;
            }
            all_left.insert(entry.key.to_vec(), now);
        }
        let removed = all_left.extract_if(.., |key, _| copy.get(key).is_none());
        for (key, left) in removed {
            // A flash or temp value may have gone by itself.
            let ours = session.get(&key).filter(|entry| entry.mark == Mark::None);
            if ours.is_some_and(|entry| checksum(entry.value) == left) {
                session.remove(&key);
                caught_up.carried += 1;
            }
        }
        caught_up
    }
}

/// Returns the digest of an id, which opens nothing.
pub(super) fn own(key: &StoreKey) -> String {
    crate::hex::encode(&key.as_bytes()[..8])
}

fn checksum(value: &[u8]) -> u32 {
    crc32fast::hash(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let mut values = Values::default();
        for (key, value) in pairs {
            values.set(key.as_bytes(), value.as_bytes().to_vec(), Mark::None);
        }
        values
    }

    fn text(values: &Values) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        values.iter().map(|entry| (text(entry.key), text(entry.value))).collect()
    }

    #[track_caller]
    fn check(
        left: &[(&str, &str)],
        copy: &[(&str, &str)],
        session: &[(&str, &str)],
        expected: &[(&str, &str)],
        caught_up: CaughtUp,
    ) {
        let name = SharedName::new(b"abc", None).expect("an id");
        let mut origin = Origin::new(name, Timestamp::EPOCH, &values(left));
        let mut session = values(session);
        assert_eq!(origin.catch_up(&values(copy), &mut session), caught_up);
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(text(&session), expected);
        // Once is enough: what was carried over is not carried over again.
        assert_eq!(origin.catch_up(&values(copy), &mut session), CaughtUp::default());
    }

    #[test]
    fn what_php_writes_into_the_copy_is_carried_over_once() {
        let carried = |carried| CaughtUp { carried, forked: 0 };
        check(&[("a", "1")], &[("a", "1")], &[("a", "2")], &[("a", "2")], carried(0));
        check(&[("a", "1")], &[("a", "2")], &[("a", "1")], &[("a", "2")], carried(1));
        check(&[("a", "1")], &[("a", "1"), ("b", "1")], &[("a", "1")], &[("a", "1"), ("b", "1")], carried(1));
        check(&[("a", "1")], &[], &[("a", "1"), ("c", "1")], &[("c", "1")], carried(1));
        // Both sides did the same.
        check(&[("a", "1")], &[("a", "2")], &[("a", "2")], &[("a", "2")], carried(0));
    }

    #[test]
    fn nothing_is_carried_over_from_before_a_change_of_privilege() {
        let name = SharedName::new(b"abc", None).expect("an id");
        let mut session = values(&[("a", "1")]);
        let copy = values(&[("a", "2"), ("is_admin", "1")]);
        assert_eq!(Origin::closed(name, Timestamp::EPOCH).catch_up(&copy, &mut session), CaughtUp::default());
        assert_eq!(text(&session), [("a".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn where_both_sides_changed_a_key_the_session_has_forked() {
        let forked = CaughtUp { carried: 0, forked: 1 };
        check(&[("a", "1")], &[("a", "2")], &[("a", "3")], &[("a", "3")], forked);
        check(&[("a", "1")], &[("a", "2")], &[], &[], forked);
        // A key that one side removed and the other changed keeps the change.
        check(&[("a", "1")], &[], &[("a", "2")], &[("a", "2")], CaughtUp::default());
    }
}
