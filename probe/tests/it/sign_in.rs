//! Sign-in: under parallel requests, with lost and reordered responses, and the list of sessions.

use serde_json::{Value, json};

use crate::site::{Browser, Site, parallel};
use crate::store::{Store, on_every_store};

on_every_store! {
    a_sign_in_under_fifty_requests_shows_and_loses_nothing
    a_merged_sign_in_under_fifty_requests_shows_and_loses_nothing
    a_sign_in_whose_response_was_lost_is_repeated
    a_double_click_ends_signed_in_whichever_response_comes_last
    the_sessions_of_a_user_are_listed_and_revoked
}

fn a_sign_in_under_fifty_requests_shows_and_loses_nothing(store: Store) {
    sign_in_under_load(&Site::start(store, "--lock-wait 30"));
}

fn a_merged_sign_in_under_fifty_requests_shows_and_loses_nothing(store: Store) {
    sign_in_under_load(&Site::start(store, "--concurrency merge"));
}

fn sign_in_under_load(site: &Site) {
    let mut browser = site.browser();
    browser.visit("/set?k=cart&v=book");
    let before = browser.clone();
    let replies = parallel(51, |i| match i % 3 {
        _ if i == 25 => ("login", before.ask("/login?u=alice&sleep=5")),
        0 => ("whoami", before.ask("/whoami?sleep=3")),
        1 => ("get", before.ask("/get?sleep=3")),
        _ => ("set", before.ask(&format!("/set?k=key-{i}&v=1&sleep=3"))),
    });
    let mut written = Vec::new();
    for (i, (what, reply)) in replies.iter().enumerate() {
        match *what {
            "login" => {
                assert_eq!(reply.json()["user"], "alice");
                browser.keep(reply);
                continue;
            }
            "whoami" => assert_eq!(reply.json()["user"], Value::Null, "{}", reply.text()),
            "get" => assert_eq!(reply.json()["v"]["logged_in"], Value::Null, "{}", reply.text()),
            _ if reply.status == 200 => written.push(format!("key-{i}")),
            _ => assert_eq!((reply.status, reply.error().as_str()), (409, "superseded")),
        }
        assert_eq!(reply.cookie(), None, "{what} with the cookie from before sets and clears none");
    }
    assert_eq!(browser.visit("/whoami")["user"], "alice");
    let values = browser.visit("/get")["v"].clone();
    assert_eq!(values["cart"], "book");
    for key in written {
        assert_eq!(values[&key], "1", "an acknowledged write went with the session: {key}");
    }
    assert_eq!(before.ask("/whoami").json()["user"], Value::Null);
}

fn a_sign_in_whose_response_was_lost_is_repeated(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=cart&v=book");
    let lost = browser.ask("/login?u=alice");
    assert!(lost.cookie().is_some());
    assert_eq!(browser.visit("/whoami")["user"], Value::Null, "nobody is told a successor");
    browser.visit("/login?u=alice");
    assert_ne!(browser.cookie.as_deref(), lost.cookie());
    assert_eq!(browser.visit("/whoami")["user"], "alice");
    assert_eq!(browser.visit("/get?k=cart")["v"], "book");
}

fn a_double_click_ends_signed_in_whichever_response_comes_last(store: Store) {
    for reversed in [false, true] {
        let site = Site::start(store, "");
        let mut browser = site.browser();
        browser.visit("/set?k=cart&v=book");
        let mut replies = parallel(2, |_| browser.ask("/login?u=alice&sleep=5"));
        if reversed {
            replies.reverse();
        }
        for reply in &replies {
            assert_eq!(reply.status, 200, "{}", reply.text());
            browser.keep(reply);
        }
        assert_eq!(browser.visit("/whoami")["user"], "alice", "reversed: {reversed}");
        assert_eq!(browser.visit("/get?k=cart")["v"], "book");
    }
}

fn the_sessions_of_a_user_are_listed_and_revoked(store: Store) {
    let site = Site::start(store, "");
    let mut devices = [site.browser(), site.browser(), site.browser()];
    for device in &mut devices {
        device.visit("/login?u=alice");
        device.visit("/whoami");
    }
    let [phone, laptop, tablet] = &mut devices;
    let listed = phone.visit("/sessions")["sessions"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(listed.as_array().unwrap().iter().filter(|info| info["current"] == true).count(), 1);
    assert_eq!(listed[0]["ip"], "127.0.0.1");

    assert_eq!(phone.visit("/revoke_others"), json!({ "revoked": 2 }));
    assert_eq!(user(laptop), Value::Null);
    assert_eq!(user(tablet), Value::Null);
    assert_eq!(user(phone), "alice");
    laptop.visit("/login?u=alice");
    assert_eq!(phone.visit("/revoke_all")["revoked"], 2);
    assert_eq!(user(phone), Value::Null);
    assert_eq!(user(laptop), Value::Null);
    assert_eq!(phone.visit("/sessions"), json!({ "sessions": [] }));
}

fn user(browser: &Browser<'_>) -> Value {
    browser.ask("/whoami").json()["user"].clone()
}
