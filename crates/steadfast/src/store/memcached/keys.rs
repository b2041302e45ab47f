//! What the items are called: short, printable, apart from those of others by a prefix.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::{StoreKey, UserKey};

/// What an item is, as the letter between the prefix and the name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Record,
    Lease,
    /// The sessions of a user.
    Index,
    /// A damaged record, kept for an operator.
    Damaged,
}

impl Kind {
    const fn letter(self) -> u8 {
        match self {
            Self::Record => b's',
            Self::Lease => b'l',
            Self::Index => b'u',
            Self::Damaged => b'd',
        }
    }
}

/// A digest in 22 letters. It is what chooses the server, so that all items of a session lie together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name([u8; 22]);

impl Name {
    pub(super) fn of_session(key: &StoreKey) -> Self {
        Self::of(key.as_bytes())
    }

    pub(super) fn of_user(user: &UserKey) -> Self {
        Self::of(user.as_bytes())
    }

    fn of(digest: &[u8; 16]) -> Self {
        let mut name = [0; 22];
        let written = URL_SAFE_NO_PAD.encode_slice(digest, &mut name);
        debug_assert_eq!(written, Ok(22), "16 bytes are 22 letters");
        Self(name)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes and reads the names of items.
#[derive(Clone, Debug)]
pub(in crate::store) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    /// The prefix has been checked: printable, no space.
    pub(in crate::store) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// Length of the key of an item.
    pub(super) fn length(&self) -> usize {
        self.prefix.len() + 1 + 22
    }

    pub(super) fn write(&self, kind: Kind, name: &Name, into: &mut Vec<u8>) {
        into.extend_from_slice(self.prefix.as_bytes());
        into.push(kind.letter());
        into.extend_from_slice(&name.0);
    }

    /// Writes the key of the item that tells the time.
    pub(super) fn write_clock(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.prefix.as_bytes());
        into.push(b'c');
    }

    /// Reads the key of a record; `None` for whatever else there is on the server.
    pub(super) fn record(&self, key: &[u8]) -> Option<StoreKey> {
        let name = key.strip_prefix(self.prefix.as_bytes())?.strip_prefix(&[Kind::Record.letter()])?;
        let mut digest = [0; 16];
        // The decoder wants room for whole groups of four letters.
        let mut room = [0; 18];
        if name.len() != 22 || URL_SAFE_NO_PAD.decode_slice(name, &mut room) != Ok(16) {
            return None;
        }
        digest.copy_from_slice(&room[..16]);
        Some(StoreKey::from_bytes(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_read_back() {
        let keys = Keys::new("sf:");
        let key = StoreKey::from_bytes([0xfb; 16]);
        let written = |kind| {
            let mut written = Vec::new();
            keys.write(kind, &Name::of_session(&key), &mut written);
            written
        };
        let record = written(Kind::Record);
        assert_eq!(record, b"sf:s-_v7-_v7-_v7-_v7-_v7-w");
        assert_eq!(record.len(), keys.length());
        assert_eq!(keys.record(&record), Some(key));
        for kind in [Kind::Lease, Kind::Index, Kind::Damaged] {
            assert_eq!(keys.record(&written(kind)), None);
        }
        let mut clock = Vec::new();
        keys.write_clock(&mut clock);
        for other in [&clock[..], b"", b"sf:s", b"sg:s-_v7-_v7-_v7-_v7-_v7-w", b"sf:s-_v7-_v7-_v7-_v7-_v7-_"]
        {
            assert_eq!(keys.record(other), None);
        }
    }
}
