//! How a probe starts, refuses to start, and stops.

use std::process::Command;

use crate::http;
use crate::process::program;
use crate::site::Site;
use crate::store::{Store, on_every_store};

on_every_store! {
    a_termination_waits_for_running_requests
    neither_keys_nor_values_nor_users_are_told
}

fn a_termination_waits_for_running_requests(store: Store) {
    let mut site = Site::with_nodes(store, 1, "");
    let mut browser = site.browser();
    browser.visit("/incr");
    let cookie = browser.cookie.unwrap();
    let before = site.nodes[0].count("loaded");
    let running = http::send(site.nodes[0].address, "/incr?sleep=300", &[("cookie", &cookie)]).unwrap();
    site.nodes[0].await_events("loaded", before + 1);
    site.nodes[0].terminate();
    assert_eq!(running.reply().unwrap().json()["n"], 2);
    assert!(site.nodes[0].wait().success());
    assert!(http::send(site.nodes[0].address, "/none", &[]).and_then(http::Pending::reply).is_err());
}

fn neither_keys_nor_values_nor_users_are_told(store: Store) {
    let site = Site::start(store, "--lock-wait 0.1");
    for private in ["k-e-y", "v-a-l-u-e", "u-s-e-r"] {
        site.keep_private(private);
    }
    let mut browser = site.browser();
    browser.visit("/login?u=u-s-e-r");
    browser.visit("/flash?k=k-e-y&v=v-a-l-u-e");
    browser.visit("/set?k=k-e-y&v=v-a-l-u-e");
    for path in
        ["/incr?k=k-e-y", "/push?k=k-e-y&v=v-a-l-u-e", "/panic", "/set?k=k-e-y&v=v-a-l-u-e&rep=2000000"]
    {
        let refused = browser.ask(path);
        assert_eq!(refused.status, 500, "{path}");
        let told = refused.text();
        assert!(!told.contains("k-e-y") && !told.contains("v-a-l-u-e"), "{path}: {told}");
    }
    let before = site.nodes[0].count("loaded");
    let held = browser.send_to(0, "/hold?ms=60000", &[]);
    site.nodes[0].await_events("loaded", before + 1);
    let busy = browser.ask("/incr");
    assert_eq!((busy.status, busy.error().as_str()), (503, "busy"));
    assert_eq!(busy.header("retry-after"), Some("1"));
    drop(held);
    browser.visit("/logout");
    assert!(site.nodes[0].written().contains("\"event\":\"loaded\""), "there is something to look at");
}

#[test]
fn what_can_not_be_is_refused_at_the_start() {
    check(&["--store", "redis:localhost"], "two slashes and a host");
    check(&["--store", "nonsense"], "a driver and a colon");
    check(&["--store", "files:"], "a path is missing");
    check(&["--store", "memory:?durability=fsync"], "durability");
    check(&["--layout", "ci5"], "is one of: native, ci4, ci3, php");
    check(&["--layout", "ci4", "--store", "sqlite:x"], "has no driver `sqlite`");
    check(&["--idle", "2", "--absolute", "1", "--lease", "9", "--lease-max", "8"], "`idle_timeout` (2s)");
    check(&["--config", "/nowhere/settings.toml"], "cannot read the settings");
}

#[track_caller]
fn check(arguments: &[&str], expected: &str) {
    let output = Command::new(program()).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(told.contains(expected), "{told}");
}

#[test]
fn options_win_over_the_settings_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, "cookie_name = \"from-file\"\nconcurrency = \"merge\"\nidle_timeout = \"90s\"\n")
        .unwrap();
    let site = Site::start(Store::MEMORY, &format!("--config {} --concurrency exclusive", file.display()));
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    assert!(browser.cookie.as_deref().unwrap().starts_with("from-file="));
    let meta = browser.visit("/meta");
    assert_eq!(meta["concurrency"], "exclusive");
    let left = meta["expires_at"].as_f64().unwrap() - meta["created_at"].as_f64().unwrap();
    assert!((90.0..93.0).contains(&left), "{left}");
}
