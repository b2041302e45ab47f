//! Leases: an item beside the record, which the server drops when its time is over.

use std::num::NonZeroU64;
use std::time::Duration;

use super::connection::Connection;
use super::error::refused;
use super::item::{self, Lifetime};
use super::keys::Kind;
use super::records;
use super::reply::{Code, Reply};
use super::store::{Place, Shared};
use crate::error::Result;
use crate::random::jittered;
use crate::store::{Acquired, Lease, LeaseToken, Renewed, StoreKey};

/// Pauses between two looks at a lease that another node may end: short at first, then longer.
const FIRST_POLL: Duration = Duration::from_millis(5);
const LAST_POLL: Duration = Duration::from_millis(20);

/// A lease that was taken here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) token: LeaseToken,
    pub(super) ttl: Duration,
    /// What the server calls the write that took it.
    pub(super) cas: NonZeroU64,
    pub(super) generation: u64,
}

/// A lease to be given back.
#[derive(Clone, Copy)]
pub(super) struct Undo {
    token: LeaseToken,
    life: Lifetime,
}

impl Undo {
    pub(super) fn of(held: Held) -> Self {
        Self { token: held.token, life: Lifetime::at_least(held.ttl) }
    }

    /// Reads the lease that there was, if there was one.
    pub(super) fn of_item(reply: &Reply) -> Option<Self> {
        let left = reply.ttl.filter(|_| reply.code == Code::Done)?;
        Some(Self { token: item::holder(&reply.value)?, life: Lifetime::Seconds(left.max(1)) })
    }
}

/// Somebody's lease, as the server has it.
struct Found {
    holder: Option<LeaseToken>,
    cas: Option<NonZeroU64>,
}

impl Shared {
    pub(super) async fn acquire(&self, key: &StoreKey, lease: Lease) -> Result<Acquired> {
        let place = self.place(key);
        let link = place.server.link().await?;
        let (life, value) = (Lifetime::at_least(lease.ttl), item::lease(lease.token));
        loop {
            let mut packet = place.server.packet(&self.keys);
            match self.holds(key, lease.token, &link) {
                Some(held) => packet.put_over(Kind::Lease, &place.name, held.cas, life, &[&value]),
                None => packet.add(Kind::Lease, &place.name, life, &[&value]),
            }
            packet.read(Kind::Record, &place.name);
            let (mut told, second) = place.server.ask_with_time(&link, packet).await?;
            let (lease_reply, record_reply) = (told.next(), told.next());
            let cas = match lease_reply.code {
                Code::Done => lease_reply.cas,
                Code::NotStored | Code::Changed => None,
                // What was held is over, so it is anybody's.
                Code::Missing => {
                    self.held.forget(key);
                    continue;
                }
                code => return Err(refused(code)),
            };
            self.holding(key, lease.token, lease.ttl, cas, &link);
            return match records::read(record_reply, second) {
                Ok(Some(item)) if cas.is_some() || self.is_own(&place, lease, &link).await? => {
                    Ok(Acquired::Held(self.found(key, item, told.now, &link)))
                }
                Ok(Some(_)) => Ok(Acquired::Busy),
                nothing_to_hold => {
                    if cas.is_some() {
                        self.release(&place, lease.token).await?;
                    }
                    nothing_to_hold.map(|_| Acquired::Missing)
                }
            };
        }
    }

    /// Starts the time of a lease anew that is the caller's already, though that was not remembered here.
    async fn is_own(&self, place: &Place<'_>, lease: Lease, link: &Connection) -> Result<bool> {
        let own = match self.find(place, link).await? {
            Some(Found { holder, cas }) if holder == Some(lease.token) => cas,
            // If it has just been released, the record that was read may have changed before.
            _ => return Ok(false),
        };
        self.holding(place.key, lease.token, lease.ttl, own, link);
        Ok(self.renew(place, lease).await? == Renewed::Extended)
    }

    pub(super) async fn renew(&self, place: &Place<'_>, lease: Lease) -> Result<Renewed> {
        let link = place.server.link().await?;
        let (life, value) = (Lifetime::at_least(lease.ttl), item::lease(lease.token));
        let mut known = self.holds(place.key, lease.token, &link).map(|held| held.cas);
        // What was remembered may be of no use, and what is found then may change once more.
        for _ in 0..3 {
            let cas = match known.take() {
                Some(cas) => cas,
                None => match self.find(place, &link).await? {
                    Some(Found { holder, cas: Some(cas) }) if holder == Some(lease.token) => cas,
                    _ => break,
                },
            };
            let mut packet = place.server.packet(&self.keys);
            packet.put_over(Kind::Lease, &place.name, cas, life, &[&value]);
            let Reply { code, cas, .. } = place.server.ask(&link, packet).await?.next();
            match code {
                Code::Done => {
                    self.holding(place.key, lease.token, lease.ttl, cas, &link);
                    return Ok(Renewed::Extended);
                }
                Code::Missing => break,
                Code::Changed => {}
                code => return Err(refused(code)),
            }
        }
        self.held.forget(place.key);
        Ok(Renewed::Lost)
    }

    pub(super) async fn release(&self, place: &Place<'_>, token: LeaseToken) -> Result<()> {
        let link = place.server.link().await?;
        let mut known = self.holds(place.key, token, &link).map(|held| held.cas);
        for _ in 0..3 {
            let cas = match known.take() {
                Some(cas) => cas,
                None => match self.find(place, &link).await? {
                    Some(Found { holder, cas: Some(cas) }) if holder == Some(token) => cas,
                    _ => break,
                },
            };
            let mut packet = place.server.packet(&self.keys);
            packet.delete_over(Kind::Lease, &place.name, cas);
            match place.server.ask(&link, packet).await?.next().code {
                Code::Done | Code::Missing => {
                    self.held.forget(place.key);
                    break;
                }
                Code::Changed => {}
                code => return Err(refused(code)),
            }
        }
        self.waits.wake(place.key);
        Ok(())
    }

    /// Gives back a lease that was ended too early, unless somebody was faster.
    pub(super) async fn take_back(&self, place: &Place<'_>, undo: Undo) -> Result<()> {
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        packet.add(Kind::Lease, &place.name, undo.life, &[&item::lease(undo.token)]);
        place.server.ask(&link, packet).await.map(drop)
    }

    /// Returns when the lease was ended in this process or is seen to be free.
    pub(super) async fn lease_is_free(&self, key: &StoreKey) {
        let ticket = self.waits.join(*key);
        let mut pause = FIRST_POLL;
        loop {
            if tokio::time::timeout(jittered(pause), ticket.released()).await.is_ok() {
                return;
            }
            // An error is left to the acquire that follows.
            if !matches!(self.is_leased(key).await, Ok(true)) {
                return;
            }
            pause = LAST_POLL.min(pause * 2);
        }
    }

    async fn is_leased(&self, key: &StoreKey) -> Result<bool> {
        let place = self.place(key);
        let link = place.server.link().await?;
        let mut packet = place.server.packet(&self.keys);
        packet.look(Kind::Lease, &place.name);
        Ok(place.server.ask(&link, packet).await?.next().code == Code::Done)
    }

    /// Asks whose the lease is.
    async fn find(&self, place: &Place<'_>, link: &Connection) -> Result<Option<Found>> {
        let mut packet = place.server.packet(&self.keys);
        packet.read(Kind::Lease, &place.name);
        let Reply { code, cas, value, .. } = place.server.ask(link, packet).await?.next();
        match code {
            Code::Done => Ok(Some(Found { holder: item::holder(&value), cas })),
            Code::Missing => Ok(None),
            code => Err(refused(code)),
        }
    }

    /// Returns the lease that a token holds, as far as it is remembered.
    pub(super) fn holds(&self, key: &StoreKey, token: LeaseToken, link: &Connection) -> Option<Held> {
        self.held.get(key).filter(|held| held.token == token && held.generation == link.generation)
    }

    /// Remembers that a token holds a lease, or that it does not.
    pub(super) fn holding(
        &self,
        key: &StoreKey,
        token: LeaseToken,
        ttl: Duration,
        cas: Option<NonZeroU64>,
        link: &Connection,
    ) {
        match cas {
            Some(cas) => self.held.set(key, Held { token, ttl, cas, generation: link.generation }),
            None => self.held.forget(key),
        }
    }
}
