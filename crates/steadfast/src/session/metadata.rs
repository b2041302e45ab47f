//! What is known of a session beside its values.

use crate::Session;
use crate::lifecycle::Work;
use crate::time::Timestamp;
use crate::token;

/// What is known of a session beside its values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The 8 digits that stand for the session in logs and lists.
    pub tag: String,
    /// When it began. A step-up does not change it; a sign-in begins anew.
    pub created_at: Timestamp,
    /// When it was last used before this request, with a resolution of a sixtieth of its idle timeout.
    pub last_active: Timestamp,
    /// When it ends if it is not used any more.
    pub expires_at: Timestamp,
    /// When it ends in any case.
    pub absolute_expires_at: Timestamp,
    /// When its secret was last replaced.
    pub rotated_at: Timestamp,
    /// Whether its cookie outlives the browser.
    pub persistent: bool,
    /// Who is signed in.
    pub user: Option<String>,
}

/// # Metadata
impl Session {
    /// Returns what is known of the session as it was loaded; `None` for a session that does not exist
    /// yet. After the commit: as it was stored.
    pub fn metadata(&self) -> Option<Metadata> {
        self.exchange.with(|work| metadata(work, self))
    }

    /// Returns the 8 digits that stand for the session in logs; `None` for one that does not exist yet.
    #[doc(alias = "session_id")]
    #[doc(alias = "id")]
    pub fn tag(&self) -> Option<String> {
        self.exchange.with(|work| work.base.as_ref().map(|base| token::tag(&base.key)))
    }

    /// Returns when the session began; `None` for one that does not exist yet. A sign-in begins anew.
    #[doc(alias = "session_start")]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.exchange.with(|work| work.header().map(|header| header.created_at))
    }

    /// Returns when the session was last used before this request, with a resolution of a sixtieth of its
    /// idle timeout; `None` for one that does not exist yet.
    #[doc(alias = "last_activity")]
    #[doc(alias = "session_last_activity")]
    pub fn last_active(&self) -> Option<Timestamp> {
        self.metadata().map(|metadata| metadata.last_active)
    }

    /// Returns when the session ends if it is not used any more; `None` for one that does not exist yet.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.metadata().map(|metadata| metadata.expires_at)
    }

    /// Returns the name of the session's record.
    pub(crate) fn store_key(&self) -> Option<crate::store::StoreKey> {
        self.exchange.with(|work| work.base.as_ref().map(|base| base.key))
    }

    /// Returns the payload of the session's record.
    pub(super) fn record_bytes(&self) -> Option<bytes::Bytes> {
        self.exchange.with(|work| work.base.as_ref().map(|base| base.payload().clone()))
    }

    /// Leaves the session's deadline where it is, although it is used: for pages that poll.
    pub fn do_not_extend(&self) {
        self.exchange.with(|work| work.state.extend = false);
    }
}

fn metadata(work: &Work, session: &Session) -> Option<Metadata> {
    let base = work.base.as_ref()?;
    let (header, core) = (&base.header, session.exchange.core());
    let expires_at = base.expires_at();
    Some(Metadata {
        tag: token::tag(&base.key),
        created_at: header.created_at,
        last_active: core.last_active(header, expires_at),
        expires_at,
        absolute_expires_at: header.absolute_at,
        rotated_at: header.rotated_at,
        persistent: header.persistent,
        user: header.user.clone(),
    })
}
