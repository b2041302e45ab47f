//! Sessions in pieces, and joined again.

use super::super::split::slice;
use super::super::{Content, check_key, join, split};
use crate::error::ErrorKind;
use crate::policy::PhpFormat::{self, Php, PhpBinary, PhpSerialize};

fn keys(format: PhpFormat, session: &[u8]) -> Vec<(String, String)> {
    let split = split(format, session).unwrap();
    let show = |range| slice(session, range).escape_ascii().to_string();
    split.pieces.iter().map(|piece| (show(&piece.key), show(&piece.value))).collect()
}

#[track_caller]
fn check_split(format: PhpFormat, session: &[u8], expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(keys(format, session), expected);
}

/// Joins the session with what is said of each key: kept, or new. What is not said is dropped.
fn edit(format: PhpFormat, session: &[u8], plan: &[(&str, Option<&str>)]) -> crate::Result<String> {
    let split = split(format, session)?;
    let place = |key: &str| {
        split.pieces.iter().position(|piece| slice(session, &piece.key) == key.as_bytes()).expect("the key")
    };
    let entries = plan.iter().map(|(key, value)| {
        let content = value.map_or_else(|| Content::Kept(place(key)), |value| Content::New(value.as_bytes()));
        (key.as_bytes(), content)
    });
    join(format, Some((session, &split)), entries).map(|joined| joined.escape_ascii().to_string())
}

#[track_caller]
fn check_edit(format: PhpFormat, session: &str, plan: &[(&str, Option<&str>)], expected: &str) {
    let joined = edit(format, session.as_bytes(), plan).unwrap();
    assert_eq!(joined, expected.as_bytes().escape_ascii().to_string());
}

#[test]
fn a_session_is_split_in_each_format() {
    let pieces = [("a", "i:1;"), ("b", "N;")];
    check_split(Php, b"a|i:1;b|N;", &pieces);
    check_split(PhpBinary, b"\x01ai:1;\x01bN;", &pieces);
    check_split(PhpSerialize, br#"a:2:{s:1:"a";i:1;s:1:"b";N;}"#, &pieces);
}

#[test]
fn an_empty_session_has_no_pieces() {
    check_split(Php, b"", &[]);
    check_split(PhpBinary, b"", &[]);
    for empty in ["", "N;", "a:0:{}"] {
        check_split(PhpSerialize, empty.as_bytes(), &[]);
    }
}

#[test]
fn odd_keys_are_keys() {
    check_split(Php, b"|i:1;!x|i:2;a b|N;", &[("", "i:1;"), ("!x", "i:2;"), ("a b", "N;")]);
    check_split(PhpSerialize, br#"a:2:{i:-5;i:1;s:3:"a|b";N;}"#, &[("-5", "i:1;"), ("a|b", "N;")]);
    // The eighth bit of the length once meant "unset".
    check_split(PhpBinary, b"\x81ai:1;", &[("a", "i:1;")]);
}

#[test]
fn the_last_of_equal_keys_wins_where_the_first_one_is() {
    check_split(Php, b"a|i:1;b|i:2;a|i:3;", &[("a", "i:3;"), ("b", "i:2;")]);
    check_split(PhpSerialize, br#"a:2:{i:5;i:1;s:1:"5";i:2;}"#, &[("5", "i:2;")]);
}

#[test]
fn what_follows_the_array_of_php_serialize_is_not_looked_at() {
    check_split(PhpSerialize, br#"a:1:{s:1:"a";i:1;}garbage"#, &[("a", "i:1;")]);
}

#[test]
fn a_key_that_php_never_writes_so_leaves_the_session_alone() {
    for key in ["i:-05;", "i:99999999999999999999;", r#"S:1:"\61";"#] {
        let session = format!("a:1:{{{key}N;}}");
        let refused = split(PhpSerialize, session.as_bytes()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{key}");
    }
}

#[test]
fn no_debug_output_shows_a_key_or_a_value() {
    let shown = format!("{:?}", split(Php, b"secret|a:1:{i:0;R:1;}").unwrap());
    assert!(!shown.contains("secret") && !shown.contains("97"), "{shown}");
}

#[test]
fn an_edit_leaves_the_other_pieces_as_they_are() {
    let session = r#"a|i:01;b|s:3:"two";c|a:1:{i:0;d:0.10000000000000001;}"#;
    check_edit(Php, session, &[("a", None), ("b", Some("N;")), ("c", None)], {
        "a|i:01;b|N;c|a:1:{i:0;d:0.10000000000000001;}"
    });
    check_edit(PhpBinary, "\x01ai:1;\x01bN;", &[("b", None), ("c", Some("b:1;"))], "\x01bN;\x01cb:1;");
    check_edit(
        PhpSerialize,
        r#"a:2:{s:1:"a";i:1;i:7;N;}"#,
        &[("7", None), ("08", Some("i:1;")), ("9", Some("i:2;"))],
        r#"a:3:{i:7;N;s:2:"08";i:1;i:9;i:2;}"#,
    );
}

#[test]
fn a_new_session_is_written_in_each_format() {
    let entries = || [(b"a".as_slice(), Content::New(b"i:1;"))].into_iter();
    assert_eq!(join(Php, None, entries()).unwrap(), b"a|i:1;");
    assert_eq!(join(PhpBinary, None, entries()).unwrap(), b"\x01ai:1;");
    assert_eq!(join(PhpSerialize, None, entries()).unwrap(), br#"a:1:{s:1:"a";i:1;}"#);
    assert_eq!(join(PhpSerialize, None, [].into_iter()).unwrap(), b"a:0:{}");
}

#[test]
fn the_numbers_of_references_follow_their_values() {
    let (all, object) = ([("n", None), ("o", None), ("p", None)], r#"O:8:"stdClass":1:{s:1:"n";i:1;}"#);
    let session = format!("n|i:1;o|{object}p|r:2;");
    check_edit(Php, &session, &all, &session);
    check_edit(Php, &session, &[("o", None), ("p", None)], &format!("o|{object}p|r:1;"));
    let longer = [("n", Some("a:1:{i:0;i:1;}")), ("o", None), ("p", None)];
    check_edit(Php, &session, &longer, &format!("n|a:1:{{i:0;i:1;}}o|{object}p|r:3;"));
    // In `php_serialize` the array of all is in the first slot.
    let session = format!(r#"a:2:{{s:1:"o";{object}s:1:"p";r:2;}}"#);
    let joined = format!(r#"a:3:{{i:0;N;s:1:"o";{object}s:1:"p";r:3;}}"#);
    check_edit(PhpSerialize, &session, &[("0", Some("N;")), ("o", None), ("p", None)], &joined);
}

#[test]
fn the_first_that_refers_to_a_value_that_went_gets_it() {
    let object = r#"O:8:"stdClass":1:{s:1:"n";i:1;}"#;
    let session = format!("o|{object}p|r:1;q|a:2:{{i:0;r:1;i:1;R:1;}}");
    let expected = format!("p|{object}q|a:2:{{i:0;r:1;i:1;r:1;}}");
    check_edit(Php, &session, &[("p", None), ("q", None)], &expected);
    check_edit(Php, "a|i:7;b|R:1;c|R:1;", &[("a", Some("i:8;")), ("b", None), ("c", None)], {
        "a|i:8;b|i:7;c|R:2;"
    });
}

#[test]
fn a_new_value_with_references_is_numbered_for_its_place() {
    let alone = r#"a:2:{i:0;O:8:"stdClass":0:{}i:1;r:2;}"#;
    check_edit(
        Php,
        "a|i:1;",
        &[("a", None), ("b", Some(alone))],
        &format!("a|i:1;b|{}", alone.replace("r:2", "r:3")),
    );
    // A text that looks like a reference is none.
    check_edit(Php, "a|i:1;", &[("b", Some(r#"s:4:"r:1;";"#))], r#"b|s:4:"r:1;";"#);
    assert!(edit(Php, b"", &[("b", Some("a:1:{i:0;r:9;}"))]).is_err());
}

#[test]
fn a_reading_stands_by_itself() {
    let reading = |session: &str, at: usize| {
        let split = split(Php, session.as_bytes()).unwrap();
        split.pieces[at].reading.as_deref().map(|bytes| bytes.escape_ascii().to_string())
    };
    assert_eq!(reading("a|i:1;b|R:1;", 0), None);
    assert_eq!(reading("a|i:1;b|R:1;", 1).unwrap(), "i:1;");
    assert_eq!(reading("a|i:1;b|a:2:{i:0;i:2;i:1;R:3;}", 1).unwrap(), "a:2:{i:0;i:2;i:1;R:2;}");
    assert_eq!(reading("a|a:1:{i:0;R:1;}b|R:1;", 1).unwrap(), "a:1:{i:0;R:1;}");
    assert_eq!(reading("a|O:1:\"A\":0:{}b|a:2:{i:0;r:1;i:1;r:1;}", 1).unwrap().matches('O').count(), 1);
}

#[test]
fn readings_together_have_a_limit() {
    let large = format!("a|O:1:\"A\":1:{{s:1:\"x\";s:100000:\"{}\";}}", "x".repeat(100_000));
    let session = (0..1_000).fold(large, |session, at| session + &format!("k{at}|r:1;"));
    let split = split(Php, session.as_bytes()).unwrap();
    let readings: usize =
        split.pieces.iter().filter_map(|piece| piece.reading.as_ref()).map(|r| r.len()).sum();
    assert!(readings < 4 << 20, "{readings}");
    assert!(split.pieces.last().unwrap().reading.as_ref().is_some_and(|reading| reading.is_empty()));
}

#[test]
fn an_object_with_a_format_of_its_own_is_kept() {
    let session = r#"n|i:1;c|C:3:"Foo":5:{a;}b{}z|i:2;"#;
    check_split(Php, session.as_bytes(), &[("n", "i:1;"), ("c", r#"C:3:\"Foo\":5:{a;}b{}"#), ("z", "i:2;")]);
    check_edit(Php, session, &[("c", None)], r#"c|C:3:"Foo":5:{a;}b{}"#);
}

#[test]
fn numbers_that_cannot_be_told_are_never_changed() {
    // Whether `Foo` numbered anything inside, only its class knows; so `r:3` may be anything.
    let session = r#"n|i:1;c|C:3:"Foo":0:{}o|O:1:"A":0:{}p|r:3;z|i:1;"#;
    let all = |n, z| [("n", n), ("c", None), ("o", None), ("p", None), ("z", z)];
    check_edit(Php, session, &all(None, None), session);
    check_edit(
        Php,
        session,
        &all(Some("i:22;"), Some("a:0:{}")),
        &session.replace("n|i:1;", "n|i:22;").replace("z|i:1;", "z|a:0:{}"),
    );
    let refused = edit(Php, session.as_bytes(), &all(Some("a:1:{i:0;i:1;}"), None)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Codec);
    assert!(edit(Php, session.as_bytes(), &all(None, None)[1..]).is_err());
    let split = split(Php, session.as_bytes()).unwrap();
    assert_eq!(split.pieces[3].reading.as_deref(), Some([].as_slice()));
    // The same where what looks like a reference is inside.
    let session = r#"o|O:1:"A":0:{}c|C:3:"Foo":4:{r:1;}"#;
    check_edit(Php, session, &[("o", None), ("c", None)], session);
    assert!(edit(Php, session.as_bytes(), &[("c", None)]).is_err());
}

#[test]
fn a_key_that_php_would_lose_is_refused() {
    let kind = |format, key: &str| check_key(format, key.as_bytes()).err().map(|error| error.kind());
    for key in ["", "a", "a b", "08", "-0", "1.5", "9223372036854775808", "é"] {
        assert_eq!([Php, PhpBinary, PhpSerialize].map(|format| kind(format, key)), [None; 3], "{key}");
    }
    assert_eq!(kind(Php, "a|b"), Some(ErrorKind::Codec));
    assert_eq!(kind(PhpBinary, "a|b"), None);
    for key in ["5", "0", "-7", "9223372036854775807"] {
        let refused = [Php, PhpBinary, PhpSerialize].map(|format| kind(format, key));
        assert_eq!(refused, [Some(ErrorKind::Codec), Some(ErrorKind::Codec), None], "{key}");
    }
    assert_eq!(kind(PhpBinary, &"k".repeat(127)), None);
    assert_eq!(kind(PhpBinary, &"k".repeat(128)), Some(ErrorKind::TooLarge));
    assert!(edit(Php, b"", &[("a|b", Some("N;"))]).is_err());
    // PHP reads such a key, though it can't be reached there; it goes back as it came.
    check_edit(Php, "5|i:1;", &[("5", None), ("a", Some("N;"))], "5|i:1;a|N;");
}
