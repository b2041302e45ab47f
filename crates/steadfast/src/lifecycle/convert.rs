//! From the record of a session where it was to the one that goes on from it.

use super::Core;
use super::exchange::{Base, Client};
use super::import::Place;
use super::open::Entered;
use crate::codec::Encoding;
use crate::error::{Error, ErrorKind, Result};
use crate::events::Anomaly;
use crate::random;
use crate::record::{Header, Standing, Values};
use crate::store::Record;
use crate::time::Timestamp;
use crate::token::{self, Secret};

/// Makes the record of a session that goes on elsewhere. Time goes on by the clock of the store there, and a
/// move is no use of the session.
///
/// # Errors
///
/// `TooLarge` if it does not fit there; `Codec` if its values need a feature that this build does not have.
pub(super) fn convert(
    old: &Core,
    new: &Core,
    entered: &Entered,
    place: &Place,
    client: &Client,
) -> Result<Record> {
    let Base { header, found, .. } = &*entered.base;
    let now = new.now();
    let unused = found.now.saturating_since(old.last_active(header, found.record.expires_at));
    let used = new.tick(now - unused);
    let left = found.record.expires_at.saturating_since(found.now);
    let same_bytes = |expires_at| {
        let payload = found.record.payload.clone();
        let version = new.version(&payload);
        Ok(Record { payload, version, expires_at, user: found.record.user })
    };
    match (&old.php, &new.php) {
        (None, None) => return same_bytes(now + left),
        (Some(before), Some(after)) if after.writes_as(before) && place.key == entered.base.key => {
            return same_bytes(used + new.policy.idle_timeout);
        }
        _ => {}
    }
    let encoding = match &new.php {
        None => entered.base.codec.of_record(),
        Some(layout) => layout.encoding(),
    };
    let values = translate(new, entered, encoding, place);
    let frozen_until = matches!(header.standing, Standing::Frozen { .. }).then_some(now + left);
    let header = moved(new, &entered.base, place, client, Times { now, used, frozen_until }, &values);
    let payload = new.write(encoding, &header, &values)?;
    if payload.len() > new.policy.max_record_bytes {
        return Err(Error::new(
            ErrorKind::TooLarge,
            "a session is larger than the limit `max_record_bytes` of the layout to which it moves; it stays where it is",
        ));
    }
    let version = new.version(&payload);
    let expires_at = frozen_until.unwrap_or_else(|| new.deadline(&header, used));
    let user = header.user.as_deref().map(token::user_key);
    Ok(Record { payload, version, expires_at, user })
}

/// Writes the values as it is done there. What has no place there is left behind, and that is reported.
fn translate(new: &Core, entered: &Entered, encoding: Encoding, place: &Place) -> Values {
    let mut values = Values::default();
    let mut left_behind = false;
    for entry in entered.base.values.iter() {
        let value = entered.base.codec.translate(encoding, entry.value);
        match value {
            Ok(value) if new.carries(entry.key) => values.set(entry.key, value, entry.mark),
            _ => left_behind = true,
        }
    }
    if left_behind {
        new.observer.alarm(Anomaly::LeftBehind, Some(&place.key));
    }
    values
}

struct Times {
    now: Timestamp,
    used: Timestamp,
    /// Until when the session is what a change of privilege left.
    frozen_until: Option<Timestamp>,
}

/// Makes the header of a session that goes on in another layout.
fn moved(
    new: &Core,
    base: &Base,
    place: &Place,
    client: &Client,
    Times { now, used, frozen_until }: Times,
    values: &Values,
) -> Header {
    let (idle, absolute) = new.policy.lifetimes(false);
    let Header { created_at, rotated_at, user, device, .. } = base.header.clone();
    let secret = place.token.as_ref().map_or_else(Secret::fresh, |token| token.secret.clone());
    let standing = match frozen_until {
        None => Standing::Live,
        Some(_) => Standing::Frozen { successor: place.key },
    };
    Header {
        data_tag: random::unique(),
        created_at: new.tick(created_at),
        rotated_at: new.tick(rotated_at),
        seen_at: used,
        // PHP does not say when a session began, so it can't be overdue.
        absolute_at: now + absolute,
        flash_at: base.header.flash_at,
        idle,
        persistent: false,
        secret: secret.digest(),
        predecessor: None,
        standing,
        user,
        device,
        bound_ip: client.bound_ip,
        bound_agent: client.bound_agent,
        php: new
            .php
            .as_ref()
            .map(|layout| Box::new(layout.moved_side(&place.key, values, base.csrf_secret(), frozen_until))),
    }
}
