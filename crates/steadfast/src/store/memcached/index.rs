//! The sessions of a user: an item that is only appended to, and now and then written anew without what has
//! gone.
//!
//! An entry is the key of a session (16 bytes) and the second in which it was added (4 bytes, big-endian). An
//! entry only says where to look: a record is listed if it is there and is the user's. The server may drop
//! the item when its memory is full, hence [`Coverage::BestEffort`](crate::store::Coverage).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::error::{failed, refused};
use super::item::Lifetime;
use super::keys::{Kind, Name};
use super::reply::{Code, Reply};
use super::store::Shared;
use crate::error::{ErrorKind, Result};
use crate::store::{Listed, StoreKey, UserKey};
use crate::time::Timestamp;

/// Length of an entry.
const ENTRY: usize = 20;

/// From so many entries on, an index is looked through when their number reaches a power of two.
const MANY: usize = 64;

/// Entries younger than this stay, whether there is a record or not: it may be on its way.
const SETTLED: Duration = Duration::from_secs(300);

/// How long an index is kept after it was last added to. No browser keeps a cookie for longer.
const KEPT: Duration = Duration::from_secs(400 * 86_400);

/// How often something is tried again because somebody else added to the index meanwhile.
const TRIES: usize = 16;

impl Shared {
    /// Adds a session to the index of a user. One round trip.
    pub(super) async fn bind(&self, user: &UserKey, key: &StoreKey) -> Result<()> {
        let name = Name::of_user(user);
        let server = self.server_of(&name);
        for _ in 0..TRIES {
            let link = server.link().await?;
            let now = server.now();
            let entry = entry(key, now);
            let mut packet = server.packet(&self.keys);
            // One of the two does it: there is an index, or there is none.
            packet.append(Kind::Index, &name, &entry);
            packet.add(Kind::Index, &name, Lifetime::until(now + KEPT), &[&entry]);
            packet.touch_and_measure(Kind::Index, &name, Lifetime::until(now + KEPT));
            let mut told = server.ask(&link, packet).await?;
            let (appended, added, measured) = (told.next(), told.next(), told.next());
            let entries = measured.size.unwrap_or(0) as usize / ENTRY;
            match (appended.code, added.code) {
                (Code::Done, _) | (_, Code::Done) => {
                    if entries >= MANY && entries.is_power_of_two() {
                        self.tidy(user).await?;
                    }
                    return Ok(());
                }
                // It came and went between the two, or can't grow any more.
                (Code::NotStored, Code::NotStored) | (Code::TooLarge, _) if entries < MANY => {}
                (Code::NotStored, Code::NotStored) | (Code::TooLarge, _) => {
                    if !self.tidy(user).await? {
                        return Err(full());
                    }
                }
                (code, Code::NotStored | Code::Missing) | (_, code) => return Err(refused(code)),
            }
        }
        Err(full())
    }

    /// Lists records of a user after a key.
    pub(super) async fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Listed>> {
        let keys = self.index(user).await?.entries.into_keys();
        let keys: Vec<_> = keys.filter(|key| after.is_none_or(|after| key > after)).collect();
        let mut listed = Vec::new();
        for keys in keys.chunks(limit.get().min(super::listing::MOST_AT_ONCE)) {
            let found = self.load_all(keys).await?;
            listed.extend(found.into_iter().filter(|listed| listed.record.user.as_ref() == Some(user)));
            if listed.len() >= limit.get() {
                listed.truncate(limit.get());
                break;
            }
        }
        Ok(listed)
    }

    /// Writes an index without the sessions that have gone; reports whether that made it shorter.
    async fn tidy(&self, user: &UserKey) -> Result<bool> {
        let name = Name::of_user(user);
        let server = self.server_of(&name);
        for _ in 0..TRIES {
            let link = server.link().await?;
            let Index { mut entries, length, cas } = self.index(user).await?;
            let Some(cas) = cas else { return Ok(false) };
            let now = server.now();
            let keys: Vec<_> = entries.keys().copied().collect();
            for chunk in keys.chunks(super::listing::MOST_AT_ONCE) {
                for (key, exists) in chunk.iter().zip(self.exist(chunk).await?) {
                    let young = entries.get(key).is_some_and(|added| now < *added + SETTLED);
                    if !exists && !young {
                        entries.remove(key);
                    }
                }
            }
            let value: Vec<u8> = entries.iter().flat_map(|(key, added)| entry(key, *added)).collect();
            if value.len() == length {
                return Ok(false);
            }
            let mut packet = server.packet(&self.keys);
            packet.put_over(Kind::Index, &name, cas, Lifetime::until(now + KEPT), &[&value]);
            match server.ask(&link, packet).await?.next().code {
                Code::Done | Code::Missing => return Ok(true),
                Code::Changed => {}
                code => return Err(refused(code)),
            }
        }
        // Others add without a pause, and one of them will get to the next power of two.
        Ok(true)
    }

    /// Reads an index.
    async fn index(&self, user: &UserKey) -> Result<Index> {
        let name = Name::of_user(user);
        let server = self.server_of(&name);
        let link = server.link().await?;
        let mut packet = server.packet(&self.keys);
        packet.read(Kind::Index, &name);
        let Reply { code, cas, value, .. } = server.ask(&link, packet).await?.next();
        match code {
            Code::Done => Ok(Index { entries: read(&value), length: value.len(), cas }),
            Code::Missing => Ok(Index { entries: BTreeMap::new(), length: 0, cas: None }),
            code => Err(refused(code)),
        }
    }
}

/// An index as it was read.
struct Index {
    /// The sessions, and when each was added last.
    entries: BTreeMap<StoreKey, Timestamp>,
    /// Its length in bytes.
    length: usize,
    cas: Option<std::num::NonZeroU64>,
}

fn full() -> crate::Error {
    failed(
        ErrorKind::TooLarge,
        "the user has more sessions than an item of the server can list: end some, or start the server with a \
         larger `-I`",
    )
}

fn entry(key: &StoreKey, added: Timestamp) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..16].copy_from_slice(key.as_bytes());
    entry[16..].copy_from_slice(&u32::try_from(added.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    entry
}

fn read(value: &[u8]) -> BTreeMap<StoreKey, Timestamp> {
    let (entries, _) = value.as_chunks::<ENTRY>();
    let entries = entries.iter().map(|entry| {
        let (key, added) = entry.split_first_chunk::<16>().expect("an entry is longer than a key");
        let seconds = added.iter().fold(0_u64, |seconds, byte| seconds << 8 | u64::from(*byte));
        (StoreKey::from_bytes(*key), Timestamp::from_micros(seconds * 1_000_000))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_a_session_counts() {
        let (one, two) = (StoreKey::from_bytes([1; 16]), StoreKey::from_bytes([2; 16]));
        let at = |second: u64| Timestamp::from_micros(second * 1_000_000);
        let value = [entry(&two, at(5)), entry(&one, at(6)), entry(&two, at(1_795_324_611))].concat();
        assert_eq!(read(&value), BTreeMap::from([(one, at(6)), (two, at(1_795_324_611))]));
        assert_eq!(read(&value[..25]), BTreeMap::from([(two, at(5))]));
        assert_eq!(read(&[]), BTreeMap::new());
    }
}
