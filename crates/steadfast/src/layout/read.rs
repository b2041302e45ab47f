//! From PHP's bytes to what the life cycle works with: a header, and values with their marks.

use serde::Deserialize as _;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::forwarding::{Left, Origin, PhpSide, own};
use super::kept_origin::{KeptOrigin, Sums};
use super::markers::{Markers, Text, from_second};
use super::{PhpLayout, reserved};
use crate::codec::{Encoding, php};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::PhpFormat;
use crate::record::{Contents, Header, Standing, Values};
use crate::store::{Record, SharedName, StoreKey};
use crate::time::Timestamp;
use crate::token::Secret;

impl PhpLayout {
    /// Reads a session of PHP's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for what PHP would not read either, [`ErrorKind::InvalidConfig`] for a session in
    /// another format than the policy says: that is no damage, and nothing is to be put aside.
    pub(crate) fn read(&self, key: &StoreKey, record: &Record, now: Timestamp) -> Result<Contents> {
        if let Some(written) = foreign_format(&record.payload) {
            return Err(not_read(written));
        }
        let split = php::split(self.format, &record.payload)
            .map_err(|error| other_format(&record.payload, self.format).unwrap_or(error))?;
        let mut values = Values::of_php(record.payload.clone(), split);
        let flash_tag = mark(&mut values);
        let rotated_at = take(&mut values, reserved::REGENERATED).map(from_second);
        let user = self.user_of(&mut values);
        let own = own(key);
        let side = PhpSide {
            user_read: user.clone(),
            is_timed: rotated_at.is_some(),
            left: take_left(&mut values, key, &own),
            origin: take_origin(&mut values, key, &own),
            csrf: take::<String>(&mut values, reserved::CSRF)
                .and_then(|kept| crate::hex::decode(kept.strip_prefix(&own)?)),
            own,
        };
        let frozen = side.left.is_some_and(|left| left.to.is_none());
        // PHP keeps no other times. Where there is none at all, the session counts as new.
        let rotated_at = rotated_at.unwrap_or(now).min(now);
        let header = Header {
            data_tag: record.version.as_u64(),
            created_at: rotated_at,
            rotated_at,
            seen_at: record.expires_at - self.lifetime,
            absolute_at: Timestamp::MAX,
            flash_at: flash_tag,
            idle: self.lifetime,
            persistent: self.cookie_lifetime.is_some(),
            secret: Secret::SHARED.digest(),
            predecessor: None,
            standing: if frozen { Standing::Frozen { successor: *key } } else { Standing::Live },
            user,
            device: None,
            bound_ip: None,
            bound_agent: None,
            php: Some(Box::new(side)),
        };
        Ok(Contents { codec: Encoding::Php(self.format), header, values })
    }

    /// Finds out who is signed in, on either side.
    fn user_of(&self, values: &mut Values) -> Option<String> {
        if reserved::is_reserved(&self.user_key) {
            return take(values, &self.user_key).and_then(name);
        }
        self.own_user(values)
    }

    /// Returns whom the application's own value names, if that is where the user is.
    pub(super) fn own_user(&self, values: &Values) -> Option<String> {
        php::from_slice(values.get(&self.user_key)?.value).ok().and_then(name)
    }
}

fn name(Text(user): Text) -> Option<String> {
    String::from_utf8(user).ok().filter(|user| !user.is_empty())
}

/// Recognizes the formats that are not read here.
///
/// Before anything else: a session whose last text looks like a value (`x|i:1;`) can be read in PHP's own format, as one
/// odd key, and would be written over. No program has keys that begin like these.
fn foreign_format(payload: &[u8]) -> Option<&'static str> {
    // The header, and the array that a session is.
    if let [0, 0, 0, 1 | 2, 0x14..=0x16, ..] = payload {
        return Some("igbinary");
    }
    is_msgpack(payload).then_some("msgpack")
}

/// Recognizes msgpack by being the map that a session is there, to the last byte.
fn is_msgpack(payload: &[u8]) -> bool {
    const MAX_DEPTH: usize = 128;
    let mut rest = payload;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_DEPTH);
    matches!(payload, [0x80..=0x8f | 0xde | 0xdf, ..])
        && IgnoredAny::deserialize(&mut reader).is_ok()
        && rest.is_empty()
}

/// Explains a session that can't be read in the format that the policy says, but in another one.
fn other_format(payload: &[u8], expected: PhpFormat) -> Option<Error> {
    const IGBINARY: [&[u8]; 2] = [&[0, 0, 0, 1], &[0, 0, 0, 2]];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let formats = [PhpFormat::Php, PhpFormat::PhpSerialize, PhpFormat::PhpBinary];
    let reads = |format: &PhpFormat| php::split(*format, payload).is_ok_and(|split| !split.pieces.is_empty());
    let written = match formats.into_iter().filter(|format| *format != expected).find(reads) {
        Some(format) => format.as_str(),
        None if IGBINARY.iter().any(|start| payload.starts_with(start)) => return Some(not_read("igbinary")),
        None if payload.starts_with(ZSTD) => {
            return Some(Error::new(
                ErrorKind::InvalidConfig,
                "PHP compresses sessions, which is not read here: set phpredis' `redis.session.compression` to `none`",
            ));
        }
        None => return None,
    };
    Some(written_as(written, expected))
}

fn not_read(written: &str) -> Error {
    Error::new(
        ErrorKind::InvalidConfig,
        format!(
            "PHP writes sessions as `{written}`, which is not read here: set PHP's `session.serialize_handler` to `php`, and `php_format` with it"
        ),
    )
}

fn written_as(written: &str, expected: PhpFormat) -> Error {
    let expected = expected.as_str();
    Error::new(
        ErrorKind::InvalidConfig,
        format!(
            "PHP writes sessions as `{written}`, and `php_format` is `{expected}`; make both sides agree: PHP's setting is `session.serialize_handler`"
        ),
    )
}

/// Gives flash and temp values their marks, and returns what stands for the time of the last change to the
/// markers, of which PHP keeps none: a number made of them, long past.
fn mark(values: &mut Values) -> Timestamp {
    let Some(table) = values.hide(reserved::MARKERS) else { return Timestamp::EPOCH };
    let tag = Timestamp::from_micros(u64::from(crc32fast::hash(table)) + 1);
    let Markers(markers) = php::from_slice(table).unwrap_or_default();
    for (key, marker) in markers {
        values.set_mark(&key, marker.into());
    }
    tag
}

/// Takes a key of the layout's own out of sight, and reads its value; `None` for one of another type, too.
fn take<T: DeserializeOwned>(values: &mut Values, key: &[u8]) -> Option<T> {
    php::from_slice(values.hide(key)?).ok()
}

/// Finds out whether this is a copy that was left. One that PHP made of such a copy, under another id, is none.
fn take_left(values: &mut Values, key: &StoreKey, own: &str) -> Option<Left> {
    let of = take::<String>(values, reserved::LEFT_OF);
    let to = take::<Text>(values, reserved::NEW_ID);
    let until = take(values, reserved::LEFT_UNTIL).map(from_second)?;
    if of.is_some_and(|of| of != own) {
        return None;
    }
    // A name that could be no id leads nowhere.
    let to = to.and_then(|Text(id)| same_client(key, &id));
    Some(Left { to, until })
}

/// Finds out where the session came from; nowhere, if PHP has changed the id since.
fn take_origin(values: &mut Values, key: &StoreKey, own: &str) -> Option<Origin> {
    let KeptOrigin { of, id, until, left } = take(values, reserved::ORIGIN)?;
    let name = same_client(key, id.as_bytes()).filter(|_| of == own)?;
    Some(Origin { name, until: from_second(until), left: left.map(|Sums(left)| left) })
}

/// Returns the name of another id of the same client.
fn same_client(key: &StoreKey, id: &[u8]) -> Option<SharedName> {
    SharedName::new(id, key.shared().and_then(SharedName::ip))
}
