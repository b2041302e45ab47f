//! Changes of the id while both sides serve.

use std::time::Duration;

use serde_json::{Value, json};

use super::engine::{Engine, on_every_engine};

on_every_engine! {
    a_rotation_leaves_php_a_session_and_loses_nothing_that_it_writes
    php_changes_the_id_and_the_session_goes_on
}

fn a_rotation_leaves_php_a_session_and_loses_nothing_that_it_writes(engine: Engine) {
    let shared = engine.start("--rotate-every 1 --forward-window 5");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "set", "key": "cart", "value": "book" }])).id();
    let mut browser = shared.browser(&id);
    browser.visit("/get?k=cart");
    // The age of the id is what this is about.
    std::thread::sleep(Duration::from_millis(2_100));
    browser.visit("/get?k=cart");
    let new = browser.token().to_owned();
    assert_ne!(new, id);
    // A page of PHP that was under way has everything, and what it writes is not lost.
    let ops = json!([{ "op": "get", "key": "cart" }, { "op": "set", "key": "late", "value": "php" }]);
    let answer = php.request(Some(&id), &ops);
    assert_eq!((answer.result(), answer.id()), (&json!("book"), id.clone()));
    browser.visit("/set?k=mine&v=rust");
    let mut late = shared.browser(&id);
    let seen = late.visit("/get")["v"].clone();
    assert_eq!(seen, json!({ "cart": "book", "late": "php", "mine": "rust" }));
    assert_eq!(late.token(), new, "the answer sends the new id");
    php.request(Some(&id), &json!([{ "op": "set", "key": "later", "value": "php" }]));
    // The end of the window is what this is about; PHP's late requests may have made it two.
    std::thread::sleep(Duration::from_millis(12_500));
    let id_now = {
        let seen = browser.visit("/get")["v"].clone();
        assert_eq!(seen["later"], "php");
        browser.token().to_owned()
    };
    assert_eq!(php.request(Some(&id_now), &json!([{ "op": "get", "key": "later" }])).result(), "php");
    assert_eq!(shared.browser(&id).ask("/get?k=cart").json()["v"], Value::Null);
}

fn php_changes_the_id_and_the_session_goes_on(engine: Engine) {
    let shared = engine.start("");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "set", "key": "cart", "value": "book" }])).id();
    let ops = json!([{ "op": "regenerate", "destroy": true }]);
    let new = php.request(Some(&id), &ops).id();
    assert_eq!(shared.browser(&new).visit("/get?k=cart")["v"], "book");
    assert_eq!(shared.browser(&id).ask("/get?k=cart").json()["v"], Value::Null);
}
