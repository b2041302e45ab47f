//! Ordinary values: get, set, and everything that changes one.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::Step;
use super::{KeyFor, Now, Session, State};
use crate::codec::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Entry, Mark};

/// # Values
impl Session {
    /// Returns a value; `None` if there is none.
    ///
    /// Flash and temp values are found, too. A null counts as missing, as in CodeIgniter.
    ///
    /// # Errors
    ///
    /// [`Codec`](ErrorKind::Codec) if the value is of another type.
    #[doc(alias = "userdata")]
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        self.read(|state, now| get(state, key.key_bytes(), now))
    }

    /// Sets a value. A flash or temp value of this key becomes an ordinary one.
    ///
    /// # Errors
    ///
    /// [`Codec`](ErrorKind::Codec) if the value can't be encoded, [`TooLarge`](ErrorKind::TooLarge) if a
    /// limit is passed, [`Closed`](ErrorKind::Closed) after the end of the request.
    #[doc(alias = "set_userdata")]
    pub fn set<T: Serialize>(&self, key: impl KeyFor<T>, value: T) -> Result<()> {
        self.put(key.key_bytes(), &value, |_| Mark::None)
    }

    /// Sets several values.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set); those before the one at fault are set.
    pub fn set_all<K: AsRef<[u8]>, T: Serialize>(
        &self,
        values: impl IntoIterator<Item = (K, T)>,
    ) -> Result<()> {
        values.into_iter().try_for_each(|(key, value)| self.put(key.as_ref(), &value, |_| Mark::None))
    }

    /// Reports whether there is a value, of any type, that is not null.
    #[doc(alias = "has_userdata")]
    pub fn has(&self, key: impl AsRef<[u8]>) -> bool {
        self.read(|state, now| state.get(key.as_ref(), now).is_some())
    }

    /// Appends to a list; a missing one begins empty.
    ///
    /// Pushes of requests that overlap all count, in either concurrency mode.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and [`Codec`](ErrorKind::Codec) if the value there is not a list.
    pub fn push<T: Serialize>(&self, key: impl AsRef<[u8]>, value: T) -> Result<()> {
        let item = self.to_value(&value)?;
        self.update::<Value>(key.as_ref(), move |list| {
            if *list == Value::Null {
                *list = Value::List(Vec::new());
            }
            let Value::List(items) = list else { return Err(not_a("list")) };
            items.push(item.clone());
            Ok(())
        })
    }

    /// Sets an entry of a map; a missing map, and an empty list, begin as an empty one.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and [`Codec`](ErrorKind::Codec) if the value there is not a map.
    #[doc(alias = "push")]
    pub fn push_entry<T: Serialize>(&self, key: impl AsRef<[u8]>, entry: &str, value: T) -> Result<()> {
        let (entry, item) = (entry.to_owned(), self.to_value(&value)?);
        self.update::<Value>(key.as_ref(), move |map| {
            if *map == Value::Null || matches!(map, Value::List(items) if items.is_empty()) {
                *map = Value::Map(IndexMap::new());
            }
            let Value::Map(entries) = map else { return Err(not_a("map")) };
            entries.insert(entry.clone(), item.clone());
            Ok(())
        })
    }

    /// Removes a value, and reports whether there was one.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request.
    #[doc(alias = "unset_userdata")]
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.edit(|state, now| {
            let was = state.get(key.as_ref(), now).is_some();
            state.run(Step::Remove { key: key.as_ref().into() }, now)?;
            Ok(was)
        })
    }

    /// Changes a value in place, and returns what it is now. A missing one begins as its default.
    ///
    /// In `Merge` the closure may run several times, each time on a fresher value, so it must have no
    /// effect but on the value, and what it returned is provisional.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`set`](Self::set), and whatever the closure fails with; the value then
    /// stays what it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn add(session: &steadfast::Session) -> steadfast::Result<()> {
    /// session.update::<Vec<String>>("cart", |cart| {
    ///     cart.push("coffee".to_owned());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn update<T>(
        &self,
        key: impl KeyFor<T>,
        change: impl Fn(&mut T) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let edit = move |codec: crate::codec::Encoding, value: Option<&[u8]>| {
            let mut value = value.map(|bytes| codec.decode(bytes)).transpose()?.unwrap_or_default();
            change(&mut value)?;
            codec.encode(&value)
        };
        let key = key.key_bytes();
        self.edit(|state, now| state.run(Step::Edit { key: key.into(), edit: Arc::new(edit) }, now).map(drop))
    }

    /// Adds to a whole number, and returns the sum. A missing one begins at zero.
    ///
    /// Increments of requests that overlap all count, in either concurrency mode; in `Merge` the sum is
    /// provisional.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), and [`Codec`](ErrorKind::Codec) if the sum is no `i64`.
    pub fn increment(&self, key: impl KeyFor<i64>, by: i64) -> Result<i64> {
        let key = key.key_bytes();
        self.update::<i64>(key, move |n| {
            *n = n
                .checked_add(by)
                .ok_or_else(|| Error::new(ErrorKind::Codec, "the sum is larger than an i64"))?;
            Ok(())
        })?;
        Ok(self.get::<i64>(key)?.unwrap_or_default())
    }

    /// Returns a value and removes it, so that it is read once.
    ///
    /// Of requests that overlap exactly one gets it: in `Merge` the others fail with
    /// [`Stale`](ErrorKind::Stale) at their commit.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); a value of another type stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn download(session: &steadfast::Session) -> steadfast::Result<()> {
    /// session.set("link", "/files/7")?;
    /// assert_eq!(session.take::<String>("link")?.as_deref(), Some("/files/7"));
    /// assert_eq!(session.take::<String>("link")?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "ro_userdata")]
    pub fn take<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.key_bytes();
        self.edit(|state, now| {
            let value = get(state, key, now)?;
            if value.is_some() {
                let seen = state.values.get(key).map(|entry| entry.value.into()).unwrap_or_default();
                state.run(Step::Take { key: key.into(), seen }, now)?;
            }
            Ok(value)
        })
    }

    /// Returns all ordinary values, without flash and temp ones. A stored null is among them.
    ///
    /// # Errors
    ///
    /// [`Codec`](ErrorKind::Codec) if a value can't be decoded.
    #[doc(alias = "all_userdata")]
    pub fn all(&self) -> Result<BTreeMap<String, Value>> {
        self.read(|state, now| collect(state, now, |entry| entry.mark == Mark::None))
    }

    /// Returns the keys of all values that are there, flash and temp ones and nulls included, in the order in
    /// which they came.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.read(|state, now| {
            state.values.iter().filter(|e| e.mark.lasts(now)).map(|e| e.key.to_vec()).collect()
        })
    }

    /// Returns how long a value lasts: flash, temp, or as long as the session; `None` if there is no value.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn check(session: &steadfast::Session) -> steadfast::Result<()> {
    /// use steadfast::Mark;
    ///
    /// session.flash("notice", "Saved.")?;
    /// assert_eq!(session.mark_of("notice"), Some(Mark::FlashNew));
    /// # Ok(())
    /// # }
    /// ```
    pub fn mark_of(&self, key: impl AsRef<[u8]>) -> Option<Mark> {
        self.read(|state, now| state.get(key.as_ref(), now).map(|(_, mark)| mark))
    }

    /// Removes all values; the session itself, and who is signed in, stay.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request.
    pub fn clear(&self) -> Result<()> {
        self.edit(|state, now| state.run(Step::Clear, now).map(drop))
    }

    /// Sets a value with a mark.
    pub(super) fn put<T: Serialize + ?Sized>(
        &self,
        key: &[u8],
        value: &T,
        mark: impl FnOnce(Now<'_>) -> Mark,
    ) -> Result<()> {
        self.edit(|state, now| {
            let value = state.codec.encode(value)?;
            state.set(key, value, mark(now))
        })
    }

    /// Turns a value into one that can be moved into a list or a map.
    fn to_value<T: Serialize>(&self, value: &T) -> Result<Value> {
        let codec = self.read(|state, _| state.codec);
        codec.decode(&codec.encode(value)?)
    }
}

/// Decodes a value that is there at `now`.
pub(super) fn get<T: DeserializeOwned>(state: &State, key: &[u8], now: Now<'_>) -> Result<Option<T>> {
    state.get(key, now).map(|(bytes, _)| state.codec.decode(bytes)).transpose()
}

/// Decodes all values that are there at `now` and wanted. Keys that are no text are shown with the
/// replacement character.
pub(super) fn collect(
    state: &State,
    now: Now<'_>,
    wanted: impl Fn(&Entry<'_>) -> bool,
) -> Result<BTreeMap<String, Value>> {
    let there = state.values.iter().filter(|entry| entry.mark.lasts(now) && wanted(entry));
    there.map(|e| Ok((String::from_utf8_lossy(e.key).into_owned(), state.codec.decode(e.value)?))).collect()
}

fn not_a(kind: &'static str) -> Error {
    let message = match kind {
        "list" => "the session holds something else than a list under this key",
        _ => "the session holds something else than a map under this key",
    };
    Error::new(ErrorKind::Codec, message)
}
