//! Sessions that PHP made at random: split, changed, joined, and read by PHP again.

use serde_json::json;
use steadfast::PhpFormat;
use steadfast::fuzzing::{PhpPiece, join_php, split_php};

use super::{FORMATS, Php, Random, base, show};

/// How many sessions are made for each format.
const SESSIONS: u64 = 1_500;

/// Values that take the place of others; some refer to themselves.
const NEW: [&[u8]; 6] = [
    b"i:5;",
    b"N;",
    b"s:4:\"r:1;\";",
    b"a:2:{i:0;i:1;i:1;i:2;}",
    b"a:2:{i:0;O:8:\"stdClass\":0:{}i:1;r:2;}",
    b"a:2:{i:0;i:7;s:1:\"x\";R:2;}",
];

/// An object in a format of its class's own: references behind it can't be counted.
fn has_custom(session: &[u8]) -> bool {
    session.windows(3).any(|three| three == b"C:6")
}

/// PHP's `unserialize()`, which judges new values, loses a reference to the value itself.
fn can_be_new(reading: &[u8]) -> bool {
    !reading.is_empty() && !reading.windows(4).any(|four| four == b"R:1;")
}

pub(super) type Plan<'a> = Vec<(&'a [u8], Result<usize, &'a [u8]>)>;

/// Keeps most pieces, drops or changes some, and adds one now and then.
fn plan<'a>(pieces: &'a [PhpPiece], random: &mut Random) -> Plan<'a> {
    let mut plan: Plan<'_> = Vec::new();
    for (at, (key, _, reading)) in pieces.iter().enumerate() {
        match random.below(8) {
            0 => {}
            1 => plan.push((key, Err(NEW[random.below(NEW.len())]))),
            2 if reading.as_deref().is_some_and(can_be_new) => {
                plan.push((key, Err(reading.as_deref().unwrap())));
            }
            _ => plan.push((key, Ok(at))),
        }
    }
    if plan.len() > 1 && random.one_in(4) {
        let (one, other) = (random.below(plan.len()), random.below(plan.len()));
        plan.swap(one, other);
    }
    if random.one_in(3) {
        let at = random.below(plan.len() + 1);
        plan.insert(at, (b"new one", Err(NEW[random.below(NEW.len())])));
    }
    plan
}

/// Joins a session, and has PHP compare the result with what it makes of the plan itself.
#[track_caller]
pub(super) fn check_join(php: &mut Php, format: PhpFormat, session: &[u8], plan: &Plan<'_>) {
    let result = match join_php(format, session, plan) {
        Ok(result) => result,
        Err(_) if has_custom(session) => return,
        Err(error) => panic!("{error}: {}", show(session)),
    };
    let asked: Vec<_> =
        plan.iter().map(|(key, content)| json!([base(key), content.err().map(base)])).collect();
    let question = json!({ "join": base(session), "plan": asked, "result": base(&result) });
    let answer = php.ask(&question);
    assert_eq!(answer["same"], true, "{}\nbecame {}\n{answer}", show(session), show(&result));
}

#[test]
fn an_edited_session_is_to_php_what_php_would_have_made_of_it() {
    for format in FORMATS {
        let mut php = Php::new(format);
        for seed in 0..SESSIONS {
            let session = php.make(seed);
            let pieces = split_php(format, &session).unwrap_or_else(|| panic!("{}", show(&session)));
            let plan = plan(&pieces, &mut Random(seed));
            check_join(&mut php, format, &session, &plan);
        }
    }
}

#[test]
fn a_session_that_nobody_touched_is_written_byte_for_byte() {
    for format in FORMATS {
        let mut php = Php::new(format);
        for seed in 0..SESSIONS {
            let session = php.make(seed);
            let pieces = split_php(format, &session).unwrap();
            let plan: Plan<'_> =
                pieces.iter().enumerate().map(|(at, (key, ..))| (key.as_slice(), Ok(at))).collect();
            let result = join_php(format, &session, &plan).unwrap();
            // PHP writes an empty session of `php_serialize` as an empty array.
            if !session.is_empty() {
                assert_eq!(show(&result), show(&session));
            }
        }
    }
}

#[test]
fn the_reading_of_a_key_is_what_php_holds_under_it() {
    for format in FORMATS {
        let mut php = Php::new(format);
        for seed in 0..SESSIONS {
            let session = php.make(seed);
            let pieces = split_php(format, &session).unwrap();
            let readings: Vec<_> = pieces
                .iter()
                .map(|(key, value, reading)| (key, reading.as_ref().unwrap_or(value)))
                .filter(|(_, reading)| format == PhpFormat::Php || can_be_new(reading))
                .map(|(key, reading)| json!([base(key), base(reading)]))
                .collect();
            if has_custom(&session) {
                continue;
            }
            let answer = php.ask(&json!({ "values": base(&session), "readings": readings }));
            assert_eq!(answer["same"], true, "{}\n{answer}", show(&session));
        }
    }
}

#[test]
fn damaged_sessions_are_read_or_refused_as_php_does() {
    for format in FORMATS {
        let mut php = Php::new(format);
        for seed in 0..SESSIONS {
            let mut random = Random(seed);
            let mut session = php.make(seed % 300);
            for _ in 0..=random.below(2) {
                damage(&mut session, &mut random);
            }
            // Classes and enums' cases are checked by PHP alone, which has their code.
            let of_a_class = [&b"E:"[..], b"C:", b"Point", b"Farther"];
            if of_a_class.iter().any(|name| session.windows(name.len()).any(|part| part == *name)) {
                continue;
            }
            let ours = split_php(format, &session).is_some();
            assert_eq!(ours, php.accepts(&session), "{}", show(&session));
        }
    }
}

fn damage(session: &mut Vec<u8>, random: &mut Random) {
    if session.is_empty() {
        return;
    }
    let at = random.below(session.len());
    match random.below(5) {
        0 => session.truncate(at),
        1 => session[at] ^= 1 << random.below(8),
        2 => session[at] = b"0123456789:;{}\"aRrisN"[random.below(21)],
        3 => drop(session.remove(at)),
        _ => {
            let end = at + random.below(session.len() - at);
            let part = session[at..end].to_vec();
            session.splice(at..at, part);
        }
    }
}
