//! Defaults that depend on other settings, above all on the layout.

use std::time::Duration;

use super::faults::Fault;
use super::{Layout, Policy};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The settings whose defaults depend on others, as far as they were set.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) cookie_name: Option<String>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) absolute_timeout: Option<Duration>,
    pub(super) remember_idle_timeout: Option<Duration>,
    pub(super) remember_absolute_timeout: Option<Duration>,
    pub(super) rotate_every: Option<Option<Duration>>,
    #[cfg(feature = "php")]
    pub(super) php_ids: Option<super::PhpIds>,
    #[cfg(feature = "php")]
    pub(super) cookie_lifetime: Option<Option<Duration>>,
}

/// How long sessions last in a layout.
pub(super) struct Defaults {
    pub(super) idle_timeout: Duration,
    pub(super) absolute_timeout: Duration,
    pub(super) remember_idle_timeout: Duration,
    pub(super) remember_absolute_timeout: Duration,
    pub(super) rotate_every: Option<Duration>,
}

impl Defaults {
    pub(super) const fn of(layout: Layout) -> Self {
        match layout {
            Layout::Native => Self {
                idle_timeout: MINUTE.saturating_mul(30),
                absolute_timeout: HOUR.saturating_mul(12),
                remember_idle_timeout: DAY.saturating_mul(14),
                remember_absolute_timeout: DAY.saturating_mul(90),
                rotate_every: Some(MINUTE.saturating_mul(5)),
            },
            // CodeIgniter's `expiration` and `timeToUpdate`.
            #[cfg(feature = "php")]
            Layout::CodeIgniter4 | Layout::CodeIgniter3 => {
                Self::shared(HOUR.saturating_mul(2), Some(MINUTE.saturating_mul(5)))
            }
            // `session.gc_maxlifetime`; PHP never rotates by itself.
            #[cfg(feature = "php")]
            Layout::Php => Self::shared(MINUTE.saturating_mul(24), None),
        }
    }

    /// PHP's records have no absolute end, and know nobody who asked to be remembered.
    #[cfg(feature = "php")]
    const fn shared(idle_timeout: Duration, rotate_every: Option<Duration>) -> Self {
        Self {
            idle_timeout,
            absolute_timeout: Duration::MAX,
            remember_idle_timeout: idle_timeout,
            remember_absolute_timeout: Duration::MAX,
            rotate_every,
        }
    }
}

impl Given {
    /// Puts what was set into a policy, and the layout's defaults for what was not.
    pub(super) fn settle(self, policy: &mut Policy, faults: &mut Vec<Fault>) {
        #[cfg(feature = "php")]
        if policy.layout != Layout::Native {
            self.check_no_place(policy.layout, faults);
        }
        #[cfg(not(feature = "php"))]
        let _ = faults;
        let defaults = Defaults::of(policy.layout);
        policy.idle_timeout = self.idle_timeout.unwrap_or(defaults.idle_timeout);
        policy.absolute_timeout = self.absolute_timeout.unwrap_or(defaults.absolute_timeout);
        policy.remember_idle_timeout = self.remember_idle_timeout.unwrap_or(defaults.remember_idle_timeout);
        policy.remember_absolute_timeout =
            self.remember_absolute_timeout.unwrap_or(defaults.remember_absolute_timeout);
        policy.rotate_every = self.rotate_every.unwrap_or(defaults.rotate_every);
        policy.cookie.name =
            self.cookie_name.unwrap_or_else(|| policy.cookie.default_name(policy.layout).into());
        #[cfg(feature = "php")]
        settle_php(policy, self.php_ids, self.cookie_lifetime);
    }

    #[cfg(feature = "php")]
    fn check_no_place(&self, layout: Layout, faults: &mut Vec<Fault>) {
        let lengths = [
            ("absolute_timeout", self.absolute_timeout),
            ("remember_idle_timeout", self.remember_idle_timeout),
            ("remember_absolute_timeout", self.remember_absolute_timeout),
        ];
        for (name, _) in lengths.into_iter().filter(|(_, length)| length.is_some()) {
            let why = "PHP's records say only when they were used last; remove it";
            faults.push(Fault::hidden(
                name,
                format!("has no place in the layout `{}`: {why}", layout.as_str()),
            ));
        }
    }
}

#[cfg(feature = "php")]
fn settle_php(policy: &mut Policy, ids: Option<super::PhpIds>, cookie_lifetime: Option<Option<Duration>>) {
    use super::{MAX_COOKIE_LIFETIME, PhpIds};
    let (default_ids, default_lifetime) = match policy.layout {
        Layout::Native => (PhpIds::of_codeigniter4(), None),
        Layout::CodeIgniter4 => (PhpIds::of_codeigniter4(), Some(policy.idle_timeout)),
        Layout::CodeIgniter3 => (PhpIds::of_codeigniter3(), Some(policy.idle_timeout)),
        Layout::Php => (PhpIds::of_php(), None),
    };
    if policy.layout != Layout::Native {
        policy.remember_idle_timeout = policy.idle_timeout;
    }
    policy.php.ids = ids.unwrap_or(default_ids);
    let lifetime = cookie_lifetime.unwrap_or(default_lifetime);
    policy.php.cookie_lifetime = lifetime.map(|lifetime| lifetime.min(MAX_COOKIE_LIFETIME));
}
