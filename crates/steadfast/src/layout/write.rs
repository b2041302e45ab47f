//! From what the life cycle made to the bytes that PHP reads.

use std::collections::HashSet;

use bytes::Bytes;

use super::forwarding::{Origin, PhpSide};
use super::kept_origin::{KeptOrigin, Sums};
use super::markers::{Marker, Markers};
use super::{PhpLayout, reserved};
use crate::codec::php::{self, Content};
use crate::error::Result;
use crate::record::{ForPhp, Header, Values};
use crate::time::Timestamp;

/// A key of the layout's own, with what it is to hold.
struct Own<'a> {
    key: &'a [u8],
    value: Wanted,
}

enum Wanted {
    /// What it holds, if it is there.
    AsItIs,
    /// What it holds; this if it is not there.
    Kept(Vec<u8>),
    Nothing,
    Value(Vec<u8>),
    /// This, behind everything else.
    Last(Vec<u8>),
}

impl PhpLayout {
    /// Writes a session as PHP does: what was not changed byte for byte, in PHP's order, and the layout's own
    /// keys where they were, or at the end.
    ///
    /// # Errors
    ///
    /// For a key that PHP can't carry.
    pub(crate) fn write(&self, header: &Header, values: &Values) -> Result<Bytes> {
        let own = self.own_keys(header, values)?;
        let mut there = HashSet::new();
        let mut entries = Vec::with_capacity(values.len() + own.len());
        for ForPhp { key, content, .. } in values.for_php() {
            let Some(own) = own.iter().find(|own| own.key == key) else {
                entries.push((key, content));
                continue;
            };
            there.insert(key);
            match &own.value {
                Wanted::AsItIs | Wanted::Kept(_) => entries.push((key, content)),
                Wanted::Nothing | Wanted::Last(_) => {}
                Wanted::Value(value) => entries.push((key, Content::New(value))),
            }
        }
        for Own { key, value } in &own {
            if let Wanted::Value(value) | Wanted::Kept(value) = value
                && !there.contains(key)
            {
                // The first key of a session that CodeIgniter makes is the time of its making.
                let at = if *key == reserved::REGENERATED { 0 } else { entries.len() };
                entries.insert(at, (key, Content::New(value)));
            }
            if let Wanted::Last(value) = value {
                entries.push((key, Content::New(value)));
            }
        }
        php::join(self.format, values.original(), entries.into_iter()).map(Bytes::from)
    }

    fn own_keys<'a>(&'a self, header: &Header, values: &Values) -> Result<Vec<Own<'a>>> {
        let nothing = PhpSide::default();
        let side = header.php.as_deref().unwrap_or(&nothing);
        let left = side.left.as_ref();
        let timed = self.writes_time || side.is_timed;
        let time = timed.then(|| second(header.rotated_at));
        let origin = side.origin.as_ref().map(|origin| kept(origin, &side.own));
        let csrf = side.csrf.as_ref().map(|secret| side.own.clone() + &crate::hex::encode(secret));
        Ok(vec![
            Own { key: reserved::REGENERATED, value: wanted(time.as_ref())? },
            Own { key: reserved::MARKERS, value: markers(values)? },
            Own {
                key: reserved::NEW_ID,
                value: wanted(left.and_then(|left| left.to).map(|to| to.id().to_owned()).as_ref())?,
            },
            Own { key: reserved::LEFT_UNTIL, value: wanted(left.map(|left| second(left.until)).as_ref())? },
            Own { key: reserved::LEFT_OF, value: wanted(left.map(|_| &side.own))? },
            Own { key: reserved::ORIGIN, value: wanted(origin.as_ref())? },
            Own { key: reserved::CSRF, value: wanted(csrf.as_ref())? },
            Own { key: &self.user_key, value: self.user(header, side)? },
        ])
    }

    /// Names the user. A key of the application's own is written only when somebody signs in.
    fn user(&self, header: &Header, side: &PhpSide) -> Result<Wanted> {
        if header.user != side.user_read {
            return wanted(header.user.as_ref());
        }
        Ok(match &header.user {
            Some(user) if reserved::is_reserved(&self.user_key) => Wanted::Kept(php::to_vec(user)?),
            _ => Wanted::AsItIs,
        })
    }
}

fn wanted<T: serde::Serialize>(value: Option<&T>) -> Result<Wanted> {
    Ok(match value {
        None => Wanted::Nothing,
        Some(value) => Wanted::Value(php::to_vec(value)?),
    })
}

/// Makes the table of markers; the one that was read stays as it is if it still holds.
fn markers(values: &Values) -> Result<Wanted> {
    let old: Option<Markers> = values
        .for_php()
        .find(|entry| entry.hidden && entry.key == reserved::MARKERS)
        .and_then(|table| php::from_slice(values.bytes_of(table.content)).ok());
    let before: HashSet<Vec<u8>> =
        old.iter().flat_map(|Markers(markers)| markers).map(|(key, _)| key.clone()).collect();
    // Markers keep their place, and new ones follow, as in PHP.
    let kept = old.iter().flat_map(|Markers(markers)| markers).filter_map(|(key, _)| {
        let marker = Marker::of(values.get(key)?.mark)?;
        Some((key.clone(), marker))
    });
    let added = values
        .iter()
        .filter(|entry| !before.contains(entry.key))
        .filter_map(|entry| Some((entry.key.to_vec(), Marker::of(entry.mark)?)));
    let kept: Vec<_> = kept.collect();
    let begins_anew = kept.is_empty();
    let new = Markers(kept.into_iter().chain(added).collect());
    if new.0.is_empty() {
        return Ok(Wanted::Nothing);
    }
    if old.as_ref() == Some(&new) {
        return Ok(Wanted::AsItIs);
    }
    // CodeIgniter removes a table that has become empty, and begins another one at the end.
    let table = php::to_vec(&new)?;
    Ok(if begins_anew { Wanted::Last(table) } else { Wanted::Value(table) })
}

fn kept(Origin { name, until, left }: &Origin, own: &str) -> KeptOrigin {
    let (of, id) = (own.to_owned(), name.id().to_owned());
    KeptOrigin { of, id, until: second(*until), left: left.clone().map(Sums) }
}

fn second(time: Timestamp) -> i64 {
    time.as_secs().cast_signed()
}
