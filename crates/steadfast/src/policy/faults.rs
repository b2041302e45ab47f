//! What is wrong with settings: every fault, with its value and what to do.
//!
//! Refused is what can't work, not what is unwise.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::duration::show;
use super::{CookieSettings, IpMatch, Layout, MAX_COOKIE_LIFETIME, Policy, SameSite};
use crate::error::{Error, ErrorKind};

/// Longest cookie name, in bytes: together with a value of 3,800 it stays below the 4,096 that browsers
/// store.
const MAX_COOKIE_NAME: usize = 256;
/// Longest attribute, in bytes. Browsers ignore a longer one (RFC 6265bis 5.6).
const MAX_ATTRIBUTE: usize = 1_024;
/// Longest name of a node, in bytes: it stands in every log line and metric.
const MAX_NODE: usize = 128;

/// One setting that can't work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    field: Cow<'static, str>,
    value: Option<String>,
    why: Cow<'static, str>,
}

impl Fault {
    /// Says why a field can't have this value. The value is shown, so it must not be a secret.
    pub(crate) fn new(
        field: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { value: Some(value.to_string()), ..Self::hidden(field, why) }
    }

    /// Says why a field can't have a value that is not shown.
    pub(crate) fn hidden(field: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), value: None, why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, why } = self;
        // Escaped, so that a name or a value with a line break can't pass for another fault.
        let field = field.escape_debug();
        match value {
            Some(value) => write!(f, "`{field}` ({}) {why}", value.escape_debug()),
            None => write!(f, "`{field}` {why}"),
        }
    }
}

/// Makes the error that lists the faults, one a line.
pub(super) fn refuse(faults: &[Fault]) -> Error {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    Error::new(ErrorKind::InvalidConfig, lines.join("\n"))
}

/// Adds everything that is wrong with a policy.
pub(super) fn check(policy: &Policy, faults: &mut Vec<Fault>) {
    check_timeouts(policy, faults);
    check_zeros(policy, faults);
    check_limits(policy, faults);
    check_binding(policy, faults);
    check_cookie(&policy.cookie, faults);
    #[cfg(feature = "sealed")]
    policy.sealing.check(faults);
    #[cfg(feature = "php")]
    if policy.layout != Layout::Native {
        super::PhpSettings::check(policy, faults);
    }
}

fn check_timeouts(policy: &Policy, faults: &mut Vec<Fault>) {
    let mut at_most = |name: &'static str, value: Duration, limit_name: &str, limit: Duration| {
        if value > limit {
            let why = format!("is longer than `{limit_name}` ({})", show(limit));
            faults.push(Fault::new(name, show(value), why));
        }
    };
    at_most("idle_timeout", policy.idle_timeout, "absolute_timeout", policy.absolute_timeout);
    at_most(
        "remember_idle_timeout",
        policy.remember_idle_timeout,
        "remember_absolute_timeout",
        policy.remember_absolute_timeout,
    );
    // The first lease alone would break the promise of the second setting.
    at_most("lease", policy.lease, "lease_max", policy.lease_max);

    if policy.layout != Layout::Native {
        return; // There is no absolute end; the cookie has a lifetime of its own.
    }
    let absolute = [
        ("absolute_timeout", policy.absolute_timeout),
        ("remember_absolute_timeout", policy.remember_absolute_timeout),
    ];
    for (name, value) in absolute {
        if value > MAX_COOKIE_LIFETIME {
            faults.push(Fault::new(name, show(value), "is longer than browsers keep a cookie (400d)"));
        }
    }
}

fn check_zeros(policy: &Policy, faults: &mut Vec<Fault>) {
    // A session, a value or a lease of no length is over before it begins. Without a forward window a
    // rotation would sign parallel requests out. A zero `lock_wait` has a meaning: try once.
    let lengths = [
        ("idle_timeout", policy.idle_timeout),
        ("absolute_timeout", policy.absolute_timeout),
        ("remember_idle_timeout", policy.remember_idle_timeout),
        ("remember_absolute_timeout", policy.remember_absolute_timeout),
        ("forward_window", policy.forward_window),
        ("lease", policy.lease),
        ("lease_max", policy.lease_max),
        ("temp_ttl", policy.temp_ttl),
        ("store_deadline", policy.store_deadline),
        ("breaker_pause", policy.breaker_pause),
    ];
    for (name, value) in lengths {
        if value.is_zero() {
            faults.push(Fault::new(name, show(value), "is zero; give it a length"));
        }
    }
    if policy.rotate_every == Some(Duration::ZERO) {
        faults.push(Fault::new("rotate_every", "0s", "is zero; give it a length, or switch it off"));
    }
}

fn check_limits(policy: &Policy, faults: &mut Vec<Fault>) {
    let Policy { max_record_bytes, max_keys, max_key_bytes, .. } = policy;
    let limits =
        [("max_record_bytes", *max_record_bytes), ("max_keys", *max_keys), ("max_key_bytes", *max_key_bytes)];
    for (name, value) in limits {
        if value == 0 {
            faults.push(Fault::new(name, value, "is zero: no session could hold a value"));
        }
        // MessagePack and the record's own header count in 32 bits.
        if u32::try_from(value).is_err() {
            faults.push(Fault::new(name, value, "is more than a record can count (4294967295)"));
        }
    }
    if !(1_024..=32_768).contains(&policy.max_cookie_bytes) {
        let why = "is not from 1024 to 32768: fewer hold no session, and no server takes more";
        faults.push(Fault::new("max_cookie_bytes", policy.max_cookie_bytes, why));
    }
    if max_key_bytes > max_record_bytes {
        let why = format!("is more than `max_record_bytes` ({max_record_bytes})");
        faults.push(Fault::new("max_key_bytes", max_key_bytes, why));
    }
}

fn check_binding(policy: &Policy, faults: &mut Vec<Fault>) {
    if let Some(IpMatch::Prefix { v4, v6 }) = policy.match_ip {
        if v4 > 32 {
            faults.push(Fault::new("match_ip", v4, "has more bits than an IPv4 address (32)"));
        }
        if v6 > 128 {
            faults.push(Fault::new("match_ip", v6, "has more bits than an IPv6 address (128)"));
        }
    }
    for network in policy.trusted_proxies.networks.iter().filter(|network| network.is_everything()) {
        let why = "trusts everybody, so any client could claim any address; name your proxies' networks";
        faults.push(Fault::new("trusted_proxies", network, why));
    }
    if let Some(node) = &policy.node
        && (node.is_empty() || node.len() > MAX_NODE || node.chars().any(char::is_control))
    {
        faults.push(Fault::new("node", node, "must be 1 to 128 bytes without control characters"));
    }
}

fn check_cookie(cookie: &CookieSettings, faults: &mut Vec<Fault>) {
    check_name(cookie, faults);
    check_prefix(cookie, faults);
    check_path(&cookie.path, faults);
    if let Some(domain) = &cookie.domain {
        check_domain(domain, faults);
    }
    if !cookie.secure && cookie.same_site == SameSite::None {
        faults.push(Fault::new("same_site", cookie.same_site, "needs a secure cookie: browsers drop others"));
    }
    if !cookie.secure && cookie.partitioned {
        faults.push(Fault::new("partitioned", true, "needs a secure cookie: browsers drop others"));
    }
}

fn check_name(CookieSettings { name, .. }: &CookieSettings, faults: &mut Vec<Fault>) {
    if name.is_empty() || !name.bytes().all(is_token) {
        let why = "is no cookie name: use letters, digits and !#$%&'*+-.^_`|~ (RFC 6265)";
        faults.push(Fault::new("cookie_name", name, why));
    }
    if name.len() > MAX_COOKIE_NAME {
        faults.push(Fault::new("cookie_name", name, "is longer than 256 bytes"));
    }
}

/// Checks what a browser checks before it takes a cookie with a prefix, in any case of letters.
fn check_prefix(cookie: &CookieSettings, faults: &mut Vec<Fault>) {
    let CookieSettings { name, path, domain, secure, .. } = cookie;
    let starts_with =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let host = starts_with("__Host-");
    if !secure && (host || starts_with("__Secure-") || starts_with("__Http-")) {
        faults.push(Fault::new("cookie_name", name, "has a prefix that needs a secure cookie"));
    }
    if host && (path != "/" || domain.is_some()) {
        let why = "has the prefix `__Host-`, which needs `cookie_path` \"/\" and no `cookie_domain`";
        faults.push(Fault::new("cookie_name", name, why));
    }
}

fn check_path(path: &str, faults: &mut Vec<Fault>) {
    let visible = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b';' | b',');
    if !path.starts_with('/') || !path.bytes().all(visible) || path.len() > MAX_ATTRIBUTE {
        let why = "must start with `/` and hold at most 1024 ASCII characters, no `;` and no `,`";
        faults.push(Fault::new("cookie_path", path, why));
    }
}

fn check_domain(domain: &str, faults: &mut Vec<Fault>) {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if domain.len() > MAX_ATTRIBUTE || !domain.split('.').all(is_label) {
        let why = "is no host name: write it as `example.org`, without a dot at either end, \
                   international names in their `xn--` form";
        faults.push(Fault::new("cookie_domain", domain, why));
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
