//! The cookies of a [`TestBrowser`](super::TestBrowser): RFC 6265bis as far as one site needs it.

use std::fmt;

/// The cookies of one site, which is reached by HTTPS.
#[derive(Clone, Default)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Clone)]
struct Cookie {
    name: String,
    value: String,
    domain: Option<String>,
    path: String,
    persistent: bool,
}

impl Jar {
    /// Does what a `Set-Cookie` header says: sets, replaces or removes a cookie, or ignores it.
    pub(super) fn apply(&mut self, set_cookie: &str) {
        let Some(Parsed { cookie, removes }) = parse(set_cookie) else { return };
        // Only a cookie of the same name, domain and path is replaced (RFC 6265bis 5.7).
        let same = |old: &Cookie| {
            (&old.name, &old.domain, &old.path) == (&cookie.name, &cookie.domain, &cookie.path)
        };
        match self.0.iter().position(same) {
            Some(at) if removes => drop(self.0.remove(at)),
            Some(at) => self.0[at] = cookie,
            None if removes => {}
            None => self.0.push(cookie),
        }
    }

    /// Returns the `Cookie` header for a path; `None` if no cookie is sent.
    pub(super) fn header(&self, path: &str) -> Option<String> {
        let mut sent: Vec<_> = self.0.iter().filter(|cookie| cookie.is_sent_to(path)).collect();
        // Longer paths come first (RFC 6265bis 5.8.3).
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Returns the value of a cookie.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value.as_str())
    }

    /// Returns all cookies, as a `Cookie` header lists them.
    pub(super) fn all(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }

    /// Forgets the cookies that live only as long as the browser runs.
    pub(super) fn forget_unless_persistent(&mut self) {
        self.0.retain(|cookie| cookie.persistent);
    }
}

/// Shows the names and no value: any of them may be a secret.
impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|cookie| &cookie.name)).finish()
    }
}

impl Cookie {
    /// RFC 6265bis 5.1.4.
    fn is_sent_to(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&self.path) else { return false };
        rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
    }
}

struct Parsed {
    cookie: Cookie,
    removes: bool,
}

/// Reads a `Set-Cookie` header; `None` for one that a browser ignores.
fn parse(set_cookie: &str) -> Option<Parsed> {
    let mut parts = set_cookie.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        domain: None,
        path: "/".to_owned(),
        persistent: false,
    };
    let (mut max_age, mut expires, mut secure) = (None, None, false);
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match attribute.trim().to_ascii_lowercase().as_str() {
            "domain" => cookie.domain = Some(value.trim_start_matches('.').to_ascii_lowercase()),
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
            "expires" => expires = Some(value.to_owned()),
            "secure" => secure = true,
            _ => {}
        }
    }
    let is_ours_alone = secure && cookie.domain.is_none() && cookie.path == "/";
    let refused = (cookie.name.starts_with("__Host-") && !is_ours_alone)
        || (cookie.name.starts_with("__Secure-") && !secure);
    if refused {
        return None;
    }
    cookie.persistent = max_age.is_some() || expires.is_some();
    // `Max-Age` wins over `Expires` (RFC 6265bis 5.7). Of dates only the usual one of a removal counts.
    let removes = max_age.map_or_else(|| expires.is_some_and(|date| date.contains("1970")), |age| age <= 0);
    Some(Parsed { cookie, removes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(set_cookies: &[&str], expected: &str) {
        let mut jar = Jar::default();
        for set_cookie in set_cookies {
            jar.apply(set_cookie);
        }
        assert_eq!(jar.all(), expected);
    }

    #[test]
    fn a_cookie_is_set_and_replaced_by_name() {
        check(&["a=1; Path=/; HttpOnly", "b=2", "a=3; Path=/"], "a=3; b=2");
    }

    #[test]
    fn a_removal_removes() {
        check(&["a=1", "a=; Max-Age=0"], "");
        check(&["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "");
        check(&["a=; Max-Age=0"], "");
    }

    #[test]
    fn a_removal_with_another_path_or_domain_removes_nothing() {
        check(&["a=1; Path=/shop", "a=; Max-Age=0; Path=/"], "a=1");
        check(&["a=1; Domain=example.org", "a=; Max-Age=0"], "a=1");
    }

    #[test]
    fn a_prefixed_cookie_is_taken_only_with_its_attributes() {
        check(&["__Host-a=1; Path=/"], "");
        check(&["__Host-a=1; Path=/; Secure; Domain=example.org"], "");
        check(&["__Host-a=1; Path=/; Secure"], "__Host-a=1");
        check(&["__Host-a=1; Path=/; Secure", "__Host-a=; Max-Age=0; Path=/"], "__Host-a=1");
        check(&["__Secure-a=1"], "");
    }

    #[test]
    fn a_cookie_is_sent_below_its_path_the_most_specific_first() {
        let mut jar = Jar::default();
        for set_cookie in ["a=1", "a=2; Path=/shop"] {
            jar.apply(set_cookie);
        }
        assert_eq!(jar.header("/").as_deref(), Some("a=1"));
        assert_eq!(jar.header("/shopping").as_deref(), Some("a=1"));
        assert_eq!(jar.header("/shop/cart").as_deref(), Some("a=2; a=1"));
    }

    #[test]
    fn a_persistent_cookie_outlives_the_browser() {
        let mut jar = Jar::default();
        jar.apply("a=1");
        jar.apply("b=2; Max-Age=60");
        jar.forget_unless_persistent();
        assert_eq!(jar.all(), "b=2");
    }
}
