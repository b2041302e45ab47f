//! What PHP calls sessions and their locks in Redis and Memcached, and what a lock of this process holds.

use std::fmt;
#[cfg(feature = "redis")]
use std::net::IpAddr;

use super::Site;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Layout;
use crate::random;
use crate::store::{LeaseToken, SharedName, StoreKey};

/// Longest prefix, in bytes. Memcached takes keys of 250, which have room for an id, an address and a suffix.
const LONGEST_PREFIX: usize = 128;

/// What the name of damaged bytes ends with.
const DAMAGED: &str = ":damaged";

/// The names of the keys of a site.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
    lock: Lock,
}

/// Where the name of a lock differs from that of its session.
#[derive(Clone, Copy, Debug)]
enum Lock {
    /// At the end: `:lock` with CodeIgniter, `_LOCK` with phpredis.
    Suffix(&'static str),
    /// Before the id: php-memcached's `lock.`.
    #[cfg(feature = "memcached")]
    BeforeId(&'static str),
}

/// The keys of one session.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) data: String,
    pub(super) lock: String,
}

/// The names open the session, so they are not shown.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place(..)")
    }
}

impl Keys {
    /// Returns the names that PHP's Redis handlers use. A prefix of the site's own replaces the usual one.
    #[cfg(feature = "redis")]
    pub(super) fn in_redis(site: &Site, prefix: Option<&str>) -> Result<Self, String> {
        let lock = match site.layout {
            Layout::Php => Lock::Suffix("_LOCK"),
            _ => Lock::Suffix(":lock"),
        };
        Self::new(site, prefix, "PHPREDIS_SESSION:", lock)
    }

    /// Returns the names that PHP's Memcached handlers use.
    #[cfg(feature = "memcached")]
    pub(super) fn in_memcached(site: &Site, prefix: Option<&str>) -> Result<Self, String> {
        let lock = match site.layout {
            Layout::Php => Lock::BeforeId("lock."),
            _ => Lock::Suffix(":lock"),
        };
        Self::new(site, prefix, "memc.sess.key.", lock)
    }

    fn new(site: &Site, prefix: Option<&str>, of_php: &str, lock: Lock) -> Result<Self, String> {
        let usual = || match site.layout {
            Layout::CodeIgniter4 => format!("ci_session:{}:", site.cookie_name),
            Layout::CodeIgniter3 => "ci_session:".to_owned(),
            Layout::Php | Layout::Native => of_php.to_owned(),
        };
        let prefix = prefix.map_or_else(usual, str::to_owned);
        let fits = (1..=LONGEST_PREFIX).contains(&prefix.len());
        if !fits || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "the prefix of the keys, which has the name of the cookie in it unless it is set, is not 1 to \
                 {LONGEST_PREFIX} visible ASCII characters"
            ));
        }
        Ok(Self { prefix: prefix.into(), lock })
    }

    /// Names the keys of a session.
    pub(super) fn place(&self, name: &SharedName) -> Place {
        let own = match name.ip() {
            Some(ip) => format!("{ip}:{}", name.id()),
            None => name.id().to_owned(),
        };
        let lock = match self.lock {
            Lock::Suffix(suffix) => format!("{}{own}{suffix}", self.prefix),
            #[cfg(feature = "memcached")]
            Lock::BeforeId(infix) => format!("{}{infix}{own}", self.prefix),
        };
        Place { data: format!("{}{own}", self.prefix), lock }
    }

    /// Reads the key of a session; `None` for a lock and whatever else there is.
    #[cfg(feature = "redis")]
    pub(super) fn session(&self, key: &[u8]) -> Option<StoreKey> {
        let own = str::from_utf8(key).ok()?.strip_prefix(&*self.prefix)?;
        if self.is_beside(own) {
            return None;
        }
        let (ip, id) = match own.rsplit_once(':') {
            Some((ip, id)) => (Some(ip.parse::<IpAddr>().ok()?), id),
            None => (None, own),
        };
        Some(SharedName::new(id.as_bytes(), ip)?.key())
    }

    /// Reports whether a name is that of what stands beside a session. An address could end like it.
    #[cfg(feature = "redis")]
    fn is_beside(&self, own: &str) -> bool {
        let is_lock = match self.lock {
            Lock::Suffix(suffix) => own.ends_with(suffix),
            #[cfg(feature = "memcached")]
            Lock::BeforeId(infix) => own.starts_with(infix),
        };
        is_lock || own.ends_with(DAMAGED) || own.ends_with(":settle")
    }

    #[cfg(feature = "redis")]
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns what the hash that chooses a server is taken of: of a name without the prefix where PHP's own
    /// session handler leaves that to its library.
    #[cfg(feature = "memcached")]
    pub(super) fn hashed<'a>(&self, key: &'a str) -> &'a [u8] {
        match self.lock {
            Lock::Suffix(_) => key.as_bytes(),
            Lock::BeforeId(_) => key.strip_prefix(&*self.prefix).unwrap_or(key).as_bytes(),
        }
    }
}

impl Place {
    /// Names where damaged bytes are kept. PHP never looks there, since no id has a colon in it.
    pub(super) fn damaged(&self) -> String {
        format!("{}{DAMAGED}", self.data)
    }
}

/// Returns what PHP knows a record by.
pub(super) fn name_of<'a>(key: &'a StoreKey, driver: &'static str) -> Result<&'a SharedName> {
    key.shared().ok_or_else(|| {
        let message = "a session of a layout that is shared with PHP has an id, and this key has none";
        Error::new(ErrorKind::InvalidConfig, message).in_driver(driver)
    })
}

/// Makes the error of a write that got no lock in time.
pub(super) fn busy(driver: &'static str) -> Error {
    let message = "somebody else held the session's lock for longer than `lock_wait`: a slow PHP page, or one \
                   that was killed and left its lock behind";
    Error::new(ErrorKind::Busy, message).in_driver(driver)
}

/// Who takes the locks: this process, as the values of its locks say.
///
/// PHP looks only whether there is a lock. An operator sees whose it is.
#[derive(Clone, Debug)]
pub(super) struct Owner(Box<str>);

impl Owner {
    pub(super) fn new() -> Self {
        Self(format!("steadfast|{:016x}|", random::unique()).into())
    }

    /// Returns what a lock holds that a lease stands for.
    pub(super) fn value(&self, token: LeaseToken) -> String {
        format!("{}{:016x}", self.0, token.as_u64())
    }

    /// Returns what the values of all locks of this process begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn site(layout: Layout) -> Site {
        let second = Duration::from_secs(1);
        Site { layout, cookie_name: "shop".into(), lifetime: second, lock_wait: second }
    }

    fn name(ip: Option<&str>) -> SharedName {
        SharedName::new(b"abc", ip.map(|ip| ip.parse().expect("an address"))).expect("an id")
    }

    #[track_caller]
    fn check(keys: Result<Keys, String>, ip: Option<&str>, data: &str, lock: &str) {
        let place = keys.expect("a prefix").place(&name(ip));
        assert_eq!((place.data.as_str(), place.lock.as_str()), (data, lock));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn keys_in_redis_are_those_of_php() {
        let keys = |layout| Keys::in_redis(&site(layout), None);
        check(keys(Layout::CodeIgniter4), None, "ci_session:shop:abc", "ci_session:shop:abc:lock");
        let ip = Some("::1");
        check(keys(Layout::CodeIgniter4), ip, "ci_session:shop:::1:abc", "ci_session:shop:::1:abc:lock");
        check(keys(Layout::CodeIgniter3), None, "ci_session:abc", "ci_session:abc:lock");
        check(keys(Layout::Php), None, "PHPREDIS_SESSION:abc", "PHPREDIS_SESSION:abc_LOCK");
        let own = Keys::in_redis(&site(Layout::CodeIgniter4), Some("app:"));
        check(own, Some("10.0.0.1"), "app:10.0.0.1:abc", "app:10.0.0.1:abc:lock");
    }

    #[cfg(feature = "memcached")]
    #[test]
    fn keys_in_memcached_are_those_of_php() {
        let keys = |layout| Keys::in_memcached(&site(layout), None);
        check(keys(Layout::CodeIgniter4), None, "ci_session:shop:abc", "ci_session:shop:abc:lock");
        check(keys(Layout::Php), None, "memc.sess.key.abc", "memc.sess.key.lock.abc");
        let hashed = |layout| {
            let keys = keys(layout).expect("a prefix");
            let place = keys.place(&name(None));
            [&place.data, &place.lock].map(|key| String::from_utf8(keys.hashed(key).to_vec()).expect("ASCII"))
        };
        assert_eq!(hashed(Layout::CodeIgniter3), ["ci_session:abc", "ci_session:abc:lock"]);
        assert_eq!(hashed(Layout::Php), ["abc", "lock.abc"]);
    }

    #[cfg(feature = "redis")]
    #[test]
    fn only_sessions_are_read_back() {
        for (layout, ip) in
            [(Layout::CodeIgniter4, None), (Layout::CodeIgniter3, Some("::1")), (Layout::Php, None)]
        {
            let keys = Keys::in_redis(&site(layout), None).expect("a prefix");
            let place = keys.place(&name(ip));
            assert_eq!(keys.session(place.data.as_bytes()), Some(name(ip).key()));
            for other in [&place.lock, &place.damaged(), "ci_session:", "other:abc", ""] {
                assert_eq!(keys.session(other.as_bytes()), None, "{other}");
            }
        }
        // The sessions of a CodeIgniter 4 beside those of a CodeIgniter 3.
        let old = Keys::in_redis(&site(Layout::CodeIgniter3), None).expect("a prefix");
        assert_eq!(old.session(b"ci_session:shop:abc"), None);
    }

    #[test]
    fn a_prefix_that_no_server_takes_is_refused() {
        for prefix in ["", "a b", "ä", &"p".repeat(129)] {
            assert!(Keys::new(&site(Layout::Php), Some(prefix), "", Lock::Suffix("")).is_err(), "{prefix}");
        }
    }
}
