//! A session's life on both sides: values, flash, temp, sign-in, sign-out.

use serde_json::{Value, json};

use super::engine::{Engine, on_every_engine};
use crate::http::escaped;

on_every_engine! {
    values_of_each_side_are_those_of_the_other
    flash_is_shown_once_whichever_side_set_it
    a_temp_value_ends_at_the_same_second
    a_sign_in_on_either_side_is_one_on_both
    a_sign_out_on_either_side_is_one_on_both
}

fn values_of_each_side_are_those_of_the_other(engine: Engine) {
    let shared = engine.start("");
    let mut php = shared.php();
    let object = json!({ "php": "Tzo4OiJBcHBcQ2FydCI6MTp7czoxOiJuIjtpOjI7fQ==" });
    let id = php
        .request(
            None,
            &json!([
                { "op": "set", "key": "list", "value": [1, 2.5, null, true, "é"] },
                { "op": "set", "key": "cart", "value": object },
            ]),
        )
        .id();
    let mut browser = shared.browser(&id);
    let seen = browser.visit("/dump")["values"].clone();
    assert_eq!(seen["list"]["v"], json!([1, 2.5, null, true, "é"]));
    assert_eq!(seen["cart"]["v"], json!({ "$object": "App\\Cart", "properties": { "n": 2 } }));
    browser.visit(&format!("/set?k=map&j={}", escaped("{\"a\":[1,{\"b\":-0.5}]}")));
    let before = php.request(Some(&id), &json!([{ "op": "dump" }])).result()["raw"].clone();
    assert_eq!(
        php.request(Some(&id), &json!([{ "op": "get", "key": "map" }])).result(),
        &json!({ "a": [1, { "b": -0.5 }] })
    );
    // What neither changes is the same bytes to both.
    browser.visit("/get?k=cart");
    assert_eq!(php.request(Some(&id), &json!([{ "op": "dump" }])).result()["raw"], before);
}

fn flash_is_shown_once_whichever_side_set_it(engine: Engine) {
    let shared = engine.start("");
    let mut php = shared.php();
    let read = json!([{ "op": "readflash", "key": "f" }]);
    let id = php.request(None, &json!([{ "op": "flash", "key": "f", "value": "php" }])).id();
    let mut browser = shared.browser(&id);
    assert_eq!(browser.fetch("/readflash?k=f").json()["flash"], "php", "a script leaves it");
    assert_eq!(browser.visit("/readflash?k=f")["flash"], "php");
    assert_eq!(php.request(Some(&id), &read).result(), &Value::Null);
    browser.visit("/flash?k=f&v=rust");
    assert_eq!(php.request(Some(&id), &read).result(), "rust");
    assert_eq!(browser.visit("/readflash?k=f")["flash"], Value::Null);
    assert_eq!(php.request(Some(&id), &json!([{ "op": "get", "key": "f" }])).result(), &Value::Null);
}

fn a_temp_value_ends_at_the_same_second(engine: Engine) {
    let shared = engine.start("");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "temp", "key": "php", "value": 1, "ttl": 300 }])).id();
    let mut browser = shared.browser(&id);
    browser.visit("/temp?k=rust&v=1&ttl=300");
    let seen = browser.visit("/dump")["values"].clone();
    let until = |key: &str| seen[key]["mark"]["temp_until"].as_f64().expect("an instant");
    let apart = until("rust") - until("php");
    // Memcached's clock, by which Rust goes there, is up to 2 seconds behind PHP's own.
    let behind = if engine == Engine::Memcached { -2.0 } else { 0.0 };
    assert!((behind..=10.0).contains(&apart), "{apart}");
    assert_eq!(apart.fract(), 0.0, "whole seconds");
    let keys = php.request(Some(&id), &json!([{ "op": "tempkeys" }]));
    assert_eq!(keys.result(), &json!(["php", "rust"]));
}

fn a_sign_in_on_either_side_is_one_on_both(engine: Engine) {
    let shared = engine.start("");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "set", "key": "cart", "value": "book" }])).id();
    let signed_in = php.request(Some(&id), &json!([{ "op": "login", "user": "alice" }])).id();
    assert_ne!(signed_in, id);
    let mut browser = shared.browser(&signed_in);
    assert_eq!(browser.visit("/get?k=user")["v"], "alice");
    browser.visit("/logout");
    let mut browser = shared.site.browser();
    browser.visit("/set?k=cart&v=book");
    let before = browser.token().to_owned();
    browser.visit("/login?u=bob");
    assert_ne!(browser.token(), before);
    let whoami = json!([{ "op": "whoami" }, { "op": "get", "key": "cart" }]);
    assert_eq!(php.request(Some(browser.token()), &whoami).results(), &json!(["bob", "book"]));
    // Who planted the id from before has what was there before.
    assert_eq!(php.request(Some(&before), &whoami).results(), &json!([null, "book"]));
}

fn a_sign_out_on_either_side_is_one_on_both(engine: Engine) {
    let shared = engine.start("");
    let mut php = shared.php();
    let id = php.request(None, &json!([{ "op": "login", "user": "alice" }])).id();
    let browser = shared.browser(&id);
    // A slow request of Rust's is under way while PHP ends the session; it brings nothing back.
    let slow = browser.send_to(0, "/hold?ms=300", &[]);
    let held = slow.reply().unwrap();
    assert_eq!(held.status, 200, "{}", held.text());
    php.request(Some(&id), &json!([{ "op": "destroy" }]));
    assert_eq!(browser.ask("/get?k=user").json()["v"], Value::Null);
    assert_eq!(browser.ask("/set?k=late&v=1").status, 200);
    assert_eq!(php.attempt(Some(&id), &json!([{ "op": "get", "key": "late" }])).result(), &Value::Null);
    // And the other way round.
    let id = php.request(None, &json!([{ "op": "login", "user": "alice" }])).id();
    shared.browser(&id).visit("/logout");
    assert_eq!(php.attempt(Some(&id), &json!([{ "op": "whoami" }])).result(), &Value::Null);
}
