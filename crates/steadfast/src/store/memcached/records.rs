//! Records: read, created, written over the version that was seen.
//!
//! The server knows a write by a tag of its own (`c`, "CAS"), the caller by its version. What the server calls
//! the version that was seen is remembered from the call that saw it, so an update is one round trip. Without
//! that the item is read first. A tag that does not fit decides nothing: the version in the item does.

use std::num::NonZeroU64;

use super::connection::Connection;
use super::error::{failed, refused, unfit};
use super::item::{self, Head, Lifetime, Unfit};
use super::keys::Kind;
use super::leases::{Held, Undo};
use super::packet::Packet;
use super::reply::{Code, Reply};
use super::server::Told;
use super::store::{Place, Shared};
use crate::error::{ErrorKind, Result};
use crate::store::{
    Created, Deleted, Found, Lease, LeaseToken, Loaded, Record, StoreKey, Touched, UserKey, Version,
};
use crate::time::Timestamp;

/// How often a write is tried again because somebody moved the deadline of the record meanwhile.
const TRIES: usize = 16;

/// How long a damaged record is kept for an operator, in seconds: a week.
const KEPT_ASIDE: u32 = 7 * 86_400;

/// What the server calls a version, and whose index the record was in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) version: Version,
    pub(super) cas: NonZeroU64,
    pub(super) user: Option<UserKey>,
    /// The connection on which it was seen: a server that was started anew counts from one again.
    pub(super) generation: u64,
}

/// What to do to a record.
#[derive(Clone, Copy)]
pub(super) enum Over<'a> {
    Put(&'a Record),
    Delete,
}

/// What to do to the lease with a write.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// Nothing.
    Nobody,
    /// End it, if the token holds it.
    Release(LeaseToken),
    /// Start its time anew, if the token holds it.
    Renew(Lease),
    /// End it, whoever holds it.
    Anybody,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    Done,
    Stale,
    Missing,
}

/// What an item holds.
pub(super) struct Item {
    pub(super) record: Record,
    pub(super) cas: Option<NonZeroU64>,
}

impl Shared {
    pub(super) async fn load(&self, key: &StoreKey) -> Result<Loaded> {
        let place = self.place(key);
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        packet.read(Kind::Record, &place.name);
        let (mut told, second) = place.server.ask_with_time(&link, packet).await?;
        Ok(match read(told.next(), second)? {
            None => Loaded::Missing,
            Some(item) => Loaded::Found(self.found(key, item, told.now, &link)),
        })
    }

    /// Remembers what was found.
    pub(super) fn found(&self, key: &StoreKey, item: Item, now: Timestamp, link: &Connection) -> Found {
        self.remember(key, &item.record, item.cas, link);
        Found { record: item.record, now }
    }

    pub(super) async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let Some(user) = record.user else { return self.add(key, record).await };
        // Nobody knows the key before this call has returned, so the index may be written meanwhile.
        let (added, bound) = tokio::join!(self.add(key, record), self.bind(&user, key));
        match (added?, bound) {
            (Created::Stored, Err(error)) => {
                // A record that a revocation would not find. Where that fails, too, nobody has its cookie.
                let _ = self.delete(key).await;
                Err(error)
            }
            (added, _) => Ok(added),
        }
    }

    async fn add(&self, key: &StoreKey, record: &Record) -> Result<Created> {
        let place = self.place(key);
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        let head = Head::of(record);
        self.check_size(&place, record, &head)?;
        let parts = [head.as_bytes(), &record.payload];
        packet.add(Kind::Record, &place.name, Lifetime::until(record.expires_at), &parts);
        let reply = place.server.ask(&link, packet).await?.next();
        match reply.code {
            Code::Done => {
                self.remember(key, record, reply.cas, &link);
                Ok(Created::Stored)
            }
            Code::NotStored | Code::Changed => Ok(Created::IdTaken),
            code => Err(refused(code)),
        }
    }

    /// Writes over the version that was seen, and ends or renews a lease with it.
    pub(super) async fn write_over(
        &self,
        place: &Place<'_>,
        version: Version,
        over: Over<'_>,
        ending: Ending,
    ) -> Result<Written> {
        let mut leased = Leased { ending, undo: None };
        for _ in 0..TRIES {
            let link = place.server.link().await?;
            let known = self.seen.get(place.key);
            let known = known.filter(|known| known.version == version && known.generation == link.generation);
            let seen = match known {
                Some(seen) => seen,
                None => match self.look_up(place, version, &link).await? {
                    Ok(seen) => seen,
                    Err(otherwise) => return self.undone(place, leased.undo, otherwise).await,
                },
            };
            match over {
                // Before the record is theirs, so that no moment has a session that a revocation does not find.
                Over::Put(Record { user: Some(user), .. }) if seen.user.as_ref() != Some(user) => {
                    self.bind(user, place.key).await?;
                }
                Over::Put(_) | Over::Delete => {}
            }
            if let Some(written) = self.try_over(place, over, seen.cas, &mut leased, &link).await? {
                self.finish_lease(place, leased.ending, written).await?;
                return Ok(written);
            }
        }
        Err(failed(ErrorKind::Unavailable, "the record kept changing under a write: it was given up"))
    }

    /// Writes over a tag; `None` if the record has another one by now.
    async fn try_over(
        &self,
        place: &Place<'_>,
        over: Over<'_>,
        cas: NonZeroU64,
        leased: &mut Leased,
        link: &Connection,
    ) -> Result<Option<Written>> {
        let mut packet = place.server.packet(&self.keys);
        match over {
            Over::Put(record) => {
                let head = Head::of(record);
                self.check_size(place, record, &head)?;
                let (life, parts) = (Lifetime::until(record.expires_at), [head.as_bytes(), &record.payload]);
                packet.put_over(Kind::Record, &place.name, cas, life, &parts);
            }
            Over::Delete => packet.delete_over(Kind::Record, &place.name, cas),
        }
        let asked = self.end_lease(&mut packet, place, leased.ending, link);
        let mut told = place.server.ask(link, packet).await?;
        let reply = told.next();
        self.ended_lease(&mut told, place, leased, asked, link);
        match (reply.code, over) {
            (Code::Done, Over::Put(record)) => self.remember(place.key, record, reply.cas, link),
            (Code::Done | Code::Missing, _) => self.forget(place.key),
            _ => self.seen.forget(place.key),
        }
        match reply.code {
            Code::Done => Ok(Some(Written::Done)),
            Code::Missing => Ok(Some(Written::Missing)),
            // Somebody wrote, or only moved a deadline that the server can't be told.
            Code::Changed => Ok(None),
            code => Err(refused(code)),
        }
    }

    /// Asks what the server calls a version; `Err` if it is not the one that is stored.
    async fn look_up(
        &self,
        place: &Place<'_>,
        version: Version,
        link: &Connection,
    ) -> Result<Result<Seen, Written>> {
        let mut packet = place.server.packet(&self.keys);
        packet.read(Kind::Record, &place.name);
        let told = place.server.ask(link, packet).await?.next();
        let Some(item) = read(told, 0)? else { return Ok(Err(Written::Missing)) };
        if item.record.version != version {
            return Ok(Err(Written::Stale));
        }
        let cas = item.cas.ok_or_else(|| refused(Code::Failed))?;
        Ok(Ok(Seen { version, cas, user: item.record.user, generation: link.generation }))
    }

    /// Gives a lease back that was ended with a write that was refused.
    async fn undone(&self, place: &Place<'_>, undo: Option<Undo>, written: Written) -> Result<Written> {
        match undo {
            Some(undo) if written == Written::Stale => self.take_back(place, undo).await?,
            _ => {}
        }
        Ok(written)
    }

    /// Deletes a record, whatever its version, with its lease.
    pub(super) async fn delete(&self, key: &StoreKey) -> Result<Deleted> {
        let place = self.place(key);
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        packet.delete(Kind::Record, &place.name);
        packet.delete(Kind::Lease, &place.name);
        let reply = place.server.ask(&link, packet).await?.next();
        self.forget(key);
        self.waits.wake(key);
        match reply.code {
            Code::Done => Ok(Deleted::Gone),
            Code::Missing => Ok(Deleted::Missing),
            code => Err(refused(code)),
        }
    }

    pub(super) async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<Touched> {
        let place = self.place(key);
        let life = Lifetime::until(expires_at);
        if life == Lifetime::Unlimited {
            return self.rewrite_deadline(&place, expires_at).await;
        }
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        packet.touch(Kind::Record, &place.name, life);
        match place.server.ask(&link, packet).await?.next().code {
            Code::Done => Ok(Touched::Moved),
            Code::Missing => Ok(Touched::Missing),
            code => Err(refused(code)),
        }
    }

    /// Moves a deadline to where the server can't be told, by writing the record again.
    async fn rewrite_deadline(&self, place: &Place<'_>, expires_at: Timestamp) -> Result<Touched> {
        for _ in 0..TRIES {
            let link = place.server.link().await?;
            let mut packet = place.server.packet(&self.keys);
            packet.read(Kind::Record, &place.name);
            let Some(item) = read(place.server.ask(&link, packet).await?.next(), 0)? else {
                return Ok(Touched::Missing);
            };
            let cas = item.cas.ok_or_else(|| refused(Code::Failed))?;
            let record = Record { expires_at, ..item.record };
            let head = Head::of(&record);
            let mut packet = place.server.packet(&self.keys);
            let parts = [head.as_bytes(), &record.payload];
            packet.put_over(Kind::Record, &place.name, cas, Lifetime::Unlimited, &parts);
            let reply = place.server.ask(&link, packet).await?.next();
            match reply.code {
                Code::Done => {
                    self.remember(place.key, &record, reply.cas, &link);
                    return Ok(Touched::Moved);
                }
                Code::Missing => return Ok(Touched::Missing),
                Code::Changed => {}
                code => return Err(refused(code)),
            }
        }
        Err(failed(ErrorKind::Unavailable, "the record kept changing under a touch: it was given up"))
    }

    /// Moves damaged bytes to an item of their own.
    pub(super) async fn set_aside(&self, key: &StoreKey) -> Result<()> {
        let place = self.place(key);
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        packet.read(Kind::Record, &place.name);
        let Reply { code, value, .. } = place.server.ask(&link, packet).await?.next();
        if code != Code::Done {
            return Ok(());
        }
        let mut packet = place.server.packet(&self.keys);
        packet.put(Kind::Damaged, &place.name, Lifetime::Seconds(KEPT_ASIDE), &[&value]);
        packet.delete(Kind::Record, &place.name);
        packet.delete(Kind::Lease, &place.name);
        place.server.ask(&link, packet).await?;
        self.forget(key);
        self.waits.wake(key);
        Ok(())
    }

    pub(super) fn remember(
        &self,
        key: &StoreKey,
        record: &Record,
        cas: Option<NonZeroU64>,
        link: &Connection,
    ) {
        let Some(cas) = cas else { return };
        let Record { version, user, .. } = *record;
        self.seen.set(key, Seen { version, cas, user, generation: link.generation });
    }

    fn forget(&self, key: &StoreKey) {
        self.seen.forget(key);
        self.held.forget(key);
    }

    fn check_size(&self, place: &Place<'_>, record: &Record, head: &Head) -> Result<()> {
        place.server.check_size(self.keys.length(), head.as_bytes().len() + record.payload.len())
    }
}

/// What has become of the lease in the course of a write.
pub(super) struct Leased {
    /// What is still to be done.
    pub(super) ending: Ending,
    /// How to make it undone.
    pub(super) undo: Option<Undo>,
}

/// What was asked about the lease in a packet.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    Nothing,
    Released(Held),
    Renewed(Held),
    Ended,
}

impl Shared {
    /// Adds to a packet what ends the lease, where that can be said without looking.
    fn end_lease(
        &self,
        packet: &mut Packet<'_>,
        place: &Place<'_>,
        ending: Ending,
        link: &Connection,
    ) -> Asked {
        match ending {
            Ending::Nobody => Asked::Nothing,
            Ending::Release(token) => match self.holds(place.key, token, link) {
                Some(held) => {
                    packet.delete_over(Kind::Lease, &place.name, held.cas);
                    Asked::Released(held)
                }
                None => Asked::Nothing,
            },
            Ending::Renew(lease) => match self.holds(place.key, lease.token, link) {
                Some(held) => {
                    let life = Lifetime::at_least(lease.ttl);
                    packet.put_over(Kind::Lease, &place.name, held.cas, life, &[&item::lease(lease.token)]);
                    Asked::Renewed(Held { ttl: lease.ttl, ..held })
                }
                None => Asked::Nothing,
            },
            Ending::Anybody => {
                // Whoever holds it gets it back if the write is refused.
                packet.read(Kind::Lease, &place.name);
                packet.delete(Kind::Lease, &place.name);
                Asked::Ended
            }
        }
    }

    /// Takes the answers to what was asked about the lease.
    fn ended_lease(
        &self,
        told: &mut Told,
        place: &Place<'_>,
        leased: &mut Leased,
        asked: Asked,
        link: &Connection,
    ) {
        match asked {
            Asked::Nothing => return,
            Asked::Released(held) => {
                self.held.forget(place.key);
                if told.next().code == Code::Done {
                    leased.undo = Some(Undo::of(held));
                }
            }
            Asked::Renewed(held) => {
                let Reply { code, cas, .. } = told.next();
                self.holding(place.key, held.token, held.ttl, cas.filter(|_| code == Code::Done), link);
            }
            Asked::Ended => {
                leased.undo = Undo::of_item(&told.next());
                told.next();
            }
        }
        leased.ending = Ending::Nobody;
        self.waits.wake(place.key);
    }

    /// Does what could not be done with the write, because nothing was remembered of the lease.
    async fn finish_lease(&self, place: &Place<'_>, ending: Ending, written: Written) -> Result<()> {
        match ending {
            Ending::Release(token) if written == Written::Done => self.release(place, token).await,
            Ending::Renew(lease) if written == Written::Done => self.renew(place, lease).await.map(drop),
            _ => Ok(()),
        }
    }
}

/// Reads the item of a record. Its deadline is what is left of it from the second that the server told.
pub(super) fn read(reply: Reply, second: u64) -> Result<Option<Item>> {
    match reply.code {
        Code::Done => {}
        Code::Missing => return Ok(None),
        code => return Err(refused(code)),
    }
    let Reply { value, cas, ttl, .. } = reply;
    let mut record = item::record(value).map_err(|why: Unfit| unfit(why))?;
    if let Some(left) = ttl {
        record.expires_at = Timestamp::from_micros((second + u64::from(left)) * 1_000_000);
    }
    Ok(Some(Item { record, cas }))
}
