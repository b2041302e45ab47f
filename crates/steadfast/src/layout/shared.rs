//! What a policy's layout says about cookie, id and session.

use std::net::IpAddr;
use std::time::Duration;

use super::forwarding::own;
use super::{Left, PhpSide, is_reserved};
use crate::codec::Encoding;
use crate::codec::php::check_key;
use crate::policy::{Layout, MAX_COOKIE_LIFETIME, PhpFormat, PhpIds, PhpSettings, Policy};
use crate::record::Values;
use crate::store::{SharedName, StoreKey};
use crate::time::Timestamp;
use crate::token::{Key, Token};

/// A layout that is shared with PHP.
#[derive(Debug)]
pub(crate) struct PhpLayout {
    pub(super) format: PhpFormat,
    pub(super) ids: PhpIds,
    /// The key whose value names the user who is signed in.
    pub(super) user_key: Box<[u8]>,
    /// How long an unused session lives.
    pub(super) lifetime: Duration,
    /// How long cookies live; `None` for as long as the browser runs.
    pub(super) cookie_lifetime: Option<Duration>,
    /// Whether each session has the time of its last change of id.
    pub(super) writes_time: bool,
    /// Whether ids change in time, more than once in a lifetime.
    rotates: bool,
    /// Whether the client's address is a part of the record's name.
    ip_in_name: bool,
    /// Whether a rotation in time ends the old id at once.
    pub(crate) ends_old_ids: bool,
    /// Whether an id of which there is no session becomes that of a new one.
    adopts_ids: bool,
}

impl PhpLayout {
    /// Takes what a policy says; `None` if its layout is the native one.
    pub(crate) fn new(policy: &Policy) -> Option<Self> {
        if policy.layout == Layout::Native {
            return None;
        }
        let PhpSettings { format, ids, user_key, cookie_lifetime, regenerate_destroy, adopt_unknown_ids } =
            policy.php.clone();
        Some(Self {
            format,
            ids,
            user_key: user_key.into_bytes().into(),
            lifetime: policy.idle_timeout,
            cookie_lifetime,
            writes_time: policy.layout != Layout::Php || policy.rotate_every.is_some(),
            rotates: policy.rotate_every.is_some_and(|every| every < policy.idle_timeout),
            ip_in_name: policy.match_ip.is_some(),
            ends_old_ids: regenerate_destroy,
            adopts_ids: adopt_unknown_ids,
        })
    }

    /// Returns how values are written.
    pub(crate) fn encoding(&self) -> Encoding {
        Encoding::Php(self.format)
    }

    /// Reads the value of a cookie; `None` unless it has a shape that ids have here.
    pub(crate) fn token(&self, cookie: &[u8], ip: Option<IpAddr>) -> Option<Token> {
        // PHP percent-encodes cookies, and ids may have a comma.
        let id = String::from_utf8(cookie.to_vec()).ok()?.replace("%2C", ",").replace("%2c", ",");
        let accepted = self.ids.accepts(id.as_bytes());
        let name = SharedName::new(id.as_bytes(), self.ip_of(ip)).filter(|_| accepted)?;
        Some(Token::shared(name))
    }

    /// Makes a token for a session that does not exist yet.
    pub(crate) fn fresh_token(&self, ip: Option<IpAddr>) -> Token {
        let id = self.ids.fresh();
        Token::shared(
            SharedName::new(id.as_bytes(), self.ip_of(ip)).expect("ids are made in the shape of ids"),
        )
    }

    /// Makes the token under which a session goes on here: the same id, if it could be one here.
    pub(crate) fn token_after(&self, token: &Token, ip: Option<IpAddr>) -> Token {
        let kept = match &token.key {
            Key::Shared(name) if self.ids.accepts(name.id().as_bytes()) => Some(name.id().to_owned()),
            _ => None,
        };
        let id = kept.unwrap_or_else(|| self.ids.spelled(*token.id_seed()));
        let ip = match &token.key {
            Key::Shared(name) => name.ip().or(ip),
            Key::Own(_) => ip,
        };
        Token::shared(
            SharedName::new(id.as_bytes(), self.ip_of(ip)).expect("ids are made in the shape of ids"),
        )
    }

    /// Makes the token under which a session of this layout goes on in the native one.
    pub(crate) fn native_token(&self, token: &Token) -> Token {
        match &token.key {
            Key::Shared(name) => Token::moved_from(name),
            Key::Own(_) => token.clone(),
        }
    }

    /// Reports whether sessions of another layout have the same bytes as those of this one.
    pub(crate) fn writes_as(&self, other: &Self) -> bool {
        (self.format, &self.user_key) == (other.format, &other.user_key)
    }

    /// Reports whether the application's values may have such a key here.
    pub(crate) fn carries(&self, key: &[u8]) -> bool {
        !is_reserved(key) && check_key(self.format, key).is_ok()
    }

    /// Returns what the header of a session that moves here has beside that of others.
    pub(crate) fn moved_side(
        &self,
        key: &StoreKey,
        values: &Values,
        csrf: Option<[u8; 16]>,
        frozen_until: Option<Timestamp>,
    ) -> PhpSide {
        PhpSide {
            own: own(key),
            // Where the application's own value names the user, it stays as it is.
            user_read: self.own_user(values),
            left: frozen_until.map(|until| Left { to: None, until }),
            csrf,
            ..self.fresh_side()
        }
    }

    /// Reports whether an id of which there is no session becomes that of a new one.
    pub(crate) fn adopts_ids(&self) -> bool {
        self.adopts_ids
    }

    /// Returns what the header of a new session has beside that of others.
    pub(crate) fn fresh_side(&self) -> PhpSide {
        PhpSide { is_timed: self.writes_time, ..PhpSide::default() }
    }

    /// Returns how long the cookie lives; `None` for as long as the browser runs.
    ///
    /// As long as an unused session, as PHP's does, because it is sent anew with each new id. Where ids don't
    /// change, it would end under a visitor who comes every day; then idleness is the server's to judge.
    pub(crate) fn cookie_lifetime(&self) -> Option<Duration> {
        self.cookie_lifetime.map(|lifetime| if self.rotates { lifetime } else { MAX_COOKIE_LIFETIME })
    }

    fn ip_of(&self, ip: Option<IpAddr>) -> Option<IpAddr> {
        ip.filter(|_| self.ip_in_name)
    }
}
