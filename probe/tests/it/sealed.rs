//! Records sealed at rest, and sessions that travel in cookies.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::NamedTempFile;

use crate::process::program;
use crate::site::Site;
use crate::store::{Store, on_embedded_stores, on_every_store};

const OLD: &str = "1vBTuoQU1GAXp1ImVOp2HQYGOYdvKtdXZ6SVGuTJxCU=";
const NEW: &str = "Zl9bFvMBNHNvVpVJHgUjYUOTt5GmYiSmWGWjjUQlMBk=";

on_every_store! {
    a_sealed_session_is_a_session
}

mod on_disk {
    use super::*;

    on_embedded_stores! {
        nothing_of_a_sealed_session_is_on_the_disk
        keys_are_replaced_node_by_node
        a_node_with_wrong_keys_does_not_start
    }
}

/// A file of keys that nobody else can read.
fn keys(keys: &[&str]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    write!(file, "# made with openssl rand -base64 32\n{}\n", keys.join("\n")).unwrap();
    file
}

fn key_ring(file: &NamedTempFile) -> String {
    format!("--key-ring {}", file.path().display())
}

fn a_sealed_session_is_a_session(store: Store) {
    let ring = keys(&[OLD]);
    let site = Site::start(store, &key_ring(&ring));
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=tea");
    browser.visit("/login?u=alice");
    browser.visit("/flash?k=notice&v=Saved.");
    assert_eq!(browser.visit("/readflash?k=notice")["flash"], "Saved.");
    for _ in 0..10 {
        browser.visit("/incr?k=n");
    }
    assert_eq!(browser.visit("/get")["v"]["n"], 10);
    assert_eq!(browser.visit("/sessions")["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(&browser.ask("/raw").body[..5], b"STDF\x01", "as it is after opening");
    assert_eq!(browser.visit("/revoke_all")["revoked"], 1);
    assert_eq!(browser.visit("/get?k=a")["v"], json!(null));
}

fn nothing_of_a_sealed_session_is_on_the_disk(store: Store) {
    let ring = keys(&[OLD]);
    let site = Site::start(store, &key_ring(&ring));
    let mut browser = site.browser();
    browser.visit("/set?k=iban&v=DE02120300000000202051");
    browser.visit("/login?u=alice");
    for private in ["iban", "DE02120300000000202051", "alice", OLD] {
        site.keep_private(private);
        assert!(!holds(&site.dir.path().join("sessions"), private), "{private}");
        assert!(!holds(&site.dir.path().join("sessions.db"), private), "{private}");
        assert!(!holds(&site.dir.path().join("sessions.db-wal"), private), "{private}");
    }
}

/// Reports whether a text stands in a file, or in one of a folder.
fn holds(path: &Path, text: &str) -> bool {
    if let Ok(entries) = fs::read_dir(path) {
        return entries.flatten().any(|entry| holds(&entry.path(), text));
    }
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn keys_are_replaced_node_by_node(store: Store) {
    let ring = keys(&[OLD]);
    let mut site = Site::with_nodes(store, 1, &key_ring(&ring));
    let mut browser = site.browser();
    browser.visit("/incr?k=n");
    let cookie = browser.cookie.clone().unwrap();
    // First every node gets the new key behind the old one, then in front of it, then alone.
    for (node, order) in [vec![OLD, NEW], vec![NEW, OLD], vec![NEW]].iter().enumerate() {
        fs::write(ring.path(), order.join("\n")).unwrap();
        site.add_node();
        let mut browser = site.browser_with(cookie.clone());
        browser.keep(&browser.ask_node(node + 1, "/incr?k=n"));
        assert_eq!(browser.ask_node(node, "/get?k=n").json()["v"], node + 2, "the node before reads it");
    }
}

fn a_node_with_wrong_keys_does_not_start(store: Store) {
    let ring = keys(&[OLD]);
    let site = Site::with_nodes(store, 1, &key_ring(&ring));
    site.browser().visit("/set?k=a&v=1");
    let wrong = keys(&[NEW]);
    let dsn = store.dsn(site.dir.path());
    for arguments in [vec!["--key-ring", wrong.path().to_str().unwrap()], vec![]] {
        let output = Command::new(program()).args(["--store", &dsn]).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("the key ring can't open"), "{said}");
    }
}

#[test]
fn a_session_travels_in_its_cookie_from_node_to_node() {
    let ring = keys(&[NEW, OLD]);
    let site = Site::start(Store::COOKIE, &key_ring(&ring));
    let mut browser = site.browser();
    for n in 1..=6 {
        assert_eq!(browser.visit("/incr?k=n")["n"], n);
    }
    browser.visit("/login?u=alice");
    assert_eq!(browser.visit("/whoami")["user"], "alice");
    browser.visit("/flash?k=notice&v=Saved.");
    assert_eq!(browser.visit("/readflash?k=notice")["flash"], "Saved.");
    let meta = browser.visit("/meta");
    assert_eq!((&meta["driver"], &meta["concurrency"]), (&json!("cookie"), &json!("merge")));
    assert_eq!(&browser.ask("/raw").body[..5], b"STDF\x01");
    let reply = browser.ask("/sessions");
    assert_eq!((reply.status, reply.error().as_str()), (500, "unsupported"));
    let reply = browser.ask("/set?k=large&v=0123456789&rep=1000");
    assert_eq!((reply.status, reply.error().as_str(), reply.cookie()), (500, "too_large", None));
    assert_eq!(browser.visit("/get?k=n")["v"], 6);
    browser.visit("/logout");
    assert_eq!((browser.cookie.clone(), browser.visit("/get?k=n")["v"].clone()), (None, json!(null)));
    assert!(site.nodes.iter().all(|node| node.count("loaded") > 0), "each node opened it, and no store did");
}

#[test]
fn a_session_travels_in_no_cookie_without_keys() {
    let output = Command::new(program()).args(["--store", "cookie:"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("needs a `key_ring`"), "{said}");
}
