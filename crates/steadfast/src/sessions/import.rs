//! Sessions that move without waiting for their visitors.

use std::num::NonZeroUsize;

use super::Sessions;
use crate::error::Result;
use crate::store::Store as _;

/// What a call of [`Sessions::import`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many sessions it moved.
    pub moved: u64,
    /// How many records are left where sessions were before, expired ones that are still there included.
    pub left: u64,
}

/// # Migration
impl Sessions {
    /// Moves at most `limit` sessions from where they [were before](crate::SessionsBuilder::migrate_from), without
    /// waiting for their visitors, and reports how many are left there.
    ///
    /// Sessions that somebody works with are left alone, and move with a later request. Nothing happens without
    /// that setting.
    ///
    /// # Errors
    ///
    /// Whatever the stores fail with. [`Unsupported`](crate::ErrorKind::Unsupported) if a session can be moved with
    /// its visitor's cookie only: from the native layout to one of PHP's, and out of a Memcached that PHP uses. Such
    /// a store runs empty as its sessions are used or end.
    ///
    /// # Cancel safety
    ///
    /// Some of the sessions may have been moved.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use steadfast::Sessions;
    ///
    /// async fn move_all(sessions: &Sessions) -> steadfast::Result<()> {
    ///     const SOME: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
    ///     while sessions.import(SOME).await?.moved > 0 {}
    ///     Ok(())
    /// }
    /// ```
    pub async fn import(&self, limit: NonZeroUsize) -> Result<Imported> {
        let Some(import) = &self.core.import else { return Ok(Imported { moved: 0, left: 0 }) };
        let moved = import.fetch_some(&self.core, limit).await?;
        Ok(Imported { moved, left: import.core.store.count().await? })
    }
}
