//! Requests that are under way while their session ends: nothing comes back to life.

use serde_json::Value;

use crate::site::{Browser, Site, in_both_modes};
use crate::store::{Store, on_every_store};

on_every_store! {
    nothing_revives_a_session_that_was_destroyed
    nothing_revives_a_session_that_was_signed_out
    nothing_revives_a_session_that_was_revoked
    nothing_revives_a_session_that_was_revoked_by_its_own_request
    who_waits_for_a_session_that_ends_is_a_stranger
    what_was_there_before_the_end_is_gone_in_the_same_request
}

fn nothing_revives_a_session_that_was_destroyed(store: Store) {
    in_both_modes(|mode| {
        end_under_load(store, mode, |_, browser| assert_eq!(browser.ask("/destroy").status, 200));
    });
}

fn nothing_revives_a_session_that_was_signed_out(store: Store) {
    in_both_modes(|mode| {
        end_under_load(store, mode, |_, browser| assert_eq!(browser.ask("/logout").status, 200));
    });
}

fn nothing_revives_a_session_that_was_revoked(store: Store) {
    in_both_modes(|mode| {
        end_under_load(store, mode, |site, _| {
            let mut other = site.browser();
            other.visit("/login?u=alice");
            assert_eq!(other.visit("/revoke_all")["revoked"], 2);
        });
    });
}

fn nothing_revives_a_session_that_was_revoked_by_its_own_request(store: Store) {
    end_under_load(store, "merge", |_, browser| {
        assert_eq!(browser.ask("/revoke_all").json()["revoked"], 1);
    });
}

/// Ends a session while three requests work on it, and looks for anything that lives.
fn end_under_load(store: Store, mode: &str, end: impl FnOnce(&Site, &Browser<'_>)) {
    let site = Site::start(store, &format!("--concurrency {mode} --lock-wait 30"));
    let mut browser = site.browser();
    browser.visit("/login?u=alice");
    browser.visit("/incr");
    let paths = ["/incr?sleep=150", "/whoami?sleep=150", "/hold?ms=150", "/set?k=late&v=1&sleep=150"];
    let before = site.nodes[0].count("loaded");
    let under_way: Vec<_> = paths.iter().map(|path| browser.send_to(0, path, &[])).collect();
    // Where handlers take turns, one of them works, and the others wait for it.
    let at_work = if mode == "merge" { paths.len() } else { 1 };
    site.nodes[0].await_events("loaded", before + at_work);
    end(&site, &browser);
    for (path, pending) in paths.iter().zip(under_way) {
        let reply = pending.reply().unwrap();
        let cookie = reply.cookie().filter(|cookie| !cookie.ends_with('='));
        // A write of a request that waited for its turn until the session was over begins a fresh one.
        let fresh = mode == "exclusive" && reply.status == 200;
        assert!(cookie.is_none() || fresh, "{path}: {}", reply.text());
        assert!([200, 409].contains(&reply.status), "{path}: {}", reply.text());
        if let Some(fresh) = cookie {
            let stranger = site.browser_with(fresh.to_owned());
            assert_eq!(stranger.ask("/whoami").json()["user"], Value::Null, "{path}");
        }
    }
    assert_dead(&browser);
    browser.cookie = None;
    browser.visit("/login?u=alice");
    let listed = browser.visit("/sessions")["sessions"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1, "only the session that asks: {listed}");
}

fn assert_dead(browser: &Browser<'_>) {
    assert_eq!(browser.ask("/whoami").json()["user"], Value::Null);
    assert_eq!(browser.ask("/get").json()["v"], serde_json::json!({}));
    let raw = browser.ask("/raw");
    assert_eq!((raw.status, raw.error().as_str()), (409, "missing"));
}

fn who_waits_for_a_session_that_ends_is_a_stranger(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    let before = site.nodes[0].count("loaded");
    let ends = browser.send_to(0, "/destroy?sleep=300", &[]);
    site.nodes[0].await_events("loaded", before + 1);
    let waiter = browser.ask("/get?k=a");
    assert_eq!((waiter.status, waiter.cookie()), (200, None));
    assert_eq!(waiter.json()["v"], Value::Null);
    assert!(ends.reply().unwrap().cookie().unwrap().ends_with('='), "who ended it removes the cookie");
    assert_dead(&browser);
}

fn what_was_there_before_the_end_is_gone_in_the_same_request(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    let old = browser.clone();
    browser.visit("/destroythenset");
    assert_ne!(browser.cookie, old.cookie);
    assert_eq!(browser.visit("/get")["v"], serde_json::json!({ "late": 1 }));
    assert_dead(&old);
    browser.visit("/destroy");
    assert_eq!(browser.cookie, None);
}
