//! What the session's cookie looks like, and the settings that decide it.

use std::fmt;
use std::time::Duration;

use super::{Layout, PolicyBuilder};

/// Longest lifetime of a cookie: 400 days, in seconds. Browsers cut longer ones to it (RFC 6265bis 5.5).
pub(crate) const MAX_COOKIE_LIFETIME: Duration = Duration::from_secs(34_560_000);

/// On which requests from other sites the browser sends the cookie.
///
/// The set is closed: it is the one of the cookie standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SameSite {
    /// On navigations by link only, not on posted forms, frames or fetches. The default.
    #[default]
    Lax,
    /// On none; a visitor who follows a link from another site arrives without a session.
    Strict,
    /// On all. Needs `Secure`, and other sites can then make requests in the visitor's name.
    None,
}

impl SameSite {
    /// Returns the word as it stands in the cookie: `Lax`, `Strict` or `None`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

impl fmt::Display for SameSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The attributes of the session's cookie. `HttpOnly` is none of them: it is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieSettings {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) secure: bool,
    pub(crate) partitioned: bool,
}

impl CookieSettings {
    /// Returns the name that the layout's PHP uses, or the one with the strongest prefix whose conditions the
    /// other attributes meet.
    ///
    /// A browser takes a cookie with such a name from nobody who does not meet them, so a sibling host or
    /// a plain-HTTP page can't plant one.
    pub(super) fn default_name(&self, layout: Layout) -> &'static str {
        match (layout, self.secure, self.path == "/" && self.domain.is_none()) {
            (Layout::Native, true, true) => "__Host-session",
            (Layout::Native, true, false) => "__Secure-session",
            (Layout::Native, false, _) => "session",
            #[cfg(feature = "php")]
            (Layout::CodeIgniter4 | Layout::CodeIgniter3, ..) => "ci_session",
            #[cfg(feature = "php")]
            (Layout::Php, ..) => "PHPSESSID",
        }
    }
}

/// # The cookie
impl PolicyBuilder {
    /// Sets the name of the session's cookie.
    ///
    /// The default is `__Host-session`; `__Secure-session` with a domain or a path of its own; `session`
    /// where the cookie is insecure. In the layouts of CodeIgniter it is `ci_session`, in PHP's `PHPSESSID`. A
    /// name that is set is used as it is, and may start with one of the prefixes only if their conditions are
    /// met.
    #[doc(alias = "sessionCookieName")]
    #[doc(alias = "sess_cookie_name")]
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.given.cookie_name = Some(name.into());
        self
    }

    /// Sets the path below which the browser sends the cookie.
    ///
    /// The default is `/`. A path keeps no other application on the same host from reading the cookie.
    #[doc(alias = "cookiePath")]
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.policy.cookie.path = path.into();
        self
    }

    /// Sets the domain with all whose hosts the cookie is shared.
    ///
    /// None by default: only the host that set the cookie gets it.
    #[doc(alias = "cookieDomain")]
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.policy.cookie.domain = Some(domain.into());
        self
    }

    /// Sets on which requests from other sites the browser sends the cookie.
    ///
    /// The default is [`SameSite::Lax`].
    #[doc(alias = "cookieSameSite")]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.policy.cookie.same_site = same_site;
        self
    }

    /// Keeps a separate cookie for each site in which this one is embedded (`Partitioned`, CHIPS).
    pub fn partitioned(mut self) -> Self {
        self.policy.cookie.partitioned = true;
        self
    }

    /// Keeps one cookie for all sites in which this one is embedded. The default.
    pub fn unpartitioned(mut self) -> Self {
        self.policy.cookie.partitioned = false;
        self
    }

    /// Lets the browser send the cookie over HTTPS only. The default.
    #[doc(alias = "cookieSecure")]
    #[doc(alias = "sess_secure")]
    pub fn secure_cookie(mut self) -> Self {
        self.policy.cookie.secure = true;
        self
    }

    /// Lets the browser send the cookie over plain HTTP.
    ///
    /// # Security
    ///
    /// Anyone on the way can then read the cookie and take the session over. Meant for development on a
    /// machine of one's own. It is never decided by looking at a request, because behind a proxy every
    /// request looks like plain HTTP from next door.
    pub fn dangerous_insecure_cookie(mut self) -> Self {
        self.policy.cookie.secure = false;
        self
    }
}
