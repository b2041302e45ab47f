//! The settings of a policy, one method each. What they may be is checked in `faults`.

use std::time::Duration;

use super::defaults::{Defaults, Given};
use super::faults::{self, Fault};
use super::{Codec, Concurrency, CookieSettings, IpMatch, Layout, OnServerError, Policy, SameSite};
use crate::client::{Cidr, ProxyHeader, TrustedProxies};
use crate::error::Result;
use crate::rules::Rules;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The settings of a [`Policy`]. No method fails; [`build`](Self::build) reports all faults at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast::Policy;
///
/// let error = Policy::builder()
///     .idle_timeout(Duration::from_secs(7_200))
///     .absolute_timeout(Duration::from_secs(3_600))
///     .temp_ttl(Duration::ZERO)
///     .build()
///     .unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`idle_timeout` (2h) is longer than `absolute_timeout` (1h)\n\
///      `temp_ttl` (0s) is zero; give it a length",
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    pub(super) policy: Policy,
    /// What was set of that which has no default of its own.
    pub(super) given: Given,
    /// What was wrong with settings before they could be applied.
    faults: Vec<Fault>,
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        let Defaults {
            idle_timeout,
            absolute_timeout,
            remember_idle_timeout,
            remember_absolute_timeout,
            rotate_every,
        } = Defaults::of(Layout::default());
        let policy = Policy {
            layout: Layout::default(),
            idle_timeout,
            absolute_timeout,
            remember_idle_timeout,
            remember_absolute_timeout,
            rotate_every,
            forward_window: MINUTE,
            concurrency: Concurrency::default(),
            lock_wait: 10 * SECOND,
            lease: 5 * SECOND,
            lease_max: MINUTE,
            on_server_error: OnServerError::default(),
            codec: Codec::default(),
            temp_ttl: 5 * MINUTE,
            max_record_bytes: 16 * 1_024 * 1_024,
            max_keys: 65_536,
            max_key_bytes: 1_024,
            max_cookie_bytes: 8_000,
            match_ip: None,
            match_user_agent: false,
            trusted_proxies: TrustedProxies::default(),
            cookie: CookieSettings {
                name: String::new(),
                path: "/".into(),
                domain: None,
                same_site: SameSite::default(),
                secure: true,
                partitioned: false,
            },
            #[cfg(feature = "sealed")]
            sealing: super::Sealing::default(),
            #[cfg(feature = "php")]
            php: super::PhpSettings::default(),
            store_deadline: 2 * SECOND,
            breaker_failures: 5,
            breaker_pause: SECOND,
            node: None,
            rules: Rules::ALL,
        };
        Self { policy, given: Given::default(), faults: Vec::new() }
    }
}

/// # The layout
impl PolicyBuilder {
    /// Sets whose cookies, names, locks and bytes the sessions have.
    ///
    /// The default is [`Layout::Native`]. In another one the sessions are those of CodeIgniter or PHP, which may
    /// work on them at the same time, and what their records have no room for is refused: absolute timeouts and
    /// those of remembered visitors, a key ring, JSON, the match of `User-Agent` or a part of the address.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.policy.layout = layout;
        self
    }
}

/// # A store across a network
impl PolicyBuilder {
    /// Sets how long a call to the store may take, a second try included, until it fails with
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// The default is 2 seconds. The driver's own time-outs for connecting and answering are shorter, so that
    /// there is time for the second try. Embedded drivers don't look at it.
    pub fn store_deadline(mut self, deadline: Duration) -> Self {
        self.policy.store_deadline = deadline;
        self
    }

    /// Sets how many calls in a row must fail slowly until the store is not asked for a moment.
    ///
    /// The default is 5. Zero switches the circuit breaker off. A failure that takes less than 50 ms does not
    /// count: it costs a request nothing that a breaker could save.
    pub fn breaker_failures(mut self, failures: u32) -> Self {
        self.policy.breaker_failures = failures;
        self
    }

    /// Sets for how long calls then fail at once, with [`Unavailable`](crate::ErrorKind::Unavailable), until
    /// one of them tries whether the store is back.
    ///
    /// The default is 1 second.
    pub fn breaker_pause(mut self, pause: Duration) -> Self {
        self.policy.breaker_pause = pause;
        self
    }
}

/// # How long a session lasts
impl PolicyBuilder {
    /// Sets how long a session may stay unused before it ends.
    ///
    /// The default is 30 minutes, what OWASP advises for applications of low risk at most; 2 hours in the
    /// layouts of CodeIgniter and 24 minutes in PHP's, as there. Not longer than
    /// [`absolute_timeout`](Self::absolute_timeout).
    #[doc(alias = "expiration")]
    #[doc(alias = "sessionExpiration")]
    #[doc(alias = "sess_expiration")]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.given.idle_timeout = Some(timeout);
        self
    }

    /// Sets how long a session may last altogether, however much it is used.
    ///
    /// The default is 12 hours: a working day, and what NIST SP 800-63B-4 asks for at its highest level.
    /// At most 400 days. Layouts that are shared with PHP have none: its records have no room for it.
    #[doc(alias = "sess_timeout")]
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.given.absolute_timeout = Some(timeout);
        self
    }

    /// Sets the idle timeout of a session whose visitor asked to be remembered.
    ///
    /// The default is 14 days. Not longer than
    /// [`remember_absolute_timeout`](Self::remember_absolute_timeout).
    pub fn remember_idle_timeout(mut self, timeout: Duration) -> Self {
        self.given.remember_idle_timeout = Some(timeout);
        self
    }

    /// Sets the absolute timeout of a session whose visitor asked to be remembered, which is also the
    /// lifetime of its cookie.
    ///
    /// The default is 90 days. At most 400 days: browsers keep no cookie longer.
    pub fn remember_absolute_timeout(mut self, timeout: Duration) -> Self {
        self.given.remember_absolute_timeout = Some(timeout);
        self
    }

    /// Sets how long a temporary value lasts that was stored without a lifetime of its own.
    ///
    /// The default is 5 minutes, as in CodeIgniter.
    pub fn temp_ttl(mut self, ttl: Duration) -> Self {
        self.policy.temp_ttl = ttl;
        self
    }
}

/// # Rotation
impl PolicyBuilder {
    /// Sets the age at which a secret is rotated, by the next request that takes a
    /// [`Session`](crate::Session); `None` switches it off.
    ///
    /// The default is 5 minutes, as in CodeIgniter, and `None` in PHP's layout. A secret whose direct
    /// predecessor is still good is not rotated, so with a shorter time than
    /// [`forward_window`](Self::forward_window) that one decides. A change of privilege rotates in any case.
    #[doc(alias = "timeToUpdate")]
    #[doc(alias = "sessionTimeToUpdate")]
    #[doc(alias = "sess_time_to_update")]
    pub fn rotate_every(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.given.rotate_every = Some(age.into());
        self
    }

    /// Sets how long the direct predecessor of a rotated secret stays good for requests that were on their
    /// way.
    ///
    /// The default is 60 seconds. It stays good beyond that until its successor has been presented once,
    /// because the response that carried it may have been lost.
    ///
    /// In a layout that is shared with PHP it is how long a copy of the session is kept under the old id, and
    /// for one more window at a time while PHP goes on with that; see `docs/layouts/README.md`.
    #[doc(alias = "regenerateDestroy")]
    #[doc(alias = "sessionRegenerateDestroy")]
    pub fn forward_window(mut self, window: Duration) -> Self {
        self.policy.forward_window = window;
        self
    }
}

/// # Requests at the same time
impl PolicyBuilder {
    /// Sets how overlapping requests of one session share it, where a handler does not say.
    ///
    /// The default is [`Concurrency::Exclusive`].
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.policy.concurrency = concurrency;
        self
    }

    /// Sets how long a request waits for the one before it, until it fails with
    /// [`Busy`](crate::ErrorKind::Busy).
    ///
    /// The default is 10 seconds. Zero tries once. Shorter than [`lease`](Self::lease) means that requests
    /// fail while they wait for a holder that has crashed.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.policy.lock_wait = wait;
        self
    }

    /// Sets how long a session is held for a handler without a renewal.
    ///
    /// The default is 5 seconds: a crashed holder costs the next request at most this. A running handler
    /// renews in time, up to [`lease_max`](Self::lease_max).
    pub fn lease(mut self, lease: Duration) -> Self {
        self.policy.lease = lease;
        self
    }

    /// Sets how long a session is held for one handler altogether.
    ///
    /// The default is 60 seconds. A handler that works on is not stopped; if another request wrote
    /// meanwhile, its own write is [`Stale`](crate::ErrorKind::Stale).
    pub fn lease_max(mut self, lease: Duration) -> Self {
        self.policy.lease_max = lease;
        self
    }

    /// Sets what becomes of the changes when the handler answers with a status of 500 or above.
    ///
    /// The default is [`OnServerError::Commit`]. A handler that panics commits nothing in either case.
    pub fn on_server_error(mut self, choice: OnServerError) -> Self {
        self.policy.on_server_error = choice;
        self
    }
}

/// # What is stored
impl PolicyBuilder {
    /// Sets how the values of new records are encoded.
    ///
    /// The default is [`Codec::MessagePack`].
    pub fn codec(mut self, codec: Codec) -> Self {
        self.policy.codec = codec;
        self
    }

    /// Sets how large a record may be, in bytes.
    ///
    /// The default is 16 MiB. A commit of more fails with [`TooLarge`](crate::ErrorKind::TooLarge), and so
    /// does a load.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.policy.max_record_bytes = bytes;
        self
    }

    /// Sets how many keys a session may hold.
    ///
    /// The default is 65,536.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.policy.max_keys = keys;
        self
    }

    /// Sets how many bytes of a request the cookies of one session may take, where sessions travel in cookies.
    ///
    /// The default is 8,000: of a `Cookie` header, many servers and proxies take 8,192 bytes and answer a longer
    /// one with 400 or 431. From 1,024 to 32,768. A commit of more fails with
    /// [`TooLarge`](crate::ErrorKind::TooLarge).
    pub fn max_cookie_bytes(mut self, bytes: usize) -> Self {
        self.policy.max_cookie_bytes = bytes;
        self
    }

    /// Sets how long one key may be, in bytes.
    ///
    /// The default is 1,024.
    pub fn max_key_bytes(mut self, bytes: usize) -> Self {
        self.policy.max_key_bytes = bytes;
        self
    }
}

/// # Whom a session belongs to
impl PolicyBuilder {
    /// Binds a session to the address of the client that began it; `None` does not.
    ///
    /// The default is `None`. A request from elsewhere is a stranger's. The address is the peer's, or what
    /// a [trusted proxy](Self::trusted_proxies) says.
    #[doc(alias = "sessionMatchIP")]
    #[doc(alias = "sess_match_ip")]
    pub fn match_ip(mut self, part: impl Into<Option<IpMatch>>) -> Self {
        self.policy.match_ip = part.into();
        self
    }

    /// Binds a session to the `User-Agent` of the client that began it. Off by default: browsers change
    /// theirs with every update.
    #[doc(alias = "sess_match_useragent")]
    pub fn match_user_agent(mut self) -> Self {
        self.policy.match_user_agent = true;
        self
    }

    /// Lets a session go on under another `User-Agent`. The default.
    pub fn ignore_user_agent(mut self) -> Self {
        self.policy.match_user_agent = false;
        self
    }

    /// Sets the networks of the proxies in front of this server, and the header in which they say whom
    /// they speak for.
    ///
    /// The default is none: the address of a client is the one that connected. Name one header, the one
    /// that every proxy of yours writes: they pass the other one on as the client sent it.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::{Policy, ProxyHeader};
    ///
    /// # fn main() -> Result<(), steadfast::Error> {
    /// let proxies = ["10.0.0.0/8".parse()?, "::1".parse()?];
    /// let policy = Policy::builder().trusted_proxies(proxies, ProxyHeader::XForwardedFor).build()?;
    /// # drop(policy);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "proxyIPs")]
    #[doc(alias = "sess_forwarded_ip")]
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = Cidr>, header: ProxyHeader) -> Self {
        self.policy.trusted_proxies = TrustedProxies { networks: networks.into_iter().collect(), header };
        self
    }

    /// Sets the name of this node as logs and metrics show it. None by default.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.policy.node = Some(name.into());
        self
    }
}

/// # The end
impl PolicyBuilder {
    /// Checks all settings together and makes the policy.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](crate::ErrorKind::InvalidConfig). The message names every setting at
    /// fault, its value and what to do, one a line.
    pub fn build(mut self) -> Result<Policy> {
        self.given.settle(&mut self.policy, &mut self.faults);
        faults::check(&self.policy, &mut self.faults);
        if self.faults.is_empty() { Ok(self.policy) } else { Err(faults::refuse(&self.faults)) }
    }
}

/// # Without protection
#[cfg(feature = "dangerous-protocol")]
impl PolicyBuilder {
    /// Breaks the protocol on purpose: for tests, and for showing what goes wrong without its rules.
    ///
    /// # Security
    ///
    /// With any rule off, sessions lose writes, sign people out, or come back from the dead.
    pub fn dangerous_rules(mut self, rules: Rules) -> Self {
        self.policy.rules = rules;
        self
    }
}

/// What only settings from a file or the environment need.
#[cfg(feature = "config")]
impl PolicyBuilder {
    /// Adds a fault that [`build`](Self::build) reports with its own.
    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Sets the networks and leaves the header.
    pub(crate) fn proxy_networks(mut self, networks: Vec<Cidr>) -> Self {
        self.policy.trusted_proxies.networks = networks;
        self
    }

    /// Sets the header and leaves the networks.
    pub(crate) fn proxy_header(mut self, header: ProxyHeader) -> Self {
        self.policy.trusted_proxies.header = header;
        self
    }
}
