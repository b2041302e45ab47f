//! Processes that end or stop while they hold the lock.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use steadfast::store::{Acquired, LeaseEnd, Store, Updated};
use steadfast::{ErrorKind, Layout};

use super::super::peer::id;
use super::fixture::{
    COUNT, LONG, Place, acquire, counting, create, find, hold, key, lease, next, ops, queued, record, text,
};

/// Tells a child process the directory in which it is to work until it is killed.
const HELD_IN: &str = "STEADFAST_TEST_PHP_FILES_DIR";
const HOLDING: &str = "holding";

/// Runs a test of this file again in a process of its own, and returns when that has come to where it is to be killed.
fn child(test: &str, dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("php::files::crash::{test}"), "--exact", "--nocapture"])
        .env(HELD_IN, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with(HOLDING)), "the child is ready");
    child
}

#[tokio::test]
async fn a_killed_php_process_frees_the_lock_and_leaves_what_was_there() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    php.event("waiting").await;
    let (waiting, waited_for) = (store.clone(), key(&id));
    let released = tokio::spawn(async move { waiting.released(&waited_for, LONG).await });
    queued(&place.file(&id), 1).await;
    php.kill();
    released.await.unwrap();
    assert!(text(&hold(&store, &id, lease()).await).ends_with("n|i:1;"));
}

#[tokio::test]
async fn a_stopped_php_process_costs_no_more_than_the_wait_and_goes_on_with_its_lock() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let mut php = place.php();
    let store = place.options(Duration::from_millis(50)).open(place.save_path()).unwrap();
    create(&store, &id, &counting(1)).await;
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    php.event("waiting").await;
    php.pause();
    let found = find(&store, &id).await.unwrap();
    assert_eq!(acquire(&store, &id, lease()).await, Acquired::Busy);
    let refused = store.update(&key(&id), found.version, &next(&found), LeaseEnd::None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Busy);
    php.resume();
    php.go_on();
    assert_eq!(php.answer().await.results[0], json!(2));
    assert!(place.stored(&id).ends_with("n|i:2;"));
}

/// Returns a session whose every eight bytes tell which one it is; its length goes up and down.
fn version(number: u64) -> String {
    format!("{number:08}").repeat(1 + usize::try_from(number * 911 % 700).unwrap())
}

#[tokio::test]
async fn a_rust_process_killed_while_it_writes_leaves_at_worst_the_end_of_the_bytes_before() {
    let id = id(1);
    if let Some(dir) = std::env::var_os(HELD_IN) {
        let place = Place::new(Layout::CodeIgniter4);
        let store = place.options(LONG).open(dir.to_str().unwrap()).unwrap();
        for number in 1_u64.. {
            let found = find(&store, &id).await.unwrap();
            let next = record(version(number));
            let updated = store.update(&key(&id), found.version, &next, LeaseEnd::None).await.unwrap();
            assert_eq!(updated, Updated::Stored);
            if number == 50 {
                println!("{HOLDING}");
            }
        }
    }
    for _ in 0..5 {
        let place = Place::new(Layout::CodeIgniter4);
        create(&place.store(), &id, &record(version(0))).await;
        let mut child = child(
            "a_rust_process_killed_while_it_writes_leaves_at_worst_the_end_of_the_bytes_before",
            place.dir(),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let left = place.stored(&id);
        let number: u64 = left[..8].parse().unwrap();
        let (new, old) = (version(number), version(number - 1));
        let is_whole = left == new;
        let has_old_end =
            left.len() == old.len() && left.starts_with(&new) && old.ends_with(&left[new.len()..]);
        assert!(is_whole || has_old_end, "{} bytes of {number}", left.len());
        hold(&place.store(), &id, lease()).await;
    }
}

#[tokio::test]
async fn a_killed_rust_process_frees_the_lock_for_php() {
    let id = id(1);
    if let Some(dir) = std::env::var_os(HELD_IN) {
        let place = Place::new(Layout::CodeIgniter4);
        let store = place.options(LONG).open(dir.to_str().unwrap()).unwrap();
        hold(&store, &id, lease()).await;
        println!("{HOLDING}");
        return std::future::pending().await;
    }
    let place = Place::new(Layout::CodeIgniter4);
    let mut php = place.php();
    create(&place.store(), &id, &counting(1)).await;
    let mut child = child("a_killed_rust_process_frees_the_lock_for_php", place.dir());
    php.send(&json!({ "cookie": id, "events": true, "ops": ops(COUNT) }));
    php.event("starting").await;
    queued(&place.file(&id), 1).await;
    child.kill().unwrap();
    child.wait().unwrap();
    php.event("started").await;
    assert_eq!(php.answer().await.results, [json!(2)]);
}
