use super::*;
use crate::events::{Event, EventKind};
use crate::store::UserKey;

use std::sync::{Arc, Mutex};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const END: Timestamp = Timestamp::from_micros(1_999_999_999_000_000);
const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/cookie-v1.bin");

fn ring(keys: &[u8]) -> KeyRing {
    let key = |first: &u8| std::array::from_fn(|at| first.wrapping_add(at as u8));
    KeyRing::from_bytes(keys.iter().map(key)).unwrap()
}

fn carrier_named(name: &str, keys: &[u8]) -> Carrier {
    let policy = Policy::builder().cookie_name(name).build().unwrap();
    Carrier::new(&policy, &ring(keys))
}

fn carrier(keys: &[u8]) -> Carrier {
    carrier_named("session", keys)
}

fn token() -> Token {
    Token::from_bytes(&std::array::from_fn(|at| at as u8))
}

fn record(payload: Bytes) -> Record {
    let user = Some(UserKey::from_bytes([7; 16]));
    let expires_at = Timestamp::from_micros(1_800_000_000_000_000);
    Record { payload, version: Version::fresh(), expires_at, user }
}

fn payload() -> Bytes {
    Bytes::from_static(include_bytes!("../../../tests/golden/record-v1.bin"))
}

fn header() -> Header {
    let mut header = record::decode(&payload()).unwrap().header;
    header.absolute_at = END;
    header
}

/// Bytes that can't be made shorter than they are.
fn large(len: usize) -> Bytes {
    (0..len).map(|at| (at * 31) as u8).collect::<Vec<_>>().into()
}

/// A browser that sends back what it was sent.
fn crumbs(carrier: &Carrier, set_cookies: &[String]) -> Crumbs {
    let pairs: Vec<_> = set_cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    carrier.collect(std::iter::once(pairs.join("; ").as_bytes()))
}

fn issue(carrier: &Carrier, payload: Bytes) -> Vec<String> {
    carrier.issue(&Crumbs::default(), &token(), &record(payload), &header(), None).unwrap()
}

/// Opens, and tells which anomalies were told.
fn open(carrier: &Carrier, crumbs: &Crumbs, now: Timestamp) -> (Result<Vec<(Token, Found)>>, Vec<Anomaly>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let told = Arc::clone(&told);
        move |event: &Event<'_>| {
            if let EventKind::Anomaly(anomaly) = event.kind {
                told.lock().unwrap().push(anomaly);
            }
        }
    };
    let observer = Observer::new(Some(Arc::new(listener)), "cookie", None);
    let opened = carrier.open(crumbs, now, &observer);
    drop(observer);
    (opened, Arc::into_inner(told).unwrap().into_inner().unwrap())
}

#[track_caller]
fn check_opens(carrier: &Carrier, set_cookies: &[String], payload: &Bytes) {
    let (opened, told) = open(carrier, &crumbs(carrier, set_cookies), NOW);
    let opened = opened.unwrap();
    assert_eq!((opened.len(), told), (1, vec![]));
    let (token, found) = &opened[0];
    assert_eq!(token.encode(), self::token().encode());
    assert_eq!(&found.record.payload, payload);
    assert_eq!(found.record.expires_at, record(payload.clone()).expires_at);
}

#[test]
fn a_session_comes_back_as_it_was() {
    let carrier = carrier(&[0]);
    let set_cookies = issue(&carrier, payload());
    assert_eq!(set_cookies.len(), 1);
    assert!(set_cookies[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
    check_opens(&carrier, &set_cookies, &payload());
}

#[test]
fn the_bytes_are_the_golden_ones() {
    let carrier = carrier(&[0]);
    let head = head(1, END);
    let mut parcel = head.to_vec();
    let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
    let message = message(&token(), &record(payload()));
    carrier.sealer.seal_with(nonce, &mut parcel, &message, &carrier.bound(&head));
    assert_eq!(parcel, GOLDEN);
    check_opens(&carrier, &[format!("session={}", URL_SAFE_NO_PAD.encode(GOLDEN))], &payload());
}

#[test]
fn a_large_session_travels_in_several_cookies_that_browsers_keep() {
    let carrier = carrier(&[0]);
    for len in [2_800, 2_950, 3_000, 5_000, 5_600] {
        let set_cookies = issue(&carrier, large(len));
        assert!(set_cookies.iter().all(|cookie| cookie.len() <= 4_096), "{len}");
        assert_eq!(set_cookies.len(), if len < 2_900 { 1 } else { 2 }, "{len}");
        check_opens(&carrier, &set_cookies, &large(len));
    }
}

#[test]
fn what_would_not_fit_is_refused() {
    let carrier = carrier(&[0]);
    let fits = |len| carrier.issue(&Crumbs::default(), &token(), &record(large(len)), &header(), None);
    let largest = (5_000..8_000).rev().find(|len| fits(*len).is_ok()).unwrap();
    let sent: Vec<_> = fits(largest).unwrap();
    let line: usize = sent.iter().map(|cookie| cookie.split(';').next().unwrap().len() + 2).sum();
    assert!((7_990..=8_000).contains(&line), "{line} bytes of the request");
    for len in [largest + 2, 1_000_000, 16 * 1_024 * 1_024] {
        assert_eq!(fits(len).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn the_parts_of_a_longer_value_are_removed_with_it() {
    let carrier = carrier(&[0]);
    let before = issue(&carrier, large(5_000));
    let came = crumbs(&carrier, &before);
    let after = carrier.issue(&came, &token(), &record(payload()), &header(), None).unwrap();
    assert_eq!(after.len(), 2);
    assert!(after[1].starts_with("session.1=; Max-Age=0;"), "{}", after[1]);
    let ended = carrier.remove(&came);
    assert!(ended[0].starts_with("session=; Max-Age=0;") && ended[1].starts_with("session.1=; Max-Age=0;"));
    assert_eq!(carrier.remove(&Crumbs::default()).len(), 1);
    // A response that knew nothing of the second part leaves it behind, and it does no harm.
    let jar = [issue(&carrier, payload()), before[1..].to_vec()].concat();
    check_opens(&carrier, &jar, &payload());
}

#[test]
fn every_changed_character_is_noticed() {
    let carrier = carrier(&[0]);
    let set_cookies = issue(&carrier, payload());
    let value = set_cookies[0].strip_prefix("session=").unwrap().split(';').next().unwrap();
    for at in 0..value.len() {
        let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("session={}{other}{}", &value[..at], &value[at + 1..]);
        let (opened, _) = open(&carrier, &crumbs(&carrier, &[changed]), NOW);
        // Beyond the head, nothing that was changed may look like a fault of this server.
        match opened {
            Ok(opened) => assert!(opened.is_empty(), "character {at}"),
            Err(error) => assert!((4..24).contains(&at), "character {at}: {error}"),
        }
    }
    for len in 0..value.len() {
        let cut = format!("session={}", &value[..len]);
        let (opened, _) = open(&carrier, &crumbs(&carrier, &[cut]), NOW);
        assert!(opened.unwrap().is_empty(), "cut at {len}");
    }
}

#[test]
fn a_session_opens_under_its_own_name_only() {
    let (here, there) = (carrier(&[0]), carrier_named("other", &[0]));
    let moved = vec![issue(&there, payload())[0].replacen("other=", "session=", 1)];
    let (opened, told) = open(&here, &crumbs(&here, &moved), NOW);
    assert!(opened.unwrap().is_empty());
    assert_eq!(told, [Anomaly::Forged]);
}

#[test]
fn parts_of_two_responses_are_not_mixed() {
    let carrier = carrier(&[0]);
    let (one, two) = (issue(&carrier, large(5_000)), issue(&carrier, large(5_000)));
    let (opened, told) = open(&carrier, &crumbs(&carrier, &[one[0].clone(), two[1].clone()]), NOW);
    assert!(opened.unwrap().is_empty());
    assert_eq!(told, [Anomaly::IncompleteCookie]);
    // Marked as the other one's, it is found, and the seal refuses it.
    let mark = &one[0]["session=".len() + 24..][..8];
    let (name, value) = two[1].split_once('=').unwrap();
    let marked = format!("{name}={mark}{}", &value[8..]);
    let (opened, told) = open(&carrier, &crumbs(&carrier, &[one[0].clone(), marked]), NOW);
    assert!(opened.unwrap().is_empty());
    assert_eq!(told, [Anomaly::Forged]);
}

#[test]
fn keys_are_replaced_without_losing_a_session() {
    let old = issue(&carrier(&[7]), payload());
    check_opens(&carrier(&[9, 7]), &old, &payload());
    let new = issue(&carrier(&[9, 7]), payload());
    check_opens(&carrier(&[9]), &new, &payload());
}

/// A node that was started with the wrong keys must not turn everybody into a stranger.
#[test]
fn a_missing_key_is_an_error_until_the_session_would_have_ended() {
    let old = issue(&carrier(&[7]), payload());
    let wrong = carrier(&[9]);
    let (opened, told) = open(&wrong, &crumbs(&wrong, &old), NOW);
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::KeyMissing);
    assert_eq!(told, [Anomaly::KeyMissing]);
    let (opened, told) = open(&wrong, &crumbs(&wrong, &old), END + Duration::from_secs(2));
    assert!(opened.unwrap().is_empty() && told.is_empty());
    // Beside a session that opens it is no reason to fail.
    let both = [old, issue(&wrong, payload())].concat();
    assert_eq!(open(&wrong, &crumbs(&wrong, &both), NOW).0.unwrap().len(), 1);
}

#[test]
fn a_newer_version_is_left_alone() {
    let mut newer = GOLDEN.to_vec();
    newer[AT_VERSION] = VERSION + 1;
    let carrier = carrier(&[0]);
    let cookie = format!("session={}", URL_SAFE_NO_PAD.encode(newer));
    assert!(cookie.starts_with("session=STFC"));
    let (opened, _) = open(&carrier, &crumbs(&carrier, &[cookie]), NOW);
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::NewerFormat);
}
