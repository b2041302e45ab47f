//! Large sessions, many keys, and keys of every kind.

use serde_json::{Value, json};

use crate::http::escaped;
use crate::site::Site;
use crate::store::{Store, on_every_store};

on_every_store! {
    a_session_as_large_as_the_store_takes_is_kept_whole
    a_session_that_is_too_large_is_refused_and_nothing_is_lost
    ten_thousand_keys_are_kept
    keys_may_be_empty_binary_and_a_kilobyte_long
    values_may_be_anything
}

fn a_session_as_large_as_the_store_takes_is_kept_whole(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    let times = store.large() / 10;
    browser.visit(&format!("/set?k=large&v=0123456789&rep={times}"));
    browser.visit("/incr");
    let reply = browser.ask("/get?k=large");
    assert_eq!(reply.json()["v"].as_str().unwrap(), "0123456789".repeat(times));
    let raw = browser.ask("/raw");
    assert!(raw.body.len() > store.large(), "{}", raw.text());
}

fn a_session_that_is_too_large_is_refused_and_nothing_is_lost(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    for path in ["/set?k=large&v=0123456789&rep=2000000", "/push?k=large&v=0123456789&rep=1700000"] {
        let reply = browser.ask(path);
        assert_eq!((reply.status, reply.error().as_str()), (500, "too_large"), "{path}");
        assert_eq!(reply.cookie(), None);
    }
    assert_eq!(browser.visit("/get")["v"], json!({ "a": "1" }));
}

fn ten_thousand_keys_are_kept(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    for batch in 0..10 {
        let keys = (0..1_000).map(|i| (format!("key-{batch}-{i}"), json!(i)));
        let all = Value::Object(keys.collect()).to_string();
        browser.visit(&format!("/set?all={}", encoded(&all)));
    }
    let values = browser.visit("/get")["v"].clone();
    assert_eq!(values.as_object().unwrap().len(), 10_000);
    assert_eq!(values["key-9-999"], 999);
    assert_eq!(browser.visit("/get?k=key-5-500")["v"], 500);
}

/// Escapes only what a request line can't hold, so that a thousand keys fit.
fn encoded(json: &str) -> String {
    json.replace('"', "%22").replace('{', "%7B").replace('}', "%7D")
}

fn keys_may_be_empty_binary_and_a_kilobyte_long(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    let long = "k".repeat(1_024);
    let texts = ["", "a|b", "123", "-1", "a.b.c", "!", "\u{e9}\u{1f36a}", "a b", "__ci_vars", "\0", &long];
    for key in texts {
        let key = escaped(key);
        browser.visit(&format!("/set?k={key}&v=of-{key}"));
    }
    browser.visit("/set?k64=AP8B&v=binary");
    for key in texts {
        let shown = browser.visit(&format!("/get?k={}", escaped(key)));
        assert_eq!(shown, json!({ "k": key, "v": format!("of-{key}") }));
    }
    let binary = browser.visit("/get?k64=AP8B");
    assert_eq!(binary, json!({ "k": { "$bytes": "AP8B" }, "v": "binary" }));
    assert_eq!(browser.visit("/dump")["values"].as_object().unwrap().len(), texts.len() + 1);

    let too_long = browser.ask(&format!("/set?k={long}k&v=1"));
    assert_eq!((too_long.status, too_long.error().as_str()), (500, "too_large"));
    for key in texts {
        browser.visit(&format!("/remove?k={}", escaped(key)));
    }
    browser.visit("/remove?k64=AP8B");
    assert_eq!(browser.visit("/dump")["values"], json!({}));
}

fn values_may_be_anything(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    let values =
        json!({ "n": -1, "f": 1.5, "t": true, "list": [1, "two", null], "map": { "a": { "b": [] } } });
    browser.visit(&format!("/set?all={}", escaped(&values.to_string())));
    browser.visit("/set?k=bytes&v64=AP8B");
    browser.visit("/set?k=null&j=null");
    for (key, value) in values.as_object().unwrap() {
        assert_eq!(browser.visit(&format!("/get?k={key}"))["v"], *value);
    }
    assert_eq!(browser.visit("/get?k=bytes")["v"], json!({ "$bytes": "AP8B" }));
    assert_eq!(browser.visit("/has?k=null")["has"], false, "a null counts as missing");
    assert_eq!(browser.visit("/push?k=cart&v=tea&init=1"), json!({ "v": ["tea"] }));
    assert_eq!(browser.visit("/push?k=cart&v=milk"), json!({ "v": ["tea", "milk"] }));
    assert_eq!(browser.visit("/push?k=map2&v=1&sub=x&init=1"), json!({ "v": { "x": "1" } }));
    let wrong = browser.ask("/incr?k=t");
    assert_eq!((wrong.status, wrong.error().as_str()), (500, "codec"));
}
