//! Handlers that panic, fail, stream, close early or work on, and clients that hang up.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::site::Site;
use crate::store::{Store, on_every_store};

on_every_store! {
    a_panic_writes_nothing_and_lets_go_at_once
    a_failed_handler_is_committed_all_the_same
    a_slow_body_holds_nobody_up
    a_client_that_hangs_up_in_the_middle_leaves_no_lease
    clients_that_hang_up_at_any_moment_do_no_harm
    a_write_after_close_is_an_error
    close_lets_the_next_request_go_on
    a_detached_handle_counts_and_does_not_revive
    csrf_tokens_are_masked_and_belong_to_one_session
    polling_does_not_extend_a_session
    what_is_known_of_a_session_is_told
}

fn a_panic_writes_nothing_and_lets_go_at_once(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/incr");
    let reply = browser.ask("/panic");
    assert_eq!((reply.status, reply.error().as_str(), reply.cookie()), (500, "panic", None));
    let next = browser.visit("/incr");
    assert_eq!(next["n"], 2);
    assert!(next["wait_ms"].as_f64().unwrap() < 1_000.0, "{next}");
    assert_eq!(site.browser().ask("/panic").cookie(), None);
}

fn a_failed_handler_is_committed_all_the_same(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    for status in [500, 503, 404] {
        browser.visit("/remove?k=n");
        assert_eq!(browser.open(&format!("/fail?status={status}")).status, status);
        assert_eq!(browser.visit("/get?k=n")["v"], 999);
    }
    let mut new = site.browser();
    assert_eq!(new.open("/fail?status=500").status, 500);
    assert_eq!(new.visit("/get?k=n")["v"], 999);
}

fn a_slow_body_holds_nobody_up(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/incr");
    let mut slow = browser.send_to(0, "/slowbody?ms=60000", &[]);
    assert!(slow.head().unwrap().starts_with("HTTP/1.1 200"));
    let began = Instant::now();
    assert_eq!(browser.visit("/get?k=n")["v"], 777, "it was committed before the head left");
    browser.visit("/incr");
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(slow);
    assert!(browser.ask("/slowbody?ms=200").text().starts_with("piece\n"));
}

fn a_client_that_hangs_up_in_the_middle_leaves_no_lease(store: Store) {
    let site = Site::start(store, "--lease 30 --lease-max 60");
    let mut browser = site.browser();
    browser.visit("/incr");
    for _ in 0..3 {
        let before = site.nodes[0].count("loaded");
        let pending = browser.send_to(0, "/incr?sleep=60000", &[]);
        site.nodes[0].await_events("loaded", before + 1);
        drop(pending);
        assert_eq!(browser.visit("/get?k=n")["v"], 1, "a handler that was dropped writes nothing");
    }
    let next = browser.visit("/incr");
    assert!(next["wait_ms"].as_f64().unwrap() < 5_000.0, "{next}");
}

fn clients_that_hang_up_at_any_moment_do_no_harm(store: Store) {
    let site = Site::start(store, "--lease 30 --lease-max 60");
    let mut browser = site.browser();
    browser.visit("/incr");
    for (i, node) in (0..60_u32).zip((0..site.nodes.len()).cycle()) {
        let pending = browser.send_to(node, "/incr?sleep=1", &[]);
        // At every stage of a request of some milliseconds: before, during and after its commit.
        std::thread::sleep(Duration::from_micros(u64::from(i) * 60));
        drop(pending);
    }
    let began = Instant::now();
    let counted = browser.visit("/incr")["n"].as_u64().unwrap();
    assert!((2..=62).contains(&counted), "{counted}");
    assert_eq!(browser.visit("/incr")["n"], counted + 1, "nothing arrives later");
    assert!(began.elapsed() < Duration::from_secs(5), "no lease was left behind");
}

fn a_write_after_close_is_an_error(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    assert_eq!(browser.visit("/close"), json!({ "late_write": "closed" }));
    assert_eq!(browser.visit("/get")["v"], json!({ "before_close": true }));
}

fn close_lets_the_next_request_go_on(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    let before = site.nodes[0].count("committed");
    let closed = browser.send_to(0, "/close?sleep=60000", &[]);
    site.nodes[0].await_events("committed", before + 1);
    assert_eq!(browser.visit("/get")["v"], json!({ "a": "1", "before_close": true }));
    drop(closed);
}

fn a_detached_handle_counts_and_does_not_revive(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/incr");
    browser.visit("/detached?ms=1");
    site_until(|| browser.ask("/view?k=n").json()["v"] == 2);

    let failed = site.count("failed");
    browser.visit("/detached?ms=300");
    let old = browser.clone();
    browser.visit("/destroy");
    // The job has come to its end when its time is over and it has looked for the session in vain.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(old.ask("/raw").error(), "missing");
    assert_eq!(site.count("failed"), failed, "an end is not a failure");
    let nobody = site.browser().ask("/detached?ms=1");
    assert_eq!((nobody.status, nobody.error().as_str()), (409, "missing"));
}

#[track_caller]
fn site_until(done: impl Fn() -> bool) {
    let given_up = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < given_up, "it never came");
        std::thread::yield_now();
    }
}

fn csrf_tokens_are_masked_and_belong_to_one_session(store: Store) {
    let site = Site::start(store, "");
    let (mut browser, mut other) = (site.browser(), site.browser());
    let mut token = || browser.visit("/csrf")["token"].as_str().unwrap().to_owned();
    let (one, two) = (token(), token());
    assert_ne!(one, two, "each response has its own mask");
    for token in [&one, &two] {
        assert_eq!(browser.visit(&format!("/verify?token={token}"))["valid"], true);
    }
    other.visit("/csrf");
    for (browser, token) in [(&other, one.as_str()), (&browser, "AAAA"), (&browser, "")] {
        assert_eq!(browser.ask(&format!("/verify?token={token}")).json()["valid"], false);
    }
    browser.visit("/regenerate");
    assert_eq!(browser.visit(&format!("/verify?token={one}"))["valid"], true, "it survives a rotation");
    browser.visit("/login");
    assert_eq!(browser.visit(&format!("/verify?token={one}"))["valid"], false, "but no sign-in");
}

fn polling_does_not_extend_a_session(store: Store) {
    let site = Site::start(store, "--idle 2 --absolute 60");
    let (mut polled, mut used) = (site.browser(), site.browser());
    polled.visit("/set?k=a&v=1");
    used.visit("/set?k=a&v=1");
    // The idle time itself, by the store's clock.
    let over = Instant::now() + Duration::from_millis(2_800) + store.clock_lag();
    while Instant::now() < over {
        std::thread::sleep(Duration::from_millis(700));
        polled.visit("/poll");
        used.visit("/touch");
    }
    assert_eq!(polled.visit("/get?k=a")["v"], Value::Null);
    assert_eq!(used.visit("/get?k=a")["v"], "1");
    if store.expires_by_itself() {
        assert_eq!(site.browser().visit("/purge?limit=10")["purged"], 0, "there is nothing left to purge");
        return;
    }
    let purged = |browser: &mut crate::site::Browser<'_>| browser.visit("/purge?limit=10")["purged"].clone();
    site_until(|| site.count("purged") > 0 || purged(&mut site.browser()) == 1);
}

fn what_is_known_of_a_session_is_told(store: Store) {
    let site = Site::start(store, "--concurrency merge");
    let mut browser = site.browser();
    browser.visit("/login?u=bob");
    let meta = browser.visit("/meta");
    assert_eq!(meta["driver"], store.driver());
    assert_eq!((&meta["layout"], &meta["concurrency"]), (&json!("native"), &json!("merge")));
    let node: usize = meta["node"].as_str().unwrap().strip_prefix("node-").unwrap().parse().unwrap();
    assert_eq!((&meta["user"], &meta["persistent"]), (&json!("bob"), &json!(false)));
    assert_eq!(meta["tag"].as_str().unwrap().len(), 8);
    let time = |name: &str| meta[name].as_f64().unwrap();
    assert!(time("created_at") <= time("rotated_at") && time("rotated_at") <= time("expires_at"));
    assert!(time("expires_at") < time("absolute_expires_at"));
    let metrics = browser.ask_node(node, "/metrics").text();
    assert!(metrics.contains("steadfast_events_total{node=\"node-"), "{metrics}");
}
