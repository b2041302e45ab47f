//! What a record knows about its session beside the values.

use std::net::IpAddr;
use std::time::Duration;

use super::wire::{Reader, Writer};
use crate::layout::PhpSide;
use crate::store::StoreKey;
use crate::time::Timestamp;
use crate::token::{SealedSecret, SecretDigest};

/// Bytes of the fields that every header has.
const FIXED: usize = 9 * 8;

/// The header of a record.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// Made anew whenever the values or the user change. Two records with the same tag differ in their
    /// header at most, so a request that holds the values of one may go on with the header of the other.
    pub(crate) data_tag: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) rotated_at: Timestamp,
    /// When the record was last written; a later touch shows in the store's deadline only.
    pub(crate) seen_at: Timestamp,
    pub(crate) absolute_at: Timestamp,
    /// When a flash was last set, kept or aged, by the clock that orders requests. Only those that arrive after it
    /// age again.
    pub(crate) flash_at: Timestamp,
    pub(crate) idle: Duration,
    pub(crate) persistent: bool,
    pub(crate) secret: SecretDigest,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) standing: Standing,
    pub(crate) user: Option<String>,
    pub(crate) device: Option<Device>,
    /// Digest of the client's network, if sessions are bound to it.
    pub(crate) bound_ip: Option<[u8; 8]>,
    /// Digest of the client's user agent, if sessions are bound to it.
    pub(crate) bound_agent: Option<[u8; 8]>,
    /// What a session that is shared with PHP has beside that. Not part of a record of ours.
    pub(crate) php: Option<Box<PhpSide>>,
}

/// The secret before the present one, from a rotation in time.
#[derive(Debug, Clone)]
pub(crate) struct Predecessor {
    pub(crate) digest: SecretDigest,
    /// Until when it is good in any case.
    pub(crate) window_ends: Timestamp,
    /// The present secret, readable by the holder of this one.
    pub(crate) successor: SealedSecret,
    /// Whether somebody has come with the present secret. Until then this one stays good, because the
    /// response that carried the present one may have been lost.
    pub(crate) replaced: bool,
}

/// Whether a record is the session's present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Live,
    /// It is, and took the place of another record at a change of privilege; nobody has come with its
    /// token yet.
    Undelivered { origin: StoreKey, window_ends: Timestamp },
    /// A change of privilege put another one in its place. Read-only, with the values it had.
    Frozen { successor: StoreKey },
}

/// From where a user signed in, for the list of their sessions.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: String,
}

mod flag {
    pub(super) const PERSISTENT: u16 = 1;
    pub(super) const PREDECESSOR: u16 = 1 << 1;
    pub(super) const REPLACED: u16 = 1 << 2;
    pub(super) const UNDELIVERED: u16 = 1 << 3;
    pub(super) const FROZEN: u16 = 1 << 4;
    pub(super) const USER: u16 = 1 << 5;
    pub(super) const DEVICE: u16 = 1 << 6;
    pub(super) const BOUND_IP: u16 = 1 << 7;
    pub(super) const BOUND_AGENT: u16 = 1 << 8;
    pub(super) const ALL: u16 = (1 << 9) - 1;
}

impl Header {
    /// Returns how long the cookie lives; `None` for as long as the browser runs.
    ///
    /// A persistent cookie lives until the absolute deadline: idleness is the server's to judge.
    pub(crate) fn cookie_lifetime(&self, now: Timestamp) -> Option<Duration> {
        self.persistent.then(|| self.absolute_at.saturating_since(now))
    }

    /// Reports whether this is what a change of id left to PHP, and its time is over.
    pub(crate) fn was_left(&self, now: Timestamp) -> bool {
        self.php.as_ref().is_some_and(|side| side.was_left(now))
    }

    /// Returns until when a change of id keeps a copy for PHP, if it left one.
    pub(crate) fn origin_until(&self) -> Option<Timestamp> {
        self.php.as_ref().and_then(|side| side.origin_until())
    }

    /// Reports whether the session goes on elsewhere, and this is what a change of its key or id left behind.
    pub(crate) fn is_left_behind(&self) -> bool {
        matches!(self.standing, Standing::Frozen { .. }) || self.moved_to().is_some()
    }

    /// Reports whether nobody has noted when the session's id was made.
    pub(crate) fn is_untimed(&self) -> bool {
        self.php.as_ref().is_some_and(|side| side.is_untimed())
    }

    /// Reports whether this is what a change of id left to PHP.
    #[cfg(feature = "php")]
    pub(crate) fn is_copy(&self) -> bool {
        self.php.as_ref().is_some_and(|side| side.left.is_some())
    }

    /// Returns under which key the session goes on, if this is a copy that a rotation left to PHP.
    pub(crate) fn moved_to(&self) -> Option<StoreKey> {
        self.php.as_ref().and_then(|side| side.moved_to())
    }

    /// Returns the key of the copy that a change of id left to PHP, if there may be one.
    pub(crate) fn origin_key(&self) -> Option<StoreKey> {
        self.php.as_ref().and_then(|side| side.origin_key())
    }

    /// Reports whether a change of id left a copy to PHP, into which it may still write.
    #[cfg(feature = "php")]
    pub(crate) fn has_origin(&self, now: Timestamp) -> bool {
        self.php.as_ref().is_some_and(|side| side.has_origin(now))
    }

    /// Returns the bytes that [`encode`] will write.
    pub(super) fn encoded_len(&self) -> usize {
        let standing = match self.standing {
            Standing::Live => 0,
            Standing::Undelivered { .. } => 24,
            Standing::Frozen { .. } => 16,
        };
        let predecessor = self.predecessor.as_ref().map_or(0, |_| 40);
        let user = self.user.as_ref().map_or(0, |user| 2 + user.len());
        let device = self.device.as_ref().map_or(0, |Device { ip, user_agent }| {
            let ip = ip.map_or(0, |ip| if ip.is_ipv4() { 4 } else { 16 });
            1 + ip + 2 + user_agent.len()
        });
        let bound = [self.bound_ip, self.bound_agent].iter().flatten().count() * 8;
        FIXED + predecessor + standing + user + device + bound
    }
}

pub(super) fn flags(header: &Header) -> u16 {
    let standing = match header.standing {
        Standing::Live => 0,
        Standing::Undelivered { .. } => flag::UNDELIVERED,
        Standing::Frozen { .. } => flag::FROZEN,
    };
    let predecessor = header
        .predecessor
        .as_ref()
        .map_or(0, |p| flag::PREDECESSOR | if p.replaced { flag::REPLACED } else { 0 });
    let when = |present: bool, bit: u16| if present { bit } else { 0 };
    standing
        | predecessor
        | when(header.persistent, flag::PERSISTENT)
        | when(header.user.is_some(), flag::USER)
        | when(header.device.is_some(), flag::DEVICE)
        | when(header.bound_ip.is_some(), flag::BOUND_IP)
        | when(header.bound_agent.is_some(), flag::BOUND_AGENT)
}

pub(super) fn encode(header: &Header, writer: &mut Writer) {
    let Header {
        data_tag,
        created_at,
        rotated_at,
        seen_at,
        absolute_at,
        flash_at,
        idle,
        persistent: _,
        secret,
        predecessor,
        standing,
        user,
        device,
        bound_ip,
        bound_agent,
        php: _,
    } = header;
    writer.u64(*data_tag);
    for instant in [created_at, rotated_at, seen_at, absolute_at, flash_at] {
        writer.u64(instant.as_micros());
    }
    writer.u64(u64::try_from(idle.as_micros()).unwrap_or(u64::MAX));
    writer.bytes(&secret.0);
    if let Some(Predecessor { digest, window_ends, successor, replaced: _ }) = predecessor {
        writer.bytes(&digest.0);
        writer.u64(window_ends.as_micros());
        writer.bytes(&successor.0);
    }
    match standing {
        Standing::Live => {}
        Standing::Undelivered { origin, window_ends } => {
            writer.bytes(origin.as_bytes());
            writer.u64(window_ends.as_micros());
        }
        Standing::Frozen { successor } => writer.bytes(successor.as_bytes()),
    }
    if let Some(user) = user {
        writer.text(user);
    }
    if let Some(device) = device {
        encode_device(device, writer);
    }
    for bound in [bound_ip, bound_agent].into_iter().flatten() {
        writer.bytes(bound);
    }
}

fn encode_device(Device { ip, user_agent }: &Device, writer: &mut Writer) {
    match ip {
        None => writer.u8(0),
        Some(IpAddr::V4(ip)) => {
            writer.u8(4);
            writer.bytes(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            writer.u8(6);
            writer.bytes(&ip.octets());
        }
    }
    writer.text(user_agent);
}

pub(super) fn decode(reader: &mut Reader<'_>, flags: u16) -> Option<Header> {
    if flags & !flag::ALL != 0 {
        return None;
    }
    let has = |bit: u16| flags & bit != 0;
    Some(Header {
        data_tag: reader.u64()?,
        created_at: instant(reader)?,
        rotated_at: instant(reader)?,
        seen_at: instant(reader)?,
        absolute_at: instant(reader)?,
        flash_at: instant(reader)?,
        idle: Duration::from_micros(reader.u64()?),
        persistent: has(flag::PERSISTENT),
        secret: SecretDigest(reader.array()?),
        predecessor: when(has(flag::PREDECESSOR), || {
            Some(Predecessor {
                digest: SecretDigest(reader.array()?),
                window_ends: instant(reader)?,
                successor: SealedSecret(reader.array()?),
                replaced: has(flag::REPLACED),
            })
        })?,
        standing: standing(reader, has(flag::UNDELIVERED), has(flag::FROZEN))?,
        user: when(has(flag::USER), || reader.text().map(str::to_owned))?,
        device: when(has(flag::DEVICE), || device(reader))?,
        bound_ip: when(has(flag::BOUND_IP), || reader.array())?,
        bound_agent: when(has(flag::BOUND_AGENT), || reader.array())?,
        php: None,
    })
}

/// Reads a field if it is there; the outer `None` is a damaged record.
fn when<T>(present: bool, read: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    if present { read().map(Some) } else { Some(None) }
}

fn instant(reader: &mut Reader<'_>) -> Option<Timestamp> {
    reader.u64().map(Timestamp::from_micros)
}

fn standing(reader: &mut Reader<'_>, undelivered: bool, frozen: bool) -> Option<Standing> {
    match (undelivered, frozen) {
        (false, false) => Some(Standing::Live),
        (true, false) => Some(Standing::Undelivered {
            origin: StoreKey::from_bytes(reader.array()?),
            window_ends: instant(reader)?,
        }),
        (false, true) => Some(Standing::Frozen { successor: StoreKey::from_bytes(reader.array()?) }),
        (true, true) => None,
    }
}

fn device(reader: &mut Reader<'_>) -> Option<Device> {
    let ip = match reader.u8()? {
        0 => None,
        4 => Some(IpAddr::from(reader.array::<4>()?)),
        6 => Some(IpAddr::from(reader.array::<16>()?)),
        _ => return None,
    };
    Some(Device { ip, user_agent: reader.text()?.to_owned() })
}
