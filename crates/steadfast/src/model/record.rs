//! A record of the model, and the real header that it stands for.

use std::time::Duration;

use super::numbers::{digest, number_of, number_of_key, sealed, store_key};
use crate::record::{Header, Predecessor, Standing};
use crate::time::Timestamp;

/// A step of the model's clock.
pub(super) const TICK: Duration = Duration::from_secs(1);

pub(super) fn instant(tick: u8) -> Timestamp {
    Timestamp::EPOCH + TICK * u32::from(tick)
}

pub(super) fn tick(instant: Timestamp) -> u8 {
    u8::try_from(instant.as_secs()).expect("few ticks")
}

/// What a store holds under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    pub(super) rotated_at: u8,
    pub(super) secret: u8,
    pub(super) predecessor: Option<Before>,
    pub(super) standing: Stands,
    /// One bit for each write that there is in it.
    pub(super) values: u16,
    /// Who is signed in: nobody, a user, a user who proved it twice.
    pub(super) level: u8,
    /// When the store's deadline ends it, if it was moved; the idle time is longer than any run.
    pub(super) expires: Option<u8>,
}

/// The secret before the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Before {
    pub(super) secret: u8,
    pub(super) window_ends: u8,
    pub(super) replaced: bool,
}

/// [`Standing`], with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stands {
    Live,
    Undelivered { origin: u8, window_ends: u8 },
    Frozen { successor: u8 },
}

impl Stored {
    /// A record as it is created.
    pub(super) fn new(secret: u8, now: u8) -> Self {
        Self {
            rotated_at: now,
            secret,
            predecessor: None,
            standing: Stands::Live,
            values: 0,
            level: 0,
            expires: None,
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.standing, Stands::Frozen { .. })
    }

    /// The header that the protocol's functions get.
    pub(super) fn header(&self) -> Header {
        let predecessor = self.predecessor.map(|before| Predecessor {
            digest: digest(before.secret),
            window_ends: instant(before.window_ends),
            successor: sealed(before.secret, self.secret),
            replaced: before.replaced,
        });
        Header {
            data_tag: 0,
            created_at: Timestamp::EPOCH,
            rotated_at: instant(self.rotated_at),
            seen_at: Timestamp::EPOCH,
            absolute_at: Timestamp::MAX,
            flash_at: Timestamp::EPOCH,
            idle: Duration::MAX,
            persistent: false,
            secret: digest(self.secret),
            predecessor,
            standing: self.standing.real(),
            user: None,
            device: None,
            bound_ip: None,
            bound_agent: None,
            php: None,
        }
    }

    /// The same record with a header that the protocol's functions made.
    pub(super) fn with(&self, header: &Header) -> Self {
        let predecessor = header.predecessor.as_ref().map(|before| Before {
            secret: number_of(before.digest),
            window_ends: tick(before.window_ends),
            replaced: before.replaced,
        });
        let rotated_at = tick(header.rotated_at);
        let standing = Stands::of(header.standing);
        Self { rotated_at, secret: number_of(header.secret), predecessor, standing, ..*self }
    }
}

impl Stands {
    fn real(self) -> Standing {
        match self {
            Self::Live => Standing::Live,
            Self::Undelivered { origin, window_ends } => {
                Standing::Undelivered { origin: store_key(origin), window_ends: instant(window_ends) }
            }
            Self::Frozen { successor } => Standing::Frozen { successor: store_key(successor) },
        }
    }

    fn of(standing: Standing) -> Self {
        match standing {
            Standing::Live => Self::Live,
            Standing::Undelivered { origin, window_ends } => {
                Self::Undelivered { origin: number_of_key(origin), window_ends: tick(window_ends) }
            }
            Standing::Frozen { successor } => Self::Frozen { successor: number_of_key(successor) },
        }
    }
}
