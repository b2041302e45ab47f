//! PHP's lock of a session: taken, found, ended; and what becomes of a write when it was lost meanwhile.
//!
//! CodeIgniter 4 looks for the lock and then sets it, in two steps that lie up to 45 ms apart (its client library
//! waits for an acknowledgement in between), so it may set its own over ours. That is noticed by the lock's value
//! before a write, and by its tag after it.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use super::ask::{At, Command};
use super::store::Shared;
use crate::error::Result;
use crate::store::memcached::error::{DRIVER, refused};
use crate::store::memcached::item::Lifetime;
use crate::store::memcached::reply::{Code, Reply};
use crate::store::php::keys::busy;
use crate::store::php::polling::until_free;
use crate::store::{Acquired, Lease, LeaseToken, Renewed};

/// How long a lock lasts that a call takes for itself, if the process dies in the middle of it.
const OF_A_CALL: Duration = Duration::from_secs(5);

/// Whose lock a call may work under.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    /// That of a lease.
    Lease(LeaseToken),
    /// That of any request of this process.
    Ours,
    /// One of its own.
    Call,
}

/// A lock that is held.
pub(super) struct Hold {
    pub(super) value: String,
    pub(super) cas: NonZeroU64,
    /// Whether this call took it.
    pub(super) taken: bool,
}

impl Shared {
    /// Takes the lock and reads the session.
    pub(super) async fn acquire(&self, at: &At<'_>, lease: Lease) -> Result<Acquired> {
        let (value, life) = (self.owner.value(lease.token), Lifetime::at_least(lease.ttl));
        let commands = [Command::AddLock(&value, life), Command::ReadLock, Command::Read];
        let mut replies = self.ask_with_time(at, &commands).await?;
        let (added, lock) = (replies.next(), replies.next());
        if !matches!(added.code, Code::Done | Code::NotStored | Code::Changed) {
            return Err(refused(added.code));
        }
        let Some(cas) = tag_of(&lock, |held| held == value.as_bytes())? else { return Ok(Acquired::Busy) };
        let data = replies.next();
        let Some(found) = self.found(at, data, &replies)? else {
            self.ask(at, &[Command::EndLock(cas)]).await?;
            return Ok(Acquired::Missing);
        };
        if added.code != Code::Done {
            // The same token again: its time starts anew.
            self.ask(at, &[Command::RenewLock(&value, life, cas)]).await?;
        }
        Ok(Acquired::Held(found))
    }

    pub(super) async fn renew(&self, at: &At<'_>, lease: Lease) -> Result<Renewed> {
        let value = self.owner.value(lease.token);
        let mut replies = self.ask(at, &[Command::ReadLock, Command::Look]).await?;
        let cas = tag_of(&replies.next(), |held| held == value.as_bytes())?;
        let Some(cas) = cas.filter(|_| replies.next().code == Code::Done) else { return Ok(Renewed::Lost) };
        let renew = Command::RenewLock(&value, Lifetime::at_least(lease.ttl), cas);
        match self.ask(at, &[renew]).await?.next().code {
            Code::Done => Ok(Renewed::Extended),
            Code::Changed | Code::Missing | Code::NotStored => Ok(Renewed::Lost),
            code => Err(refused(code)),
        }
    }

    pub(super) async fn release(&self, at: &At<'_>, token: LeaseToken) -> Result<()> {
        let value = self.owner.value(token);
        let lock = self.ask(at, &[Command::ReadLock]).await?.next();
        if let Some(cas) = tag_of(&lock, |held| held == value.as_bytes())? {
            self.ask(at, &[Command::EndLock(cas)]).await?;
        }
        self.waits.wake(at.key);
        Ok(())
    }

    /// Makes sure that the lock is held, and waits for it for `lock_wait` at most.
    pub(super) async fn hold(&self, at: &At<'_>, whose: Whose) -> Result<Hold> {
        let until = Instant::now() + self.site.lock_wait;
        loop {
            if let Some(hold) = self.try_to_hold(at, whose).await? {
                return Ok(hold);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(busy(DRIVER));
            }
            self.released(at, left).await;
        }
    }

    async fn try_to_hold(&self, at: &At<'_>, whose: Whose) -> Result<Option<Hold>> {
        let token = match whose {
            Whose::Lease(token) => token,
            Whose::Ours | Whose::Call => LeaseToken::fresh(),
        };
        let value = self.owner.value(token);
        if !matches!(whose, Whose::Call) {
            let lock = self.ask(at, &[Command::ReadLock]).await?.next();
            let fits = |held: &[u8]| match whose {
                Whose::Ours => held.starts_with(self.owner.prefix().as_bytes()),
                Whose::Lease(_) | Whose::Call => held == value.as_bytes(),
            };
            if let Some(cas) = tag_of(&lock, fits)? {
                let value = String::from_utf8_lossy(&lock.value).into_owned();
                return Ok(Some(Hold { value, cas, taken: false }));
            }
            if lock.code == Code::Done {
                return Ok(None);
            }
        }
        let Reply { code, cas, .. } =
            self.ask(at, &[Command::AddLock(&value, Lifetime::at_least(OF_A_CALL))]).await?.next();
        match code {
            Code::Done => Ok(cas.map(|cas| Hold { value, cas, taken: true })),
            Code::NotStored | Code::Changed => Ok(None),
            code => Err(refused(code)),
        }
    }

    /// Gives a lock back that a call took for itself, and leaves one alone that it found.
    pub(super) async fn let_go(&self, at: &At<'_>, hold: &Hold) -> Result<()> {
        if hold.taken {
            self.ask(at, &[Command::EndLock(hold.cas)]).await?;
            self.waits.wake(at.key);
        }
        Ok(())
    }

    /// Takes a lock again that was ended with a write that was refused, unless somebody was faster.
    pub(super) async fn take_back(&self, at: &At<'_>, hold: &Hold) -> Result<()> {
        if !hold.taken {
            let again = Command::AddLock(&hold.value, Lifetime::at_least(OF_A_CALL));
            self.ask(at, &[again]).await?;
        }
        Ok(())
    }

    /// Returns when the lock is seen to be free, or after `wait`.
    pub(super) async fn released(&self, at: &At<'_>, wait: Duration) {
        let ticket = self.waits.join(*at.key);
        let is_held = || async {
            let asked = self.ask(at, &[Command::LookForLock]).await;
            asked.is_ok_and(|mut replies| replies.next().code == Code::Done)
        };
        // Both ends of the wait are followed by another try.
        let _ = tokio::time::timeout(wait, until_free(&ticket, is_held)).await;
    }
}

/// Returns the tag of a lock, if it is there and `fits`.
fn tag_of(lock: &Reply, fits: impl Fn(&[u8]) -> bool) -> Result<Option<NonZeroU64>> {
    match lock.code {
        Code::Done => Ok(lock.cas.filter(|_| fits(&lock.value))),
        Code::Missing => Ok(None),
        code => Err(refused(code)),
    }
}
