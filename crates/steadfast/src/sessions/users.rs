//! The sessions of one user: listed, and ended.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;

use super::Sessions;
use crate::error::{ErrorKind, Result};
use crate::events::EventKind;
use crate::lifecycle::Core;
use crate::record::{Contents, Header};
use crate::session::Session;
use crate::store::{Coverage, Deleted, Listed, Store as _, StoreKey};
use crate::time::Timestamp;
use crate::token;

/// How often all records of a user are walked through, while there are new ones.
const MAX_WALKS: usize = 64;

/// Records that are listed with one store call.
const PAGE: NonZeroUsize = NonZeroUsize::new(128).expect("128 is not zero");

/// One of a user's sessions, for a page of their devices.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The 8 digits that stand for the session in logs and lists.
    pub tag: String,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it was last used, with a resolution of a sixtieth of its idle timeout.
    pub last_active: Timestamp,
    /// When it ends if it is not used any more.
    pub expires_at: Timestamp,
    /// Whether its cookie outlives the browser.
    pub persistent: bool,
    /// The address from which the user signed in.
    #[doc(alias = "ip_address")]
    #[doc(alias = "session_ip_address")]
    pub ip: Option<IpAddr>,
    /// The user agent with which they signed in, its first 512 bytes.
    #[doc(alias = "session_user_agent")]
    pub user_agent: String,
    key: StoreKey,
    /// It is still where sessions were before a migration.
    is_before: bool,
}

impl SessionInfo {
    /// Reports whether this is the session of a request.
    #[must_use]
    pub fn is(&self, session: &Session) -> bool {
        session.store_key() == Some(self.key)
    }
}

/// The sessions that a user is signed in with, the latest sign-in first: a slice that also says how much of
/// them it covers.
///
/// # Examples
///
/// ```
/// use steadfast::store::Coverage;
///
/// # async fn example() -> steadfast::Result<()> {
/// let sessions = steadfast::Sessions::connect("memory:").await?;
/// let devices = sessions.sessions_of("alice").await?;
/// assert!(devices.is_empty());
/// assert_eq!(devices.coverage(), Coverage::Complete);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct UserSessions {
    infos: Vec<SessionInfo>,
    coverage: Coverage,
}

impl UserSessions {
    /// Reports whether these are all, or only those that the store still knows to be the user's.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }
}

impl Deref for UserSessions {
    type Target = [SessionInfo];

    fn deref(&self) -> &[SessionInfo] {
        &self.infos
    }
}

impl IntoIterator for UserSessions {
    type Item = SessionInfo;
    type IntoIter = std::vec::IntoIter<SessionInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.infos.into_iter()
    }
}

impl<'a> IntoIterator for &'a UserSessions {
    type Item = &'a SessionInfo;
    type IntoIter = std::slice::Iter<'a, SessionInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.infos.iter()
    }
}

/// What a revocation did.
///
/// # Examples
///
/// ```
/// use steadfast::Sessions;
/// use steadfast::store::Coverage;
///
/// async fn sign_out_everywhere(sessions: &Sessions, user: &str) -> steadfast::Result<String> {
///     let revoked = sessions.revoke(user).await?;
///     Ok(match revoked.coverage {
///         Coverage::Complete => format!("{} sessions ended", revoked.ended),
///         Coverage::BestEffort => format!("{} sessions ended that we still knew of", revoked.ended),
///     })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoked {
    /// How many sessions it ended.
    pub ended: u64,
    /// Whether it was all that there were, or only those that the store still knew to be the user's.
    pub coverage: Coverage,
}

/// # Users
impl Sessions {
    /// Lists the sessions that a user is signed in with, the latest sign-in first.
    ///
    /// A store that may forget, as Memcached does, lists those that it still knows of; the answer's
    /// [`coverage`](UserSessions::coverage) says so.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with. A damaged record is left out; one whose key is missing is an error, as
    /// the list would lack a session. [`Unsupported`](ErrorKind::Unsupported) where sessions travel in cookies.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    ///
    /// # Examples
    ///
    /// ```
    /// # use steadfast::{Result, Session, Sessions};
    /// async fn devices(sessions: &Sessions, session: &Session) -> Result<Vec<String>> {
    ///     let Some(user) = session.user() else { return Ok(Vec::new()) };
    ///     let devices = sessions.sessions_of(&user).await?;
    ///     let line = |info: &steadfast::SessionInfo| match info.is(session) {
    ///         true => format!("{} (this one)", info.user_agent),
    ///         false => info.user_agent.clone(),
    ///     };
    ///     Ok(devices.iter().map(line).collect())
    /// }
    /// ```
    pub async fn sessions_of(&self, user: &str) -> Result<UserSessions> {
        let now = self.core.now();
        let (mut infos, mut sealed) = (Vec::new(), None);
        for (core, is_before) in self.cores() {
            each_of(core, user, |key, record, contents| match contents {
                Err(error) if matches!(error.kind(), ErrorKind::KeyMissing) => sealed = Some(error),
                Err(_) => {}
                Ok(Contents { header, .. }) => {
                    if !header.is_left_behind() && now < record.record.expires_at {
                        infos.push(info(core, is_before, key, record.record.expires_at, &header));
                    }
                }
            })
            .await?;
        }
        self.count_once(&mut infos);
        if let Some(error) = sealed {
            self.core.observer.failed(error.kind(), None);
            return Err(error);
        }
        infos.sort_by_key(|info| std::cmp::Reverse(info.created_at));
        Ok(UserSessions { infos, coverage: self.coverage() })
    }

    /// Ends all sessions of a user, and reports how many there were.
    ///
    /// Every session whose sign-in was acknowledged before the call is dead when it returns, with all that
    /// followed from it, and no running request brings it back. A sign-in during the call may end with them.
    /// This holds if the answer's [`coverage`](Revoked::coverage) is complete; with a store that may forget,
    /// it holds for the sessions that it still knows to be the user's.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with; some of the sessions may have been ended then. Call it again.
    /// [`Unsupported`](ErrorKind::Unsupported) where sessions travel in cookies: nobody knows where they are.
    ///
    /// # Cancel safety
    ///
    /// Some of the sessions may have been ended.
    pub async fn revoke(&self, user: &str) -> Result<Revoked> {
        self.revoke_but(user, None).await
    }

    /// Ends all sessions of the user who is signed in, but for this one; reports how many there were.
    ///
    /// Nothing happens if nobody is signed in.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    ///
    /// # Cancel safety
    ///
    /// Some of the sessions may have been ended.
    pub async fn revoke_others(&self, session: &Session) -> Result<Revoked> {
        match session.user() {
            Some(user) => self.revoke_but(&user, session.store_key()).await,
            None => Ok(Revoked { ended: 0, coverage: self.coverage() }),
        }
    }

    /// Ends one session from a list, and reports whether it was still there.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    ///
    /// It may have been ended.
    pub async fn revoke_one(&self, info: &SessionInfo) -> Result<bool> {
        let mut gone = false;
        if let Some(import) = &self.core.import {
            // What is here may be there, too, for a moment or after a crash.
            let there = info.is_before || import.key_after(&self.core, &info.key) == Some(info.key);
            gone = there && end(&import.core, &info.key).await?;
        }
        Ok(match self.key_here(info) {
            Some(key) => end(&self.core, &key).await? || gone,
            None => gone,
        })
    }

    /// Where sessions are, with whether they were there before a migration: those first, because a session is
    /// here before it is gone there.
    fn cores(&self) -> impl Iterator<Item = (&Core, bool)> {
        let before = self.core.import.as_ref().map(|import| (&*import.core, true));
        before.into_iter().chain([(&*self.core, false)])
    }

    /// Returns under which key a session is here, or will be.
    fn key_here(&self, info: &SessionInfo) -> Option<StoreKey> {
        match &self.core.import {
            Some(import) if info.is_before => import.key_after(&self.core, &info.key),
            _ => Some(info.key),
        }
    }

    /// Leaves out what was on both sides while it moved.
    fn count_once(&self, infos: &mut Vec<SessionInfo>) {
        let here: Vec<_> = infos.iter().filter(|info| !info.is_before).map(|info| info.key).collect();
        infos.retain(|info| !info.is_before || self.key_here(info).is_none_or(|key| !here.contains(&key)));
    }

    async fn revoke_but(&self, user: &str, keep: Option<StoreKey>) -> Result<Revoked> {
        let mut revoked = Revoked { ended: 0, coverage: self.coverage() };
        let mut latest = self.core.now();
        // The first walk takes all there are, because clocks of other nodes can't tell a sign-in before the
        // call from one after it.
        let mut signed_in_by = Timestamp::MAX;
        // A step-up that was under way may have moved a session to a new key behind the list's back. It
        // keeps the time of its sign-in, so it is told from a sign-in during the call; and since a step-up
        // needs its old record, a walk that finds nothing is the last.
        for _ in 0..MAX_WALKS {
            let mut doomed = Vec::new();
            for (core, _) in self.cores() {
                each_of(core, user, |key, _, contents| {
                    let header = contents.ok().map(|contents| contents.header);
                    // A record that can't be read here may be read by another node, a newer one or one with its
                    // key: it ends with the others.
                    let signed_in = header.as_ref().map_or(Timestamp::EPOCH, |header| header.created_at);
                    // What a rotation left of the session that is kept is kept, too.
                    let kept = |header: &Header| keep.is_some() && header.moved_to() == keep;
                    let is_kept = Some(key) == keep || header.as_ref().is_some_and(kept);
                    // PHP does not say when a session began, so all there are end, until a walk finds none.
                    if !is_kept && (core.php.is_some() || signed_in <= signed_in_by) {
                        latest = latest.max(signed_in);
                        doomed.push((core, key, !header.is_some_and(|header| header.is_left_behind())));
                    }
                })
                .await?;
            }
            if doomed.is_empty() {
                return Ok(revoked);
            }
            signed_in_by = latest;
            for (core, key, counts) in doomed {
                let gone = end(core, &key).await?;
                revoked.ended += u64::from(gone && counts);
            }
        }
        Ok(revoked)
    }

    /// Returns whether users' lists are complete, on both sides of a migration.
    fn coverage(&self) -> Coverage {
        let complete = self.cores().all(|(core, _)| core.store.coverage() == Coverage::Complete);
        if complete { Coverage::Complete } else { Coverage::BestEffort }
    }
}

/// Ends a session; reports whether it was there.
async fn end(core: &Core, key: &StoreKey) -> Result<bool> {
    let deleted = core.end_record(key).await?;
    core.store.settle(key).await?;
    core.ended(EventKind::Revoked, key);
    Ok(deleted == Deleted::Gone)
}

/// Walks through the records of a user, with what is in those that can be read.
///
/// PHP keeps no index of users: in a layout that is shared with it, all records are looked at.
async fn each_of(
    core: &Core,
    user: &str,
    mut visit: impl FnMut(StoreKey, &Listed, Result<Contents>),
) -> Result<()> {
    let (indexed, now) = (token::user_key(user), core.now());
    let mut after = None;
    loop {
        let page = match &core.php {
            None => core.store.of_user(&indexed, after.as_ref(), PAGE).await?,
            Some(_) => core.store.page(after.as_ref(), PAGE).await?,
        };
        for listed in &page {
            let contents = core.read(&listed.key, &listed.record, now);
            let theirs = |contents: &Contents| contents.header.user.as_deref() == Some(user);
            if core.php.is_none() || contents.as_ref().is_ok_and(theirs) {
                visit(listed.key, listed, contents);
            }
        }
        // A page that is not full is no end: drivers leave damaged records out.
        match page.last() {
            Some(last) => after = Some(last.key),
            None => return Ok(()),
        }
    }
}

fn info(core: &Core, is_before: bool, key: StoreKey, expires_at: Timestamp, header: &Header) -> SessionInfo {
    let device = header.device.as_ref();
    SessionInfo {
        tag: token::tag(&key),
        created_at: header.created_at,
        last_active: core.last_active(header, expires_at),
        expires_at,
        persistent: header.persistent,
        ip: device.and_then(|device| device.ip),
        user_agent: device.map(|device| device.user_agent.clone()).unwrap_or_default(),
        key,
        is_before,
    }
}
