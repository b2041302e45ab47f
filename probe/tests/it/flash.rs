//! Flash and temp values, as a browser meets them.
//!
//! Pages that come at one moment of the store's clock age flash values once, as if they overlapped; tests wait
//! for the next moment where a clock is that coarse.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, in_both_modes, parallel};
use crate::store::{Store, on_every_store};

on_every_store! {
    a_flash_value_is_there_for_the_next_page_and_gone_after_it
    a_background_request_reads_flash_and_leaves_it
    pages_that_overlap_age_flash_once
    flash_can_be_kept_and_become_ordinary
    a_temp_value_is_gone_when_its_time_is_over
    temp_marks_can_be_set_and_removed
    marks_are_shown_as_they_are_stored
}

fn a_flash_value_is_there_for_the_next_page_and_gone_after_it(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=plain&v=stays");
    browser.visit("/flash?k=notice&v=saved");
    let next = browser.visit("/readflash?k=notice");
    assert_eq!(next, json!({ "flash": "saved", "keys": ["notice"], "get": "saved" }));
    let after = browser.visit("/readflash?k=notice");
    assert_eq!(after, json!({ "flash": null, "keys": [], "get": null }));
    assert_eq!(browser.visit("/readflash?k=plain"), json!({ "flash": null, "keys": [], "get": "stays" }));
    assert_eq!(browser.visit("/get")["v"], json!({ "plain": "stays" }));
}

fn a_background_request_reads_flash_and_leaves_it(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/flash?k=notice&v=saved");
    for _ in 0..3 {
        assert_eq!(browser.fetch("/readflash?k=notice").json()["flash"], "saved");
    }
    assert_eq!(browser.visit("/readflash?k=notice")["flash"], "saved");
    assert_eq!(browser.visit("/readflash?k=notice")["flash"], Value::Null);
}

fn pages_that_overlap_age_flash_once(store: Store) {
    in_both_modes(|mode| {
        let site = Site::start(store, &format!("--concurrency {mode}"));
        let mut browser = site.browser();
        browser.visit("/flash?k=notice&v=saved");
        let pages = parallel(3, |_| browser.ask("/readflash?k=notice&sleep=150").json()["flash"].clone());
        assert_eq!(pages, ["saved"; 3], "{mode}");
        assert_eq!(browser.visit("/readflash?k=notice")["flash"], Value::Null, "{mode}");
    });
}

fn flash_can_be_kept_and_become_ordinary(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/flash?k=notice&v=saved");
    browser.visit("/keepflash?k=notice");
    assert_eq!(browser.visit("/readflash?k=notice")["flash"], "saved");
    browser.visit("/flash?k=notice&v=again");
    browser.visit("/unmarkflash?k=notice");
    browser.visit("/touch");
    assert_eq!(browser.visit("/readflash?k=notice"), json!({ "flash": null, "keys": [], "get": "again" }));
}

fn a_temp_value_is_gone_when_its_time_is_over(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/temp?k=code&v=1234&ttl=2");
    browser.visit("/temp?k=long&v=1&ttl=60");
    assert_eq!(browser.visit("/readtemp?k=code"), json!({ "temp": "1234", "keys": ["code", "long"] }));
    assert_eq!(browser.visit("/get?k=code")["v"], "1234");
    assert_eq!(browser.visit("/get")["v"], json!({}), "temp values are not among the ordinary ones");
    // The lifetime itself, by the machine's clock.
    std::thread::sleep(Duration::from_millis(2_050));
    assert_eq!(browser.visit("/readtemp?k=code"), json!({ "temp": null, "keys": ["long"] }));
    assert_eq!(browser.visit("/get?k=code")["v"], Value::Null);
}

fn temp_marks_can_be_set_and_removed(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=a&v=1");
    assert_eq!(browser.visit("/marktemp?k=gone&ttl=60"), json!({ "ok": false }));
    assert_eq!(browser.visit("/marktemp?k=a&ttl=60"), json!({ "ok": true }));
    assert_eq!(browser.visit("/readtemp?k=a")["temp"], "1");
    browser.visit("/set?k=b&v=2");
    browser.visit("/removetemp?k=b");
    browser.visit("/removetemp?k=a");
    assert_eq!(browser.visit("/dump")["values"], json!({ "b": { "v": "2", "mark": null } }));
}

fn marks_are_shown_as_they_are_stored(store: Store) {
    let site = Site::start(store, "");
    let mut browser = site.browser();
    browser.visit("/set?k=plain&v=1");
    browser.visit("/temp?k=temp&v=2&ttl=60");
    browser.visit("/flash?k=flash&v=3");
    let dump = browser.visit("/dump")["values"].clone();
    assert_eq!(dump["plain"], json!({ "v": "1", "mark": null }));
    assert_eq!(dump["flash"]["mark"], "flash-new");
    assert!(dump["temp"]["mark"]["temp_until"].as_f64().unwrap() > 1_700_000_000.0);
    browser.visit("/readflash?k=flash");
    assert_eq!(browser.visit("/dump")["values"]["flash"]["mark"], "flash-old");
}
