//! What layouts that are shared with PHP need to know beside the rest.

use std::time::Duration;

use super::faults::Fault;
use super::{Layout, PhpFormat, PhpIds, Policy, PolicyBuilder};

/// Where the user's name is kept, unless the site has a key of its own for that.
const USER_KEY: &str = "__steadfast_user";

/// What PHP's side has agreed on. Without effect in the native layout.
#[derive(Clone, Debug)]
pub(crate) struct PhpSettings {
    pub(crate) format: PhpFormat,
    pub(crate) ids: PhpIds,
    pub(crate) user_key: String,
    /// How long a browser keeps the cookie; `None` until it ends.
    pub(crate) cookie_lifetime: Option<Duration>,
    pub(crate) regenerate_destroy: bool,
    pub(crate) adopt_unknown_ids: bool,
}

impl Default for PhpSettings {
    fn default() -> Self {
        Self {
            format: PhpFormat::default(),
            ids: PhpIds::of_codeigniter4(),
            user_key: USER_KEY.into(),
            cookie_lifetime: None,
            regenerate_destroy: false,
            adopt_unknown_ids: false,
        }
    }
}

/// # Shared with PHP
///
/// All but [`layout`](Self::layout) are without effect in the native layout.
impl PolicyBuilder {
    /// Sets how PHP writes a session: its `session.serialize_handler`. The default is [`PhpFormat::Php`].
    #[doc(alias = "session.serialize_handler")]
    pub fn php_format(mut self, format: PhpFormat) -> Self {
        self.policy.php.format = format;
        self
    }

    /// Sets which ids are taken, and how a new one looks.
    ///
    /// The default is what the layout's PHP makes: `32x4` for CodeIgniter 4, `32x4,40x4,32x5,27-64x6` for
    /// CodeIgniter 3, `32x4,22-64x6` for PHP. PHP's side must take what the first shape makes: CodeIgniter 3,
    /// and 4 before 4.6, take only the one shape that follows from their `php.ini`. A shape that is not
    /// accepted is a stranger's cookie.
    #[doc(alias = "session.sid_length")]
    #[doc(alias = "session.sid_bits_per_character")]
    pub fn php_ids(mut self, ids: PhpIds) -> Self {
        self.given.php_ids = Some(ids);
        self
    }

    /// Sets the key of the value that says who is signed in, on PHP's side and here.
    ///
    /// The default is `__steadfast_user`, which PHP's programs don't know. With the key that they use,
    /// `user_id` say, a sign-in on either side is one on both.
    pub fn php_user_key(mut self, key: impl Into<String>) -> Self {
        self.policy.php.user_key = key.into();
        self
    }

    /// Sets how long the browser keeps the cookie; `None` until it ends.
    ///
    /// The default is the [idle timeout](Self::idle_timeout) for CodeIgniter, whose `expiration` is both, and
    /// `None` for PHP. At most 400 days: browsers keep no cookie longer.
    #[doc(alias = "session.cookie_lifetime")]
    pub fn cookie_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.given.cookie_lifetime = Some(lifetime.into());
        self
    }

    /// Sets whether a rotation in time ends the record under the old id at once.
    ///
    /// The default is `false`: requests that are on their way with the old id are forwarded until
    /// [`forward_window`](Self::forward_window) is over. With `true` they find nothing, and visitors who open
    /// two pages at once can be signed out, as in CodeIgniter.
    #[doc(alias = "sess_regenerate_destroy")]
    pub fn regenerate_destroy(mut self, destroy: bool) -> Self {
        self.policy.php.regenerate_destroy = destroy;
        self
    }

    /// Sets whether a well-formed id without a record is taken for a new session, as CodeIgniter 4 does.
    ///
    /// The default is `false`: whoever writes into a session gets an id that nobody else has chosen.
    ///
    /// # Security
    ///
    /// Somebody who plants an id of his own in a visitor's browser knows it once the visitor has signed in
    /// without a new one (session fixation). For a live site whose programs choose ids; nothing else needs it.
    pub fn dangerous_adopt_unknown_ids(mut self, adopt: bool) -> Self {
        self.policy.php.adopt_unknown_ids = adopt;
        self
    }
}

impl PhpSettings {
    /// Adds what is wrong with a policy whose layout is shared.
    pub(super) fn check(policy: &Policy, faults: &mut Vec<Fault>) {
        let Self {
            user_key,
            cookie_lifetime,
            format: _,
            ids: _,
            regenerate_destroy: _,
            adopt_unknown_ids: _,
        } = &policy.php;
        if cookie_lifetime.is_some_and(|lifetime| lifetime.is_zero()) {
            let why = "is zero; give it a length, or switch it off for a cookie that ends with the browser";
            faults.push(Fault::new("cookie_lifetime", "0s", why));
        }
        check_user_key(user_key, faults);
        check_cookie_name(&policy.cookie.name, faults);
        check_no_place(policy, faults);
    }
}

/// PHP's formats have no such keys, or the key means something else already.
fn check_user_key(key: &str, faults: &mut Vec<Fault>) {
    let is_taken = key != USER_KEY && crate::layout::is_reserved(key.as_bytes());
    let is_integer = || key.parse::<i64>().is_ok_and(|number| number.to_string() == key);
    if key.is_empty() || key.contains('|') || is_integer() || is_taken {
        let why = "can't be a key of PHP's for this: no `|`, no number, none that CodeIgniter or this library keeps for itself";
        faults.push(Fault::new("php_user_key", key, why));
    }
}

/// PHP refuses to start a session with such a name, and makes `_` of a dot in the cookies that it reads.
fn check_cookie_name(name: &str, faults: &mut Vec<Fault>) {
    if name.contains('.') || (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())) {
        let why = "is no name of a session for PHP: without dots, and with something other than digits";
        faults.push(Fault::new("cookie_name", name, why));
    }
}

/// Refuses what PHP's records have no room for: it would look as if it were in force.
fn check_no_place(policy: &Policy, faults: &mut Vec<Fault>) {
    let layout = policy.layout.as_str();
    let mut refuse = |field: &'static str, why: &str| {
        faults.push(Fault::hidden(field, format!("has no place in the layout `{layout}`: {why}")));
    };
    if policy.match_user_agent {
        refuse("match_user_agent", "PHP's records don't say which browser they belong to");
    }
    match (policy.layout, policy.match_ip) {
        (_, None) | (Layout::CodeIgniter4 | Layout::CodeIgniter3, Some(super::IpMatch::Exact)) => {}
        (Layout::Php, Some(_)) => refuse("match_ip", "PHP's records don't say which address they belong to"),
        (_, Some(_)) => {
            refuse("match_ip", "there the whole address is a part of the name; use `exact` or `off`");
        }
    }
    #[cfg(feature = "json")]
    if policy.codec == super::Codec::Json {
        refuse("codec", "`php_format` says how values are encoded");
    }
    #[cfg(feature = "sealed")]
    if policy.sealing.ring.is_some() {
        refuse("key_ring", "PHP could not open what is sealed");
    }
}
