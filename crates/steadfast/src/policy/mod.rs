//! What the life cycle obeys: one immutable value, checked as a whole before the first request.

mod builder;
mod choices;
mod cookie;
mod defaults;
mod duration;
mod faults;
#[cfg(feature = "php")]
mod php;
#[cfg(feature = "php")]
mod php_ids;
#[cfg(feature = "sealed")]
mod sealing;

use std::time::Duration;

use crate::client::TrustedProxies;
use crate::rules::Rules;

pub use builder::PolicyBuilder;
#[cfg(feature = "php")]
pub use choices::PhpFormat;
pub use choices::{Codec, Concurrency, IpMatch, Layout, OnServerError};
pub use cookie::SameSite;
pub(crate) use cookie::{CookieSettings, MAX_COOKIE_LIFETIME};
#[cfg(any(feature = "config", feature = "network"))]
pub(crate) use duration::parse as parse_duration;
#[cfg(feature = "config")]
pub(crate) use faults::Fault;
#[cfg(feature = "php")]
pub(crate) use php::PhpSettings;
#[cfg(feature = "php")]
pub use php_ids::PhpIds;
#[cfg(feature = "sealed")]
pub(crate) use sealing::Sealing;

/// A session is touched at most once in this part of its idle timeout: with the default of 30 minutes,
/// every 30 seconds.
///
/// A sixtieth keeps the writes of a busy page rare and the deadline's error below what a person notices.
pub(crate) const TOUCH_FRACTION: u32 = 60;

/// How sessions behave: timeouts, rotation, concurrency, limits, binding, the cookie.
///
/// Immutable, and free of contradictions: [`PolicyBuilder::build`] is the only way to one, and it checks
/// all settings together. The settings and their defaults are described at the [`PolicyBuilder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Concurrency, Policy};
///
/// # fn main() -> Result<(), steadfast::Error> {
/// let policy = Policy::builder()
///     .idle_timeout(Duration::from_secs(15 * 60))
///     .concurrency(Concurrency::Merge)
///     .build()?;
/// # drop(policy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) layout: Layout,
    pub(crate) idle_timeout: Duration,
    pub(crate) absolute_timeout: Duration,
    pub(crate) remember_idle_timeout: Duration,
    pub(crate) remember_absolute_timeout: Duration,
    pub(crate) rotate_every: Option<Duration>,
    pub(crate) forward_window: Duration,
    pub(crate) concurrency: Concurrency,
    pub(crate) lock_wait: Duration,
    pub(crate) lease: Duration,
    pub(crate) lease_max: Duration,
    pub(crate) on_server_error: OnServerError,
    pub(crate) codec: Codec,
    pub(crate) temp_ttl: Duration,
    pub(crate) max_record_bytes: usize,
    pub(crate) max_keys: usize,
    pub(crate) max_key_bytes: usize,
    pub(crate) max_cookie_bytes: usize,
    pub(crate) match_ip: Option<IpMatch>,
    pub(crate) match_user_agent: bool,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) cookie: CookieSettings,
    #[cfg(feature = "sealed")]
    pub(crate) sealing: Sealing,
    #[cfg(feature = "php")]
    pub(crate) php: PhpSettings,
    pub(crate) store_deadline: Duration,
    pub(crate) breaker_failures: u32,
    pub(crate) breaker_pause: Duration,
    pub(crate) node: Option<String>,
    pub(crate) rules: Rules,
}

/// How large a session may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) record_bytes: usize,
    pub(crate) keys: usize,
    pub(crate) key_bytes: usize,
    /// PHP's programs read the keys, too.
    #[cfg(feature = "php")]
    pub(crate) shared: bool,
}

impl Policy {
    /// Starts from the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Returns whose cookies, names, locks and bytes the sessions have.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns how overlapping requests of one session share it, where a handler does not say.
    #[must_use]
    pub fn concurrency(&self) -> Concurrency {
        self.concurrency
    }

    /// Returns the name of this node, if it has one.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Returns what calls to a store across a network may cost.
    pub(crate) fn guard(&self) -> crate::store::guard::Limits {
        crate::store::guard::Limits {
            deadline: self.store_deadline,
            break_after: self.breaker_failures,
            break_pause: self.breaker_pause,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            record_bytes: self.max_record_bytes,
            keys: self.max_keys,
            key_bytes: self.max_key_bytes,
            #[cfg(feature = "php")]
            shared: self.layout != Layout::Native,
        }
    }

    /// Returns the idle and the absolute timeout of a session.
    pub(crate) fn lifetimes(&self, persistent: bool) -> (Duration, Duration) {
        if persistent {
            (self.remember_idle_timeout, self.remember_absolute_timeout)
        } else {
            (self.idle_timeout, self.absolute_timeout)
        }
    }
}

impl Default for Policy {
    /// Makes the policy of a [`PolicyBuilder`] that nothing was set on.
    fn default() -> Self {
        Self::builder().build().expect("the defaults fit together")
    }
}

#[cfg(test)]
mod tests;
