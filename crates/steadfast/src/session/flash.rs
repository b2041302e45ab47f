//! Flash values: there for the next request, and gone after it.
//!
//! They age by pages only: a request that a script makes, or a prefetch, reads them and leaves them. Two
//! requests that overlap age them once: by a page that came after they were last set or aged.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{MarkChange, Step};
use super::values::{collect, get};
use super::{KeyFor, Session};
use crate::codec::Value;
use crate::error::Result;
use crate::record::Mark;

/// # Flash
impl Session {
    /// Sets a value for the next request. It can be read in this one, too.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn save(session: &steadfast::Session) -> steadfast::Result<()> {
    /// session.flash("notice", "Profile saved.")
    /// // … and redirect; the next page shows session.flash_get::<String>("notice").
    /// # }
    /// ```
    #[doc(alias = "setFlashdata")]
    #[doc(alias = "set_flashdata")]
    pub fn flash<T: Serialize>(&self, key: impl KeyFor<T>, value: T) -> Result<()> {
        self.put(key.key_bytes(), &value, |_| Mark::FlashNew)
    }

    /// Returns a flash value; `None` if there is none, also if there is an ordinary or temp one.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[doc(alias = "getFlashdata")]
    #[doc(alias = "flashdata")]
    pub fn flash_get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.key_bytes();
        self.read(|state, now| match state.get(key, now) {
            Some((_, mark)) if mark.is_flash() => get(state, key, now),
            _ => Ok(None),
        })
    }

    /// Returns all flash values.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    #[doc(alias = "getFlashdata")]
    pub fn flash_all(&self) -> Result<BTreeMap<String, Value>> {
        self.read(|state, now| collect(state, now, |entry| entry.mark.is_flash()))
    }

    /// Returns the keys of all flash values, in their order.
    #[doc(alias = "getFlashKeys")]
    #[doc(alias = "get_flash_keys")]
    pub fn flash_keys(&self) -> Vec<Vec<u8>> {
        self.marked_keys(Mark::is_flash)
    }

    /// Keeps flash values for one more request. Values that are not flash stay what they are.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "keepFlashdata")]
    #[doc(alias = "keep_flashdata")]
    pub fn keep_flash<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<()> {
        self.mark(keys, MarkChange::KeepFlash)
    }

    /// Turns values into flash values, and reports whether all of them were there; if not, none is turned.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "markAsFlashdata")]
    #[doc(alias = "mark_as_flash")]
    pub fn mark_flash<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<bool> {
        self.mark_if_all_there(keys.into_iter().map(|key| (key, Mark::FlashNew)))
    }

    /// Turns flash values into ordinary ones. Values that are not flash stay what they are.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the end of the request.
    #[doc(alias = "unmarkFlashdata")]
    pub fn unmark_flash<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<()> {
        self.mark(keys, MarkChange::UnmarkFlash)
    }

    pub(super) fn mark<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        change: MarkChange,
    ) -> Result<()> {
        let keys = keys.into_iter().map(|key| key.as_ref().into()).collect();
        self.edit(|state, now| state.run(Step::Mark { keys, change }, now).map(drop))
    }

    /// Marks each key with its mark, if all of them have values; else marks none.
    pub(super) fn mark_if_all_there<K: AsRef<[u8]>>(
        &self,
        marks: impl IntoIterator<Item = (K, Mark)>,
    ) -> Result<bool> {
        let marks: Vec<(Box<[u8]>, Mark)> =
            marks.into_iter().map(|(key, mark)| (key.as_ref().into(), mark)).collect();
        self.edit(|state, now| {
            state.writable()?;
            if marks.iter().any(|(key, _)| state.get(key, now).is_none()) {
                return Ok(false);
            }
            for (key, mark) in marks {
                state.run(Step::Mark { keys: vec![key], change: MarkChange::To(mark) }, now)?;
            }
            Ok(true)
        })
    }

    pub(super) fn marked_keys(&self, wanted: impl Fn(Mark) -> bool) -> Vec<Vec<u8>> {
        self.read(|state, now| {
            let there = state.values.iter().filter(|entry| wanted(entry.mark) && entry.mark.lasts(now));
            there.map(|entry| entry.key.to_vec()).collect()
        })
    }
}
