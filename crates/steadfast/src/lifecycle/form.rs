//! The form that sessions have in cookies and records: the native one, or that of the policy's layout.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use super::Core;
use crate::codec::Encoding;
use crate::error::Result;
use crate::layout::{PhpLayout, PhpSide};
use crate::policy::TOUCH_FRACTION;
use crate::record::{self, Contents, Header, Values};
use crate::store::{Deleted, Record, Store as _, StoreKey, Version};
use crate::time::Timestamp;
use crate::token::Token;

/// How soon after the last use of a session that is shared with PHP another one is written down: PHP counts
/// whole seconds, and writes each use.
const PHP_RESOLUTION: Duration = Duration::from_secs(1);

impl Core {
    /// Reads the value of a cookie; `None` for anything that is no token of this layout.
    pub(crate) fn token(&self, cookie: &[u8], ip: Option<IpAddr>) -> Option<Token> {
        match &self.php {
            None => Token::parse(cookie),
            Some(layout) => layout.token(cookie, ip),
        }
    }

    /// Makes a token for a record that does not exist yet.
    pub(crate) fn fresh_token(&self, ip: Option<IpAddr>) -> Token {
        match &self.php {
            None => Token::fresh(),
            Some(layout) => layout.fresh_token(ip),
        }
    }

    /// Reports whether an id of which there is no session becomes that of a new one.
    pub(super) fn adopts_ids(&self) -> bool {
        self.php.as_ref().is_some_and(PhpLayout::adopts_ids)
    }

    /// Returns how a new session's values are written.
    pub(crate) fn encoding(&self) -> Encoding {
        match &self.php {
            None => self.policy.codec.into(),
            Some(layout) => layout.encoding(),
        }
    }

    /// Reports whether the application's values may have such a key.
    pub(super) fn carries(&self, key: &[u8]) -> bool {
        match &self.php {
            None => u16::try_from(key.len()).is_ok(),
            Some(layout) => layout.carries(key),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// As [`record::decode`].
    pub(crate) fn read(&self, key: &StoreKey, record: &Record, now: Timestamp) -> Result<Contents> {
        match &self.php {
            None => record::decode(&record.payload),
            Some(layout) => layout.read(key, record, now),
        }
    }

    /// Writes the payload of a record.
    ///
    /// # Errors
    ///
    /// For a key that the layout can't carry.
    pub(crate) fn write(&self, encoding: Encoding, header: &Header, values: &Values) -> Result<Bytes> {
        match &self.php {
            None => Ok(record::encode(encoding, header, values)),
            Some(layout) => layout.write(header, values),
        }
    }

    /// Returns the version of a payload that is to be written.
    pub(crate) fn version(&self, payload: &[u8]) -> Version {
        match &self.php {
            None => Version::fresh(),
            Some(_) => Version::of_content(payload),
        }
    }

    /// Returns what the header of a new session has for PHP.
    pub(super) fn fresh_side(&self) -> Option<Box<PhpSide>> {
        self.php.as_ref().map(|layout| Box::new(layout.fresh_side()))
    }

    /// Returns until when a response may send the present token, if there is one before it.
    pub(super) fn sendable_until(&self, header: &Header) -> Option<Timestamp> {
        match &self.php {
            None => header.sendable_until(self.policy.forward_window, self.policy.rules),
            // No id follows on this one until the copy under the one before has ended.
            Some(_) => header.origin_until(),
        }
    }

    /// Ends the copy that a change of id left to PHP, if it still is one.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    pub(super) async fn end_copy(&self, key: &StoreKey) -> Result<()> {
        #[cfg(feature = "php")]
        return Box::pin(self.end_left(key)).await;
        #[cfg(not(feature = "php"))]
        self.end_record(key).await.map(drop)
    }

    /// Deletes a record whoever works on it.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    pub(crate) async fn end_record(&self, key: &StoreKey) -> Result<Deleted> {
        #[cfg(feature = "php")]
        if self.php.is_some() {
            return Box::pin(self.delete_under_lock(key)).await;
        }
        self.store.delete(key, None).await
    }

    /// Returns how long the cookie lives; `None` for as long as the browser runs.
    pub(crate) fn cookie_lifetime(&self, header: &Header, now: Timestamp) -> Option<Duration> {
        match &self.php {
            None => header.cookie_lifetime(now),
            Some(layout) => layout.cookie_lifetime(),
        }
    }

    /// Returns what the layout makes of an instant: PHP counts whole seconds.
    pub(super) fn tick(&self, now: Timestamp) -> Timestamp {
        #[cfg(feature = "php")]
        if self.php.is_some() {
            return now.whole_second();
        }
        now
    }

    /// Returns after how long an id or a secret is replaced.
    pub(super) fn rotate_every(&self) -> Option<Duration> {
        let every = self.policy.rotate_every?;
        // CodeIgniter counts whole seconds, and replaces an id once more than that many have passed.
        Some(every + if self.php.is_some() { PHP_RESOLUTION } else { Duration::ZERO })
    }

    /// Returns what is added to a deadline, because not every use is written down.
    pub(super) fn slack(&self, header: &Header) -> Duration {
        match &self.php {
            None => header.idle / TOUCH_FRACTION,
            // PHP's programs would not understand a use in the future.
            Some(_) => Duration::ZERO,
        }
    }

    /// Returns how soon after the last use of a session that was written down another one is.
    pub(super) fn unwritten(&self, header: &Header) -> Duration {
        match &self.php {
            None => header.idle / TOUCH_FRACTION,
            Some(_) => PHP_RESOLUTION,
        }
    }
}
