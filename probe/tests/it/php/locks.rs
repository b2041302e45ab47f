//! Who waits for whom, and what happens when one of them is killed.

use std::time::{Duration, Instant};

use serde_json::json;

use super::engine::{Engine, on_every_engine};

on_every_engine! {
    each_side_waits_for_the_other
    a_node_that_is_killed_leaves_php_working
    a_php_that_is_killed_leaves_the_nodes_working
}

fn each_side_waits_for_the_other(engine: Engine) {
    let shared = engine.start("--lock-wait 30");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "set", "key": "n", "value": 1 }])).id();
    // PHP holds the session, and writes when it is told to; a view does not wait for that.
    php.begin(Some(&id), &json!([{ "op": "wait" }, { "op": "set", "key": "n", "value": 2 }]));
    php.event("waiting");
    let browser = shared.browser(&id);
    assert_eq!(browser.ask("/view?k=n").json()["v"], 1);
    let waits = browser.send_to(1, "/incr?k=n", &[]);
    php.go_on();
    php.end();
    assert_eq!(waits.reply().unwrap().json()["n"], 3);
    // Rust holds it, and PHP sees what it wrote.
    let mut held = browser.send_to(2, "/incr?k=n&sleep=300", &[]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(php.request(Some(&id), &json!([{ "op": "incr", "key": "n" }])).result(), 5);
    held.head().unwrap();
}

fn a_node_that_is_killed_leaves_php_working(engine: Engine) {
    let mut shared = engine.start("--lease 2");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "set", "key": "n", "value": 1 }])).id();
    let held = shared.browser(&id).send_to(0, "/hold?ms=60000", &[]);
    std::thread::sleep(Duration::from_millis(300));
    shared.site.restart_node(0);
    let began = Instant::now();
    assert_eq!(php.request(Some(&id), &json!([{ "op": "incr", "key": "n" }])).result(), 2);
    // A lease lasts up to 2 seconds longer in Memcached, which counts whole ones.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(held);
}

fn a_php_that_is_killed_leaves_the_nodes_working(engine: Engine) {
    let shared = engine.start("--lock-wait 2");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "set", "key": "n", "value": 1 }])).id();
    php.begin(Some(&id), &json!([{ "op": "wait" }]));
    php.event("waiting");
    php.kill();
    let (browser, began) = (shared.browser(&id), Instant::now());
    let reply = browser.ask("/incr?k=n");
    if engine.frees_locks_of_the_dead() {
        assert_eq!(reply.json()["n"], 2, "{}", reply.text());
    } else {
        // PHP's lock has 300 seconds of its own: the wait is bounded, and nothing is overwritten.
        assert_eq!((reply.status, reply.error().as_str()), (503, "busy"), "{}", reply.text());
        assert_eq!(browser.ask("/view?k=n").json()["v"], 1);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
