//! Writes the session's cookie, and the one that removes it.

use std::time::Duration;

use crate::policy::{CookieSettings, MAX_COOKIE_LIFETIME};

/// Longest `Set-Cookie` value, in bytes. Browsers keep 4,096 of name, value and attributes (RFC 6265, 6.1), and
/// settings can't make the rest longer than 2,600.
#[cfg(feature = "cookie")]
const MAX_SET_COOKIE: usize = 4_096;

/// Writes `Set-Cookie` values. Made once; the part that never changes is formatted then.
#[derive(Clone, Debug)]
pub(crate) struct CookieWriter {
    name: String,
    /// Everything after the value and its lifetime, from `; Path=` on.
    attributes: String,
}

impl CookieWriter {
    /// Takes settings that have been checked: a policy holds no others.
    pub(crate) fn new(settings: &CookieSettings) -> Self {
        let CookieSettings { name, path, domain, same_site, secure, partitioned } = settings;
        let mut attributes = format!("; Path={path}");
        if let Some(domain) = domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        if *secure {
            attributes.push_str("; Secure");
        }
        // Without SameSite some browsers assume None, so it is always written.
        attributes.push_str("; HttpOnly; SameSite=");
        attributes.push_str(same_site.as_str());
        if *partitioned {
            attributes.push_str("; Partitioned");
        }
        Self { name: name.clone(), attributes }
    }

    /// Returns the name under which the cookie is sent and looked for.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns for how many characters the value has room, so that browsers keep the cookie.
    #[cfg(feature = "cookie")]
    pub(crate) fn room(&self) -> usize {
        let around = self.name.len() + "=; Max-Age=34560000".len() + self.attributes.len();
        MAX_SET_COOKIE - around
    }

    /// Writes a cookie that lives as long as the browser's session, or for a `lifetime`.
    ///
    /// A lifetime is cut to whole seconds and to 400 days, and never to zero, which would remove the
    /// cookie. The value must need no quoting, as a token does not.
    pub(crate) fn issue(&self, value: &str, lifetime: Option<Duration>) -> String {
        debug_assert!(value.bytes().all(is_cookie_octet), "a token is written in characters of a cookie");
        let Self { name, attributes } = self;
        match lifetime {
            None => format!("{name}={value}{attributes}"),
            Some(lifetime) => {
                let seconds = lifetime.min(MAX_COOKIE_LIFETIME).as_secs().max(1);
                format!("{name}={value}; Max-Age={seconds}{attributes}")
            }
        }
    }

    /// Writes the cookie that removes the one that [`issue`](Self::issue) wrote.
    ///
    /// A browser replaces a cookie only by one of the same name, path, domain and partition, and takes a
    /// `__Host-` or `Secure` name only with its attributes (RFC 6265bis 5.7), so all are repeated.
    pub(crate) fn remove(&self) -> String {
        let Self { name, attributes } = self;
        format!("{name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{attributes}")
    }
}

/// RFC 6265, section 4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::SameSite;

    const DAY: Duration = Duration::from_secs(86_400);

    fn hosted() -> CookieSettings {
        CookieSettings {
            name: "__Host-session".into(),
            path: "/".into(),
            domain: None,
            same_site: SameSite::Lax,
            secure: true,
            partitioned: false,
        }
    }

    fn plain() -> CookieSettings {
        CookieSettings { name: "session".into(), secure: false, ..hosted() }
    }

    fn embedded() -> CookieSettings {
        CookieSettings {
            name: "s".into(),
            path: "/app".into(),
            domain: Some("example.org".into()),
            same_site: SameSite::None,
            partitioned: true,
            ..hosted()
        }
    }

    #[track_caller]
    fn check(settings: &CookieSettings, lifetime: Option<Duration>, expected: &str) {
        assert_eq!(CookieWriter::new(settings).issue("v", lifetime), expected);
    }

    #[test]
    fn a_cookie_carries_what_is_configured() {
        check(&hosted(), None, "__Host-session=v; Path=/; Secure; HttpOnly; SameSite=Lax");
        check(&plain(), None, "session=v; Path=/; HttpOnly; SameSite=Lax");
        check(
            &embedded(),
            None,
            "s=v; Path=/app; Domain=example.org; Secure; HttpOnly; SameSite=None; Partitioned",
        );
        let strict = CookieSettings { same_site: SameSite::Strict, ..plain() };
        check(&strict, None, "session=v; Path=/; HttpOnly; SameSite=Strict");
    }

    #[track_caller]
    fn check_max_age(lifetime: Duration, expected: u64) {
        let expected = format!("session=v; Max-Age={expected}; Path=/; HttpOnly; SameSite=Lax");
        check(&plain(), Some(lifetime), &expected);
    }

    #[test]
    fn a_lifetime_is_in_whole_seconds_of_at_most_400_days() {
        check_max_age(Duration::from_millis(1_999), 1);
        check_max_age(DAY, 86_400);
        check_max_age(400 * DAY, 34_560_000);
        check_max_age(401 * DAY, 34_560_000);
        check_max_age(Duration::MAX, 34_560_000);
    }

    #[test]
    fn a_living_cookie_is_never_written_as_a_removal() {
        check_max_age(Duration::from_millis(1), 1);
        check_max_age(Duration::ZERO, 1);
    }

    #[test]
    fn a_removal_repeats_every_attribute() {
        for settings in [hosted(), plain(), embedded()] {
            let writer = CookieWriter::new(&settings);
            let issued = writer.issue("v", Some(DAY));
            let expected = issued
                .replace("=v;", "=;")
                .replace("Max-Age=86400", "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
            assert_eq!(writer.remove(), expected);
        }
    }
}
