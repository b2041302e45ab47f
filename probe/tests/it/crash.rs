//! `kill -9`: of a process that holds a session, and of one in the middle of its writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http;
use crate::site::Site;
use crate::store::{Store, on_shared_stores};

on_shared_stores! {
    the_lease_of_a_killed_process_holds_others_up_for_a_second
    a_killed_process_leaves_every_record_old_or_new
    a_process_that_was_asleep_overwrites_nobody
    a_handler_that_works_for_too_long_overwrites_nobody
}

fn the_lease_of_a_killed_process_holds_others_up_for_a_second(store: Store) {
    let mut site = Site::start(store, "--lease 1 --lease-max 60");
    let mut browser = site.browser();
    browser.visit("/incr");
    let cookie = browser.cookie;
    let before = site.nodes[0].count("loaded");
    let headers = [("cookie", cookie.as_deref().unwrap())];
    let held = http::send(site.nodes[0].address, "/hold?ms=60000", &headers).unwrap();
    site.nodes[0].await_events("loaded", before + 1);
    site.nodes[0].kill();
    let killed = Instant::now();
    let reply = http::send(site.nodes[1].address, "/incr", &headers).unwrap().reply().unwrap();
    assert_eq!(reply.json()["n"], 2, "{}", reply.text());
    assert!(killed.elapsed() < Duration::from_secs(3), "it waited for {:?}", killed.elapsed());
    assert!(held.reply().is_err());
}

fn a_process_that_was_asleep_overwrites_nobody(store: Store) {
    let site = Site::start(store, "--lease 0.5 --lease-max 60");
    let mut browser = site.browser();
    browser.visit("/incr");
    let before = site.nodes[0].count("loaded");
    let slow = browser.send_to(0, "/incr?sleep=50", &[]);
    site.nodes[0].await_events("loaded", before + 1);
    site.nodes[0].pause();
    assert_eq!(browser.ask_node(1, "/incr").json()["n"], 2, "its lease ended by its time");
    site.nodes[0].resume();
    let late = slow.reply().unwrap();
    assert_eq!((late.status, late.error().as_str(), late.cookie()), (409, "stale", None));
    assert_eq!(browser.visit("/incr")["n"], 3);
}

fn a_handler_that_works_for_too_long_overwrites_nobody(store: Store) {
    let site = Site::start(store, "--lease 0.3 --lease-max 0.3");
    let mut browser = site.browser();
    browser.visit("/incr");
    let before = site.nodes[0].count("loaded");
    // Memcached counts whole seconds, and holds a lease for up to two more than asked for.
    let sleep = if store == Store::MEMCACHED { 4_000 } else { 1_500 };
    let slow = browser.send_to(0, &format!("/incr?sleep={sleep}"), &[]);
    site.nodes[0].await_events("loaded", before + 1);
    assert_eq!(browser.ask_node(1, "/incr").json()["n"], 2);
    let late = slow.reply().unwrap();
    assert_eq!((late.status, late.error().as_str()), (409, "stale"));
    assert_eq!(browser.visit("/incr")["n"], 3);
}

/// Every write sets two keys to the same number and a third to a text of changing length.
fn a_killed_process_leaves_every_record_old_or_new(store: Store) {
    const SESSIONS: usize = 4;
    /// A thousand commits in all.
    const COMMITS_PER_ROUND: usize = 150;
    let mut site = Site::with_nodes(store, 2, "--lease 1 --concurrency merge");
    let browsers: Vec<_> = (0..SESSIONS).map(|_| visited(&site)).collect();
    let acknowledged: Vec<_> = (0..SESSIONS).map(|_| AtomicU64::new(0)).collect();
    for round in 0..7_u64 {
        let victim = site.nodes.len() - 1;
        let address = site.nodes[victim].address;
        std::thread::scope(|scope| {
            for (cookie, acknowledged) in browsers.iter().zip(&acknowledged) {
                scope.spawn(move || write_until_it_dies(address, cookie, acknowledged));
            }
            // In the middle of the writes, at another moment in each round.
            site.nodes[victim].await_events("committed", COMMITS_PER_ROUND);
            std::thread::sleep(Duration::from_micros(400 * round));
            site.nodes[victim].kill();
        });
        for (cookie, acknowledged) in browsers.iter().zip(&acknowledged) {
            let reply = http::send(site.nodes[0].address, "/get", &[("cookie", cookie)]).unwrap().reply();
            let values = reply.unwrap().json()["v"].clone();
            let (a, last) = (values["a"].as_u64().unwrap(), acknowledged.load(Ordering::Relaxed));
            assert_eq!(values["a"], values["b"], "a torn record");
            assert_eq!(values["text"], text(a), "a torn record");
            assert!(a == last || a == last + 1, "{a} is there, {last} was acknowledged");
            acknowledged.store(a, Ordering::Relaxed);
        }
        site.add_node();
    }
    assert_eq!(site.count("damaged_record"), 0);
}

fn visited(site: &Site) -> String {
    let mut browser = site.browser();
    browser.visit(&write(0));
    browser.cookie.unwrap()
}

fn write_until_it_dies(address: std::net::SocketAddr, cookie: &str, acknowledged: &AtomicU64) {
    loop {
        let next = acknowledged.load(Ordering::Relaxed) + 1;
        let sent = http::send(address, &write(next), &[("cookie", cookie)]);
        match sent.and_then(http::Pending::reply) {
            Ok(reply) if reply.status == 200 => acknowledged.store(next, Ordering::Relaxed),
            Ok(reply) => panic!("{}", reply.text()),
            Err(_) => return,
        }
    }
}

fn write(n: u64) -> String {
    let values = serde_json::json!({ "a": n, "b": n, "text": text(n) });
    format!("/set?all={}", http::escaped(&values.to_string()))
}

fn text(n: u64) -> Value {
    let len = usize::try_from(n * 37 % 5_000).unwrap();
    Value::String("x".repeat(len))
}
