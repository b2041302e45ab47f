//! What the session's cookie looks like, and the settings that decide it.

use std::fmt;
use std::time::Duration;

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

/// The attributes of the session's cookie, as the policy has settled them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieSettings {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) secure: bool,
    pub(crate) partitioned: bool,
}
