//! Temp values: each with a lifetime of its own, after which it is gone.
//!
//! A value with a lifetime of `n` seconds is there through the instant `n` seconds later, and not after it,
//! also for a request that takes longer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{MarkChange, Step, temp_until};
use super::values::{collect, get};
use super::{KeyFor, Session};
use crate::codec::Value;
use crate::error::Result;
use crate::record::Mark;

/// # Temp
impl Session {
    /// Sets a value that is gone after `ttl`. Zero means the policy's `temp_ttl`, 300 seconds by default.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn send_code(session: &steadfast::Session) -> steadfast::Result<()> {
    /// session.set_temp("code", 4711, Duration::from_secs(60))?;
    /// // … within a minute:
    /// let right = session.temp_get("code")? == Some(4711);
    /// # drop(right);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "setTempdata")]
    #[doc(alias = "set_tempdata")]
    pub fn set_temp<T: Serialize>(&self, key: impl KeyFor<T>, value: T, ttl: Duration) -> Result<()> {
        let default_ttl = self.exchange.core().policy.temp_ttl;
        self.put(key.key_bytes(), &value, |now| temp_until(now(), ttl, default_ttl))
    }

    /// Returns a temp value; `None` if there is none, also if there is an ordinary or flash one.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[doc(alias = "getTempdata")]
    #[doc(alias = "tempdata")]
    pub fn temp_get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.key_bytes();
        self.read(|state, now| match state.get(key, now) {
            Some((_, mark)) if mark.is_temp() => get(state, key, now),
            _ => Ok(None),
        })
    }

    /// Returns all temp values.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    #[doc(alias = "getTempdata")]
    pub fn temp_all(&self) -> Result<BTreeMap<String, Value>> {
        self.read(|state, now| collect(state, now, |entry| entry.mark.is_temp()))
    }

    /// Returns the keys of all temp values, in their order.
    #[doc(alias = "getTempKeys")]
    #[doc(alias = "get_temp_keys")]
    pub fn temp_keys(&self) -> Vec<Vec<u8>> {
        self.marked_keys(Mark::is_temp)
    }

    /// Returns how long a temp value is still there; `None` if there is none.
    pub fn temp_left(&self, key: impl AsRef<[u8]>) -> Option<Duration> {
        self.read(|state, now| match state.get(key.as_ref(), now) {
            Some((_, Mark::Temp(until))) => Some(until.saturating_since(now())),
            _ => None,
        })
    }

    /// Gives values a lifetime, and reports whether all of them were there; if not, none is given one.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "markAsTempdata")]
    #[doc(alias = "mark_as_temp")]
    pub fn mark_temp<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        ttl: Duration,
    ) -> Result<bool> {
        self.mark_temp_each(keys.into_iter().map(|key| (key, ttl)))
    }

    /// Gives each value a lifetime of its own, and reports whether all of them were there; if not, none is
    /// given one.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "markAsTempdata")]
    pub fn mark_temp_each<K: AsRef<[u8]>>(
        &self,
        lifetimes: impl IntoIterator<Item = (K, Duration)>,
    ) -> Result<bool> {
        let default_ttl = self.exchange.core().policy.temp_ttl;
        let now = self.read(|_, now| now());
        let marks = lifetimes.into_iter().map(|(key, ttl)| (key, temp_until(now, ttl, default_ttl)));
        self.mark_if_all_there(marks)
    }

    /// Turns temp values into ordinary ones. Values that are not temp stay what they are.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "unmarkTempdata")]
    pub fn unmark_temp<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<()> {
        self.mark(keys, MarkChange::UnmarkTemp)
    }

    /// Removes a temp value, and reports whether there was one. Others stay what they are.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "removeTempdata")]
    #[doc(alias = "unset_tempdata")]
    pub fn remove_temp(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.edit(|state, now| {
            let was = state.get(key.as_ref(), now).is_some_and(|(_, mark)| mark.is_temp());
            state.run(Step::RemoveTemp { key: key.as_ref().into() }, now)?;
            Ok(was)
        })
    }
}
