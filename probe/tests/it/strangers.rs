//! Cookies that open nothing: malformed, oversized, duplicate, foreign, dead.

use serde_json::Value;

use crate::http;
use crate::site::{Browser, Site};
use crate::store::{Store, on_every_store};

on_every_store! {
    a_visitor_who_writes_nothing_gets_nothing
    a_cookie_that_was_never_issued_is_not_adopted
    cookies_of_any_shape_do_no_harm
    duplicate_cookies_open_what_only_one_of_them_opens
    a_session_is_bound_to_the_user_agent_where_that_is_set
}

fn a_visitor_who_writes_nothing_gets_nothing(store: Store) {
    let site = Site::start(store, "");
    let paths = ["/none", "/touch", "/get", "/view?k=a", "/has?k=a", "/remove?k=a", "/wipe", "/take?k=a"];
    let more = ["/whoami", "/poll", "/meta", "/dump", "/rotate", "/destroy", "/logout", "/hold?ms=1"];
    for path in paths.iter().chain(&more) {
        let reply = site.browser().ask(path);
        assert_eq!((reply.status, reply.cookie()), (200, None), "{path}");
    }
    assert_eq!(site.count("created"), 0);
}

fn a_cookie_that_was_never_issued_is_not_adopted(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=mine");
    let token = browser.token().to_owned();
    let name = browser.cookie.as_deref().unwrap().split_once('=').unwrap().0.to_owned();
    let half = token.len() / 2;
    let swapped: String = token.chars().rev().collect();
    let forged = [
        "A".repeat(token.len()),
        swapped,
        // The right key with a wrong secret, and the other way round.
        format!("{}{}", &token[..half], "A".repeat(token.len() - half)),
        format!("{}{}", "A".repeat(half), &token[half..]),
    ];
    for value in forged {
        let stranger = site.browser_with(format!("{name}={value}"));
        let reply = stranger.ask("/get?k=a");
        assert_eq!((reply.json()["v"].clone(), reply.cookie()), (Value::Null, None));
        let begun = stranger.ask("/set?k=a&v=theirs");
        assert_ne!(begun.cookie().unwrap(), format!("{name}={value}"));
    }
    assert_eq!(browser.visit("/get?k=a")["v"], "mine");
}

fn cookies_of_any_shape_do_no_harm(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    let (name, token) = browser.cookie.as_deref().unwrap().split_once('=').unwrap();
    let shapes = [
        format!("{name}="),
        name.to_owned(),
        format!("{name}={}", "A".repeat(60_000)),
        format!("{name}={token}A"),
        format!("{name}={}", &token[..token.len() - 1]),
        format!("{name}=%00%ff"),
        format!("{name}[]={token}"),
        format!("{}={token}", name.to_uppercase()),
        format!("x{name}={token}"),
        ";;;===;;".to_owned(),
        format!("{name}=\u{e9}"),
        format!("{name}={token} ; {name}={token}"),
    ];
    let last = shapes.len() - 1;
    for (i, shape) in shapes.into_iter().enumerate() {
        let reply = site.browser_with(shape).ask("/get?k=a");
        let expected = if i == last { Value::from("1") } else { Value::Null };
        assert_eq!((reply.status, reply.cookie()), (200, None), "shape {i}");
        assert_eq!(reply.json()["v"], expected, "shape {i}");
    }
    let quoted = site.browser_with(format!("a=b; {name}=\"{token}\"; c=d"));
    assert_eq!(quoted.ask("/get?k=a").status, 200);
    let amid = site.browser_with(format!("a=b; {name}={token}; c=d"));
    assert_eq!(amid.ask("/get?k=a").json()["v"], "1");
}

fn duplicate_cookies_open_what_only_one_of_them_opens(store: Store) {
    let site = Site::start(store, "");
    let (mut one, mut other, mut dead) = (site.browser(), site.browser(), site.browser());
    one.visit("/set?k=a&v=one");
    other.visit("/set?k=a&v=other");
    dead.visit("/set?k=a&v=dead");
    dead.ask("/destroy");
    let both = |first: &Browser<'_>, second: &Browser<'_>| {
        let cookie = [first, second].map(|browser| browser.cookie.clone().unwrap()).join("; ");
        site.browser_with(cookie).ask("/get?k=a").json()["v"].clone()
    };
    assert_eq!(both(&dead, &one), "one");
    assert_eq!(both(&one, &dead), "one");
    assert_eq!(both(&one, &other), Value::Null, "two sessions are none");
    assert_eq!(site.count("two_sessions"), 1);
    let (name, token) = dead.cookie.as_deref().unwrap().split_once('=').unwrap();
    let many = (0..500).map(|i| format!("{name}={i:0>len$}; ", len = token.len())).collect();
    let crowd = site.browser_with(many);
    assert_eq!(crowd.ask("/get?k=a").json()["v"], Value::Null);
    assert_eq!(site.count("too_many_cookies"), 1);
}

fn a_session_is_bound_to_the_user_agent_where_that_is_set(store: Store) {
    let site = Site::start(store, "--match-user-agent --match-ip --trust-proxy 127.0.0.0/8");
    let mut browser = site.browser();
    let from = |browser: &Browser<'_>, agent: &str, ip: &str, path: &str| {
        let headers = [("user-agent", agent), ("x-forwarded-for", ip)];
        browser.ask_with(path, &headers)
    };
    let begun = from(&browser, "one", "192.0.2.1", "/set?k=a&v=1");
    browser.keep(&begun);
    assert_eq!(from(&browser, "one", "192.0.2.1", "/get?k=a").json()["v"], "1");
    assert_eq!(from(&browser, "two", "192.0.2.1", "/get?k=a").json()["v"], Value::Null);
    assert_eq!(from(&browser, "one", "192.0.2.2", "/get?k=a").json()["v"], Value::Null);
    assert_eq!((site.count("other_agent"), site.count("other_address")), (1, 1));
    let nobody = http::send(site.nodes[0].address, "/none", &[]).unwrap().reply().unwrap();
    assert_eq!(nobody.header("vary"), None, "who takes no session is not marked as private");
}
