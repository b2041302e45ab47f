//! Rotation in time: under load, with lost responses, at the end of the window.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::site::{Browser, Site, in_both_modes, parallel};
use crate::store::{Store, on_every_store};

/// A secret is due after a second, and its predecessor good for five more.
const ROTATING: &str = "--rotate-every 1 --forward-window 5 --lock-wait 30";

/// Longer than a secret is young.
const DUE: Duration = Duration::from_millis(1_100);

/// Shorter than the half of the window in which the successor is told.
const IN_TIME: Duration = Duration::from_millis(2_300);

/// Longer than the window.
const WINDOW: Duration = Duration::from_millis(5_200);

on_every_store! {
    fifty_requests_with_a_secret_that_is_due_get_one_successor
    a_rotation_on_demand_forwards_the_old_cookie
    a_busy_browser_is_never_signed_out_however_its_responses_come
}

/// A machine that stalls for longer than the window shows nothing of it, so it gets another try.
fn fifty_requests_with_a_secret_that_is_due_get_one_successor(store: Store) {
    in_both_modes(|mode| {
        let site = Site::start(store, &format!("{ROTATING} --concurrency {mode}"));
        assert!((0..4).any(|_| survives_a_rotation(&site)), "this machine is too slow for a window of 5 s");
    });
}

/// Looks into a window and behind it, and reports whether it was quick enough to see something. One wait
/// serves two browsers: one that comes with the successor, and one that lost every response.
fn survives_a_rotation(site: &Site) -> bool {
    let (mut browser, mut unlucky) = (site.browser(), site.browser());
    browser.visit("/set?k=who&v=browser");
    unlucky.visit("/set?k=who&v=unlucky");
    std::thread::sleep(DUE);
    let rotates = Instant::now();
    let old = browser.clone();
    let (Some(successor), Some(thrown_away)) = (one_successor(&old), one_successor(&unlucky)) else {
        return false;
    };
    browser.cookie = Some(successor);
    assert_ne!(Some(&thrown_away), browser.cookie.as_ref());

    // Within the window both are good, and nothing is sent for the successor.
    let (reply, forwarded) = (browser.ask("/get?k=who"), old.ask("/get?k=who"));
    if rotates.elapsed() > IN_TIME {
        return false;
    }
    assert_eq!((reply.json()["v"].as_str(), reply.cookie()), (Some("browser"), None));
    assert_eq!(forwarded.json()["v"], "browser");
    assert_eq!(forwarded.cookie(), browser.cookie.as_deref());

    std::thread::sleep(WINDOW);
    assert_eq!(old.ask("/view?k=who").json()["v"], serde_json::Value::Null, "the window is over");
    assert_eq!(browser.visit("/get?k=who")["v"], "browser");
    let late = unlucky.open("/get?k=who");
    assert_eq!(late.json()["v"], "unlucky", "a lost response signs nobody out");
    assert_eq!(late.cookie(), Some(thrown_away.as_str()), "nobody mints a second successor");
    assert_eq!(unlucky.visit("/get?k=who")["v"], "unlucky");
    true
}

/// Sends fifty requests at once, all of which must be let in, and returns the only successor they were told;
/// none if they took too long.
fn one_successor(browser: &Browser<'_>) -> Option<String> {
    let began = Instant::now();
    let replies = parallel(50, |i| browser.ask(if i % 2 == 0 { "/get?k=who" } else { "/update" }));
    if began.elapsed() > IN_TIME {
        return None;
    }
    for reply in &replies {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let told: BTreeSet<&str> = replies.iter().filter_map(|reply| reply.cookie()).collect();
    assert_eq!(told.len(), 1, "one successor");
    assert!(!told.contains(browser.cookie.as_deref().unwrap()));
    assert_eq!(browser.ask("/view?k=n").json()["v"], 25, "every increment counts");
    told.into_iter().next().map(str::to_owned)
}

fn a_rotation_on_demand_forwards_the_old_cookie(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=who&v=me");
    let old = browser.clone();
    browser.visit("/regenerate");
    assert_ne!(browser.cookie, old.cookie);
    let forwarded = old.ask("/get?k=who");
    assert_eq!((forwarded.json()["v"].as_str(), forwarded.cookie()), (Some("me"), browser.cookie.as_deref()));

    let before = browser.clone();
    browser.visit("/regenerate?destroy=1");
    let left = before.ask("/get?k=who");
    assert_eq!(left.cookie(), None, "who held a cookie before is not told the new one");
    assert_eq!(browser.visit("/get?k=who")["v"], "me");
}

/// Eight tabs share one cookie, which is replaced all the time; every fifth response is lost.
fn a_busy_browser_is_never_signed_out_however_its_responses_come(store: Store) {
    let arguments = "--rotate-every 0.1 --forward-window 0.6 --concurrency merge --lock-wait 30";
    let site = Site::start(store, arguments);
    let mut first = site.browser();
    first.visit("/login?u=alice");
    let jar = Mutex::new(first);
    let counted = AtomicUsize::new(0);
    // Long enough for several secrets to come and go, by the machine's clock.
    let ends = Instant::now() + Duration::from_millis(2_500);
    parallel(8, |tab| {
        for turn in tab.. {
            if Instant::now() > ends {
                return;
            }
            let browser = jar.lock().unwrap().clone();
            let counts = turn % 3 == 0;
            let asked = Instant::now();
            let reply = browser.ask(if counts { "/update" } else { "/whoami" });
            counted.fetch_add(usize::from(counts && reply.status == 200), Ordering::Relaxed);
            // Half a window: what takes longer is lost, as nothing is promised to who comes after it.
            if asked.elapsed() > Duration::from_millis(300) {
                continue;
            }
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(counts || reply.json()["user"] == "alice", "{}", reply.text());
            if turn % 5 != 0 {
                jar.lock().unwrap().keep(&reply);
            }
        }
    });
    let mut browser = jar.into_inner().unwrap();
    assert_eq!(browser.visit("/whoami")["user"], "alice");
    assert_eq!(browser.visit("/get?k=n")["v"], counted.into_inner());
    assert!(site.count("rotated") > 1, "{} rotations", site.count("rotated"));
}
