//! Values of Rust and of PHP.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::{from_slice, is_null, to_vec};
use crate::codec::Value;

#[track_caller]
fn written<T: Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8(to_vec(value).unwrap()).unwrap()
}

#[track_caller]
fn read<T: for<'a> Deserialize<'a>>(document: &str) -> T {
    from_slice(document.as_bytes()).unwrap()
}

/// A value is written so, and reads as it was.
#[track_caller]
fn check<T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug>(value: &T, document: &str) {
    assert_eq!(written(value), document);
    assert_eq!(&read::<T>(document), value);
}

#[track_caller]
fn refused<T: for<'a> Deserialize<'a>>(document: &str) {
    assert!(from_slice::<T>(document.as_bytes()).is_err(), "{document}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
    gift: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle(f64),
    Box(u8, u8),
    Named { name: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Meters(u32);

#[test]
fn values_of_rust_are_what_a_php_programmer_expects() {
    check(&(), "N;");
    check(&None::<u8>, "N;");
    check(&Some(5), "i:5;");
    check(&true, "b:1;");
    check(&-5_i8, "i:-5;");
    check(&u64::from(u32::MAX), "i:4294967295;");
    check(&0.1, "d:0.1;");
    check(&'é', r#"s:2:"é";"#);
    check(&"say \"hi\"".to_owned(), r#"s:8:"say "hi"";"#);
    check(&Meters(5), "i:5;");
    check(&vec![1, 2], "a:2:{i:0;i:1;i:1;i:2;}");
    check(&(1, "b".to_owned()), r#"a:2:{i:0;i:1;i:1;s:1:"b";}"#);
    check(&"127.0.0.1".parse::<IpAddr>().unwrap(), r#"s:9:"127.0.0.1";"#);
    let cart = Cart { items: vec!["tea".into()], gift: None, note: None };
    check(&cart, r#"a:2:{s:5:"items";a:1:{i:0;s:3:"tea";}s:4:"gift";N;}"#);
}

#[test]
fn variants_are_their_name_or_an_array_of_one() {
    check(&Shape::Nothing, r#"s:7:"Nothing";"#);
    check(&Shape::Circle(1.5), r#"a:1:{s:6:"Circle";d:1.5;}"#);
    check(&Shape::Box(1, 2), r#"a:1:{s:3:"Box";a:2:{i:0;i:1;i:1;i:2;}}"#);
    check(&Shape::Named { name: "x".into() }, r#"a:1:{s:5:"Named";a:1:{s:4:"name";s:1:"x";}}"#);
    assert_eq!(read::<Shape>(r#"E:12:"Form:Nothing";"#), Shape::Nothing);
    refused::<Shape>(r#"a:2:{s:6:"Circle";d:1;s:3:"Box";N;}"#);
    refused::<Shape>(r#"s:6:"Circle";"#);
}

#[test]
fn keys_that_are_integers_become_integers_and_come_back_as_what_is_asked_for() {
    let names = BTreeMap::from([("-7", 1), ("07", 2), ("7", 3)].map(|(k, v)| (k.to_owned(), v)));
    check(&names, r#"a:3:{i:-7;i:1;s:2:"07";i:2;i:7;i:3;}"#);
    check(&BTreeMap::from([(1_u8, 1), (3, 2)]), "a:2:{i:1;i:1;i:3;i:2;}");
    check(&BTreeMap::from([(false, 1), (true, 2)]), "a:2:{i:0;i:1;i:1;i:2;}");
    refused::<HashMap<u8, u8>>(r#"a:1:{s:1:"x";i:1;}"#);
    assert!(to_vec(&BTreeMap::from([(u64::MAX, 1)])).is_err());
    assert!(to_vec(&BTreeMap::from([(None::<u8>, 1)])).is_err());
}

#[test]
fn an_integer_beyond_php_is_refused_by_name() {
    let refused = to_vec(&u64::MAX).unwrap_err().to_string();
    assert!(refused.contains("64 bits"), "{refused}");
    assert_eq!(written(&i64::MIN), "i:-9223372036854775808;");
}

#[test]
fn numbers_fit_where_nothing_is_lost_and_texts_are_no_numbers() {
    assert_eq!(read::<f64>("i:5;").to_bits(), 5.0_f64.to_bits());
    assert_eq!(read::<u128>("i:5;"), 5);
    refused::<u8>("i:256;");
    refused::<u8>("i:-1;");
    refused::<u8>("d:5;");
    refused::<u8>(r#"s:1:"5";"#);
    refused::<String>("i:5;");
    refused::<bool>("i:1;");
    refused::<()>("b:0;");
}

#[test]
fn what_php_made_of_a_list_is_still_one() {
    // `unset($list[1])` leaves a hole, and sorting moves keys.
    assert_eq!(read::<Vec<u8>>("a:2:{i:0;i:7;i:2;i:9;}"), [7, 9]);
    assert_eq!(read::<Vec<u8>>("a:2:{i:1;i:7;i:0;i:9;}"), [7, 9]);
    assert_eq!(read::<(u8, u8)>("a:2:{i:0;i:7;i:1;i:9;}"), (7, 9));
    refused::<Vec<u8>>(r#"a:1:{s:1:"x";i:7;}"#);
    refused::<Vec<u8>>(r#"s:2:"ab";"#);
    assert_eq!(read::<HashMap<String, u8>>("a:0:{}"), HashMap::new());
}

#[test]
fn an_object_reads_as_a_struct_whatever_the_visibility() {
    let object = "O:4:\"Cart\":3:{s:8:\"\0*\0items\";a:1:{i:0;s:3:\"tea\";}s:10:\"\0Cart\0gift\";b:1;s:5:\"other\";N;}";
    let cart = Cart { items: vec!["tea".into()], gift: Some(true), note: None };
    assert_eq!(read::<Cart>(object), cart);
}

#[test]
fn of_two_private_properties_of_one_name_a_struct_sees_the_objects_own() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct P {
        p: u8,
        q: u8,
    }
    let object = "O:5:\"Child\":3:{s:9:\"\0Parent\0p\";i:1;s:8:\"\0Child\0p\";i:2;s:9:\"\0Parent\0q\";i:3;}";
    assert_eq!(read::<P>(object), P { p: 2, q: 3 });
}

#[test]
fn the_last_of_equal_keys_wins() {
    assert_eq!(read::<Vec<u8>>("a:2:{i:0;i:1;i:0;i:2;}"), [2]);
    let cart: Cart = read(r#"a:3:{s:5:"items";N;s:4:"gift";N;s:5:"items";a:0:{}}"#);
    assert_eq!(cart.items, Vec::<String>::new());
}

#[test]
fn bytes_that_are_no_text_are_read_as_bytes() {
    let document = b"s:2:\"\xff\0\";";
    assert_eq!(from_slice::<Value>(document).unwrap(), Value::Bytes(vec![0xff, 0]));
    assert_eq!(to_vec(&Value::Bytes(vec![0xff, 0])).unwrap(), document);
    assert!(from_slice::<String>(document).is_err());
    assert_eq!(read::<String>(r#"S:3:"\61b\63";"#), "abc");
}

#[test]
fn null_is_null_only() {
    assert!(is_null(b"N;"));
    assert!(!is_null(b"b:0;") && !is_null(b""));
}

#[test]
fn objects_enums_and_objects_of_their_own_format_survive_as_values() {
    for document in [
        "O:5:\"A\\B_\u{e9}\":3:{s:1:\"x\";i:1;s:4:\"\0*\0y\";O:1:\"C\":0:{}s:4:\"\0C\0z\";a:0:{}}",
        r#"E:11:"Suit:Hearts";"#,
        r#"C:3:"Foo":5:{a;}b{}"#,
        r#"a:1:{i:0;O:1:"A":0:{}}"#,
    ] {
        let document = document.replace("O:5:\"A\\B_\u{e9}\"", "O:6:\"A\\B_\u{e9}\"");
        assert_eq!(written(&read::<Value>(&document)), document);
    }
}

#[test]
fn an_object_tells_its_class_and_properties() {
    let Value::Object(object) = read("O:1:\"A\":2:{s:1:\"x\";i:1;s:4:\"\0*\0y\";N;}") else { panic!() };
    assert_eq!(object.class(), "A");
    let properties: Vec<_> =
        object.properties().map(|(name, value)| (name.into_owned(), value.clone())).collect();
    assert_eq!(properties, [("x".to_owned(), Value::from(1)), ("y".to_owned(), Value::Null)]);
    let Value::Object(hearts) = read(r#"E:11:"Suit:Hearts";"#) else { panic!() };
    assert_eq!((hearts.class().as_ref(), hearts.case().as_deref()), ("Suit", Some("Hearts")));
    let Value::Object(own) = read(r#"C:3:"Foo":3:{raw}"#) else { panic!() };
    assert_eq!((own.class().as_ref(), own.data()), ("Foo", Some(b"raw".as_slice())));
    assert_eq!(format!("{own:?} {hearts:?}"), "PhpObject(3 bytes) PhpObject(a case)");
}

#[test]
fn references_are_followed() {
    assert_eq!(read::<Vec<u8>>("a:3:{i:0;i:7;i:1;R:2;i:2;R:2;}"), [7, 7, 7]);
    let twice: Vec<HashMap<String, u8>> = read(r#"a:2:{i:0;O:1:"A":1:{s:1:"x";i:1;}i:1;r:2;}"#);
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn a_value_that_contains_itself_is_an_error_that_says_so() {
    let says = |document: &str| from_slice::<Value>(document.as_bytes()).expect_err("refused").to_string();
    assert!(says(r#"O:1:"A":1:{s:1:"x";r:1;}"#).contains("contains itself"));
    assert!(from_slice::<u8>(b"s:1:\"7\";").expect_err("refused").to_string().contains("another type"));
    refused::<Value>("a:1:{i:0;R:1;}");
    refused::<Value>(r#"O:1:"A":1:{s:1:"x";r:1;}"#);
    refused::<Value>("a:4:{i:0;R:1;i:1;R:1;i:2;R:1;i:3;R:1;}");
}

#[test]
fn a_small_value_that_is_large_when_it_is_followed_is_an_error() {
    let mut laughs = String::from("a:60:{i:0;a:0:{}");
    for at in 1..60 {
        // Each array holds the one before it twice; that is in slot `at + 1`.
        laughs += &format!("i:{at};a:2:{{i:0;R:{slot};i:1;R:{slot};}}", slot = at + 1);
    }
    refused::<Value>(&(laughs + "}"));
}

#[test]
fn entries_that_are_passed_over_count_too() {
    #[derive(Deserialize)]
    struct Nothing {}
    let wide: String = (0..2_000).map(|at| format!("s:5:\"k{at:04}\";N;")).collect();
    let again: String = (1..2_000).map(|at| format!("i:{at};r:2;")).collect();
    refused::<Vec<Nothing>>(&format!("a:2000:{{i:0;O:1:\"A\":2000:{{{wide}}}{again}}}"));
    let few = format!("a:2:{{i:0;O:1:\"A\":2000:{{{wide}}}i:1;r:2;}}");
    assert_eq!(read::<Vec<Nothing>>(&few).len(), 2);
}

#[test]
fn a_value_nested_too_deeply_is_neither_read_nor_written() {
    let nested = |levels: usize| ["a:1:{i:0;".repeat(levels), "N;".into(), "}".repeat(levels)].concat();
    assert!(from_slice::<Value>(nested(64).as_bytes()).is_ok());
    refused::<Value>(&nested(65));
    refused::<Value>(&nested(4_000));
    let deep = (0..65).fold(Value::Null, |value, _| Value::from(vec![value]));
    assert!(to_vec(&deep).is_err());
}

#[test]
fn what_is_not_one_value_is_an_error() {
    for document in ["", ";", "i:1", "i:1;i:2;", "r:1;", "a:1:{i:0;r:1;}", "R:1;", "s:99999999999:\"x\";"] {
        refused::<Value>(document);
    }
}
