//! Nodes whose clocks are an hour off in both directions: nobody is signed out early, and nobody stays late.
//!
//! The clock of a node is moved by `libfaketime`, which a dynamic linker puts between the process and the
//! system's clock. Embedded stores go by the clock of the node, as nodes that share them run on one machine,
//! and are left out.

use std::time::Duration;

use serde_json::Value;

use crate::site::Site;
use crate::store::{Store, on_servers};

on_servers! {
    clocks_that_are_an_hour_off_end_no_session_early_and_none_late
    a_temp_value_has_its_time_whatever_the_clocks_of_the_nodes_say
}

/// In seconds, by node.
const CLOCKS: [i64; 3] = [0, 3_600, -3_600];

/// Longer than half of the two seconds that a session may stay unused: two of it are longer than these.
const MORE_THAN_HALF: Duration = Duration::from_millis(1_150);

/// Longer than a session may stay unused.
const IDLE: Duration = Duration::from_millis(2_200);

fn clocks_that_are_an_hour_off_end_no_session_early_and_none_late(store: Store) {
    let site = Site::with_clocks(store, CLOCKS, "--idle 2 --absolute 60");
    let mut browsers = [site.browser(), site.browser(), site.browser()];
    for (node, browser) in browsers.iter_mut().enumerate() {
        let begun = browser.ask_node(node, "/incr");
        browser.keep(&begun);
    }
    for turn in 1..3 {
        std::thread::sleep(MORE_THAN_HALF);
        for (node, browser) in browsers.iter().enumerate() {
            let other = (node + turn) % CLOCKS.len();
            let n = browser.ask_node(other, "/incr").json()["n"].clone();
            assert_eq!(n, turn + 1, "begun by node {node}, ended early on node {other}");
        }
    }
    std::thread::sleep(IDLE + store.resolution());
    for (node, browser) in browsers.iter().enumerate() {
        for other in 0..CLOCKS.len() {
            let n = browser.ask_node(other, "/get?k=n").json()["v"].clone();
            assert_eq!(n, Value::Null, "begun by node {node}, still there on node {other}");
        }
    }
}

fn a_temp_value_has_its_time_whatever_the_clocks_of_the_nodes_say(store: Store) {
    let site = Site::with_clocks(store, CLOCKS, "");
    let mut browser = site.browser();
    for node in 0..CLOCKS.len() {
        let reply = browser.ask_node(node, &format!("/temp?k=from-{node}&v=1&ttl=2"));
        browser.keep(&reply);
    }
    let there = |from: usize, on: usize| {
        browser.ask_node(on, &format!("/readtemp?k=from-{from}")).json()["temp"].clone()
    };
    for (from, on) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
        assert_eq!(there(from, on), "1", "from node {from}, on node {on}");
    }
    std::thread::sleep(IDLE + store.resolution());
    for (from, on) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
        assert_eq!(there(from, on), Value::Null, "from node {from}, on node {on}");
    }
}
