//! Many requests of one session at once, on two processes where the store allows it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::site::{Site, parallel};
use crate::store::{Store, on_every_store};

/// Long enough for two hundred handlers in a row on a slow machine.
const PATIENT: &str = "--lock-wait 50";

on_every_store! {
    two_hundred_naive_increments_one_after_another_all_count
    two_hundred_merged_increments_all_count
    fifty_keys_set_at_once_are_all_kept
    a_value_that_is_read_once_is_read_by_one_request
    a_request_waits_for_the_one_before_it_and_sees_what_it_did
    a_view_waits_for_nobody
    a_node_that_is_never_idle_leaves_others_their_turn
}

fn two_hundred_naive_increments_one_after_another_all_count(store: Store) {
    let site = Site::start(store, PATIENT);
    count_to_two_hundred(&site, "/incr?sleep=5");
}

fn two_hundred_merged_increments_all_count(store: Store) {
    let site = Site::start(store, "--concurrency merge");
    count_to_two_hundred(&site, "/update?sleep=5");
}

fn count_to_two_hundred(site: &Site, path: &str) {
    let mut browser = site.browser();
    browser.visit("/set?k=begun&v=1");
    let replies = parallel(200, |_| browser.ask(path));
    let failed: Vec<_> = replies.iter().filter(|r| r.status != 200).map(|r| r.text()).collect();
    assert_eq!(failed, [""; 0]);
    assert_eq!(browser.visit("/get?k=n")["v"], 200);
    assert!(replies.iter().all(|reply| reply.cookie().is_none()), "an unchanged secret is not sent again");
}

#[test]
fn increments_all_count_with_every_option_of_the_drivers() {
    let options = [
        (Store::FILES, "durability=fsync"),
        (Store::FILES, "io=pool"),
        (Store::FILES, "durability=fsync&io=pool"),
        (Store::SQLITE, "durability=fsync"),
    ];
    for (store, options) in options {
        let site = Site::with_options(store, options, PATIENT);
        let mut browser = site.browser();
        browser.visit("/incr");
        let replies = parallel(40, |i| browser.ask(if i % 2 == 0 { "/incr" } else { "/update" }).status);
        assert_eq!(replies, [200; 40], "{store:?} {options}");
        assert_eq!(browser.visit("/get?k=n")["v"], 41, "{store:?} {options}");
    }
}

fn fifty_keys_set_at_once_are_all_kept(store: Store) {
    for mode in ["exclusive", "merge"] {
        let site = Site::start(store, &format!("{PATIENT} --concurrency {mode}"));
        let mut browser = site.browser();
        browser.visit("/set?k=begun&v=1");
        let replies = parallel(50, |i| browser.ask(&format!("/set?k=key-{i}&v={i}&sleep=2")).status);
        assert_eq!(replies, [200; 50], "{mode}");
        let values = browser.visit("/get")["v"].clone();
        for i in 0..50 {
            assert_eq!(values[format!("key-{i}")], json!(i.to_string()), "{mode}");
        }
    }
}

fn a_value_that_is_read_once_is_read_by_one_request(store: Store) {
    for mode in ["exclusive", "merge"] {
        let site = Site::start(store, &format!("{PATIENT} --concurrency {mode}"));
        let mut browser = site.browser();
        browser.visit("/set?k=link&v=once");
        let replies = parallel(20, |_| browser.ask("/take?k=link&sleep=2"));
        let got = replies.iter().filter(|reply| reply.status == 200 && reply.json()["v"] == "once").count();
        assert_eq!(got, 1, "{mode}");
        let others: BTreeSet<_> = replies.iter().map(|reply| reply.status).collect();
        assert!(others.is_subset(&BTreeSet::from([200, 409])), "{mode}: {others:?}");
        assert_eq!(browser.visit("/has?k=link")["has"], false);
    }
}

fn a_request_waits_for_the_one_before_it_and_sees_what_it_did(store: Store) {
    let site = Site::start(store, PATIENT);
    let mut browser = site.browser();
    browser.visit("/set?k=begun&v=1");
    let before = site.nodes[0].count("loaded");
    let first = browser.send_to(0, "/incr?sleep=300", &[]);
    site.nodes[0].await_events("loaded", before + 1);
    let second = browser.ask("/incr").json();
    assert_eq!(first.reply().unwrap().json()["n"], 1);
    assert_eq!(second["n"], 2);
    assert!(second["wait_ms"].as_f64().unwrap() > 100.0, "{second}");
}

fn a_view_waits_for_nobody(store: Store) {
    let site = Site::start(store, PATIENT);
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    let before = site.nodes[0].count("loaded");
    let held = browser.send_to(0, "/hold?ms=60000", &[]);
    site.nodes[0].await_events("loaded", before + 1);
    for _ in 0..4 {
        assert_eq!(browser.ask("/view?k=a").json()["v"], "1");
    }
    drop(held);
}

fn a_node_that_is_never_idle_leaves_others_their_turn(store: Store) {
    let site = Site::start(store, PATIENT);
    let mut browser = site.browser();
    browser.visit("/incr");
    let other = site.nodes.len() - 1;
    let done = AtomicBool::new(false);
    let given_up = Instant::now() + Duration::from_secs(40);
    let waits = parallel(7, |i| {
        if i > 0 {
            let path = if i % 2 == 0 { "/incr" } else { "/touch" };
            while !done.load(Ordering::Relaxed) && Instant::now() < given_up {
                assert_eq!(browser.ask_node(0, path).status, 200);
            }
            return 0.0;
        }
        let waits = (0..5).map(|_| browser.ask_node(other, "/incr").json()["wait_ms"].as_f64());
        let longest = waits.map(Option::unwrap).fold(0.0, f64::max);
        done.store(true, Ordering::Relaxed);
        longest
    });
    // One node may go on for a second while others wait; the rest is a slow machine's.
    assert!(waits[0] < 3_000.0, "it waited for {} ms", waits[0]);
}
