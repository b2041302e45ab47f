//! Sessions and verdicts that were recorded from PHP 8.2 and from CodeIgniter 4.

use std::collections::HashMap;

use serde_json::Value as Json;
use steadfast::fuzzing::{decode_php, join_php, split_php};
use steadfast::{PhpFormat, Value};

use super::sessions::{Plan, check_join};
use super::{FORMATS, Php, debase, show};

fn recorded(format: PhpFormat) -> Json {
    let text = match format {
        PhpFormat::PhpBinary => include_str!("../../../golden/php/php_binary.json"),
        PhpFormat::PhpSerialize => include_str!("../../../golden/php/php_serialize.json"),
        _ => include_str!("../../../golden/php/php.json"),
    };
    serde_json::from_str(text).unwrap()
}

/// Calls with the name, the bytes and the tagged value of each recorded session.
fn for_each_session(format: PhpFormat, mut check: impl FnMut(&str, &[u8], &Json)) {
    for vector in recorded(format)["vectors"].as_array().unwrap() {
        check(vector["name"].as_str().unwrap(), &debase(&vector["bytes"]), &vector["tagged"]);
    }
}

#[test]
fn recorded_sessions_hold_what_php_held() {
    for format in FORMATS {
        for_each_session(format, |name, session, tagged| {
            let pieces = split_php(format, session).unwrap_or_else(|| panic!("{name}"));
            let (mut known, items) = (Known::default(), tagged["items"].as_array());
            for (piece, item) in pieces.iter().zip(items.into_iter().flatten()) {
                let (key, value, reading) = piece;
                assert_eq!(key_of(&item[0]), *key, "{name}");
                known.learn(&item[1]);
                let decoded = decode_php::<Value>(reading.as_ref().unwrap_or(value));
                match decoded {
                    Ok(value) => assert!(known.is(&value, &item[1]), "{name}: {}", show(session)),
                    Err(_) => assert!(UNREADABLE.contains(&name), "{name}"),
                }
            }
            if let Some(items) = items {
                assert_eq!(pieces.len(), items.len(), "{name}");
            }
        });
    }
}

/// Values that contain themselves, and keys in an array that are no text: a `Value` has no place for them.
const UNREADABLE: [&str; 5] =
    ["ref_cycle_object", "ref_cycle_two", "ref_cycle_array", "arr_bin_key", "arr_deep_500"];

/// What PHP recorded under a number, for when it refers to it.
#[derive(Default)]
struct Known<'a>(HashMap<(&'static str, i64), &'a Json>);

impl<'a> Known<'a> {
    fn learn(&mut self, tagged: &'a Json) {
        if let Some(number) = tagged["ref"].as_i64() {
            self.0.insert(("ref", number), tagged);
        }
        if let ("object", Some(number)) = (tagged["t"].as_str().unwrap(), tagged["n"].as_i64()) {
            self.0.insert(("object", number), tagged);
        }
        for list in ["items", "props"] {
            tagged[list].as_array().into_iter().flatten().for_each(|item| self.learn(&item[1]));
        }
    }

    /// Compares a value with what was recorded.
    fn is(&self, value: &Value, tagged: &Json) -> bool {
        let text = || tagged["v"].as_str().unwrap();
        match (tagged["t"].as_str().unwrap(), value) {
            ("ref-seen", _) => self.is(value, self.0[&("ref", tagged["n"].as_i64().unwrap())]),
            ("object-seen", _) => self.is(value, self.0[&("object", tagged["n"].as_i64().unwrap())]),
            ("null", Value::Null) => true,
            // PHP stores a resource as 0.
            ("resource", Value::Int(0)) => true,
            ("bool", Value::Bool(truth)) => tagged["v"] == *truth,
            ("int", Value::Int(n)) => n.to_string() == text(),
            ("float", Value::Float(n)) if n.is_nan() => text() == "NAN",
            ("float", Value::Float(n)) => format!("{:016x}", n.to_bits()) == tagged["bits"].as_str().unwrap(),
            ("string", Value::String(held)) => held.as_bytes() == key_of(tagged),
            ("string", Value::Bytes(held)) => *held == key_of(tagged),
            ("array", Value::List(held)) => {
                let items = tagged["items"].as_array().unwrap();
                held.len() == items.len()
                    && held.iter().zip(items).all(|(value, item)| self.is(value, &item[1]))
            }
            ("array", Value::Map(held)) => {
                let items = tagged["items"].as_array().unwrap();
                let held_one = |item: &Json| {
                    let key = String::from_utf8(key_of(&item[0])).unwrap();
                    held.get(&key).is_some_and(|value| self.is(value, &item[1]))
                };
                held.len() == items.len() && items.iter().all(held_one)
            }
            ("enum", Value::Object(object)) => {
                tagged["class"] == *object.class() && tagged["case"] == *object.case().unwrap()
            }
            // PHP did not know the class, and holds its name beside the properties.
            ("object", Value::Object(object)) if tagged["class"] == "__PHP_Incomplete_Class" => {
                tagged["props"][0][1]["v"] == *object.class() && self.are(object, tagged)
            }
            ("object", Value::Object(object)) => {
                tagged["class"] == *object.class() && self.are(object, tagged)
            }
            _ => false,
        }
    }

    /// Compares an object's properties, if the class stores its properties and not something of its own.
    fn are(&self, object: &steadfast::PhpObject, tagged: &Json) -> bool {
        const OF_THEIR_OWN: [&str; 3] = ["Array", "Spl", "App\\Libraries\\LabSleeper"];
        if OF_THEIR_OWN.iter().any(|class| object.class().starts_with(class)) || object.data().is_some() {
            return true;
        }
        let recorded: HashMap<Vec<u8>, &Json> =
            tagged["props"].as_array().unwrap().iter().map(|item| (key_of(&item[0]), &item[1])).collect();
        object.properties().all(|(name, value)| {
            let is_it =
                |key: &[u8]| key == name.as_bytes() || key.ends_with(&[b"\0", name.as_bytes()].concat());
            recorded.iter().any(|(key, tagged)| is_it(key) && self.is(value, tagged))
        })
    }
}

/// Returns the bytes of a recorded text or number.
fn key_of(tagged: &Json) -> Vec<u8> {
    match tagged["v"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => debase(&tagged["b64"]),
    }
}

#[test]
fn recorded_sessions_are_written_byte_for_byte() {
    for format in FORMATS {
        for_each_session(format, |name, session, _| {
            let pieces = split_php(format, session).unwrap();
            let all: Plan<'_> =
                pieces.iter().enumerate().map(|(at, (key, ..))| (key.as_slice(), Ok(at))).collect();
            assert_eq!(show(&join_php(format, session, &all).unwrap()), show(session), "{name}");
        });
    }
}

#[test]
fn recorded_sessions_survive_a_change_of_each_key() {
    for format in FORMATS {
        let mut php = Php::new(format);
        for_each_session(format, |name, session, _| {
            // The cases of an enum are read only by who has its code.
            if name.contains("enum") {
                return;
            }
            let pieces = split_php(format, session).unwrap();
            for changed in 0..pieces.len() {
                let plan = pieces.iter().enumerate().map(|(at, (key, ..))| {
                    (key.as_slice(), if at == changed { Err(b"a:0:{}".as_slice()) } else { Ok(at) })
                });
                check_join(&mut php, format, session, &plan.collect());
            }
        });
    }
}

#[test]
fn hostile_sessions_get_the_verdict_that_php_gave() {
    for format in FORMATS {
        for vector in recorded(format)["hostile"].as_array().unwrap() {
            let (name, session) = (vector["name"].as_str().unwrap(), debase(&vector["bytes"]));
            let verdict = (split_php(format, &session).is_some(), vector["accepts"].as_bool().unwrap());
            match verdict {
                (ours, php) if ours == php => {}
                // What a class refuses, only its code knows.
                (true, false) => assert!(refused_by_class(&session), "{format:?} {name}"),
                // A session that is no array breaks every program of PHP that uses it.
                _ => assert!(name.starts_with("s ") && !session.starts_with(b"a:"), "{format:?} {name}"),
            }
        }
    }
}

fn refused_by_class(session: &[u8]) -> bool {
    let classes =
        ["\"Closure\"", "\"DateTime\"", "\"SimpleXMLElement\"", "\"App\\Libraries\\", "\"Foo:Bar\""];
    classes.iter().any(|class| session.windows(class.len()).any(|part| part == class.as_bytes()))
}

#[test]
fn large_and_deep_sessions_get_the_verdict_that_php_gave() {
    let nested = |levels: usize| ["a:1:{i:0;".repeat(levels), "i:1;".into(), "}".repeat(levels)].concat();
    let objects = |levels: usize| {
        ["O:8:\"stdClass\":1:{s:1:\"a\";".repeat(levels), "N;".into(), "}".repeat(levels)].concat()
    };
    let wide: String = (0..100_000).map(|at| format!("i:{at};N;")).collect();
    let check = |value: &str, accepted: [bool; 3]| {
        let session = |format| match format {
            PhpFormat::PhpSerialize => format!("a:1:{{s:1:\"k\";{value}}}"),
            PhpFormat::PhpBinary => format!("\x01k{value}"),
            _ => format!("k|{value}"),
        };
        let verdict = FORMATS.map(|format| split_php(format, session(format).as_bytes()).is_some());
        assert_eq!(verdict, accepted, "{}", &value[..60]);
    };
    check(&nested(4_095), [true, true, true]);
    check(&nested(4_096), [true, true, false]);
    check(&nested(4_097), [false; 3]);
    check(&nested(100_000), [false; 3]);
    check(&"a:1:{i:0;".repeat(10_000), [false; 3]);
    check(&objects(10_000), [false; 3]);
    check(&format!("a:100000:{{{wide}}}"), [true; 3]);
    check(&format!("s:99999999999:\"{}\";", "x".repeat(60)), [false; 3]);
}

#[test]
fn what_codeigniter_stored_is_what_it_held() {
    let vectors: Json = serde_json::from_str(include_str!("../../../golden/php/codeigniter4.json")).unwrap();
    for vector in vectors.as_array().unwrap() {
        let format = FORMATS.into_iter().find(|format| vector["format"] == format.as_str()).unwrap();
        let session = debase(&vector["bytes"]);
        let pieces = split_php(format, &session).unwrap_or_else(|| panic!("{}", vector["id"]));
        let held = vector["json"].as_object().map_or(0, serde_json::Map::len);
        assert_eq!(pieces.len(), held, "{}", vector["id"]);
        for (key, value, reading) in &pieces {
            let read: Json = decode_php(reading.as_ref().unwrap_or(value)).unwrap();
            let key = String::from_utf8(key.clone()).unwrap();
            assert_eq!(plain(read), plain(vector["json"][&key].clone()), "{} {key}", vector["id"]);
        }
    }
}

/// PHP shows an empty array as a list, whatever it was.
fn plain(json: Json) -> Json {
    match json {
        Json::Object(map) if map.is_empty() => Json::Array(Vec::new()),
        Json::Object(map) => map.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        Json::Array(items) => items.into_iter().map(plain).collect(),
        json => json,
    }
}
