//! Records sealed at rest: through the whole library, over the store that a thief or a careless operator sees.

use std::future::ready;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::memory::MemoryStore;
use steadfast::store::{LeaseEnd, Listed, Record, SealedStore, Store, Updated, Version};
use steadfast::testing::{ManualClock, Op, Reply};
use steadfast::{Anomaly, CommitError, Error, ErrorKind, EventKind, KeyRing, Result, Session, SessionView};

use crate::site::{COOKIE, Site, Visitor, moved, page};

fn ring(keys: &[u8]) -> KeyRing {
    let key = |first: &u8| std::array::from_fn(|at| first.wrapping_add(at as u8));
    KeyRing::from_bytes(keys.iter().map(key)).unwrap()
}

async fn harness() -> Harness {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    // The second handle belongs to a node that has the newer key, too, and seals under it.
    let (first, second) = (ring(&[1, 9]), ring(&[9, 1]));
    let first = SealedStore::new(store.clone(), &first);
    Harness::new(first, SealedStore::new(store, &second), TestTime::Manual(clock))
}

conformance_suite! { mod sealed_store, harness }

fn sealed_site(keys: &[u8]) -> Site {
    Site::new(|policy| policy.key_ring(ring(keys)))
}

/// Another node on the same store, with other keys or none.
fn node(site: &Site, keys: &[u8]) -> Site {
    let with_keys = |policy: steadfast::PolicyBuilder| match keys {
        [] => policy,
        keys => policy.key_ring(ring(keys)),
    };
    Site::on(site.store.clone(), site.clock.clone(), with_keys)
}

fn at(visitor: &Visitor, site: &Site) -> Visitor {
    Visitor::of(moved(&visitor.browser, site))
}

async fn records(site: &Site) -> Vec<Listed> {
    site.store.page(None, NonZeroUsize::MAX).await.unwrap()
}

async fn overwrite(site: &Site, Listed { key, record }: &Listed, payload: Bytes) {
    let written = Record { payload, version: Version::fresh(), ..record.clone() };
    let updated = site.store.update(key, record.version, &written, LeaseEnd::None).await;
    assert_eq!(updated.unwrap(), Updated::Stored);
}

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

/// What a page answers that reads in its handler, whichever way it takes the session.
async fn read_at(visitor: &Visitor, path: &str) -> Reply {
    if path == "/view" {
        return visitor.start(page(path), |s: SessionView| ready(s.get::<u32>("a").map(drop))).await;
    }
    visitor.start(page(path), |s: Session| ready(a(&s).map(drop))).await
}

/// Checks that a visitor is turned away with an error, on every kind of route, and that nothing was changed.
async fn check_turned_away(site: &Site, visitor: &Visitor, anomaly: Anomaly) {
    let before = records(site).await;
    site.settle().await;
    for (turn, path) in (1..).zip(["/view", "/merge", "/exclusive"]) {
        let reply = read_at(visitor, path).await;
        assert_eq!((reply.status().as_u16(), reply.set_cookies().count()), (503, 0), "{path}");
        assert_eq!(site.events.count(EventKind::Anomaly(anomaly)), turn, "{path}");
    }
    let tolerant = |session: Result<Session, Error>| ready(session.unwrap_err().kind().as_str());
    let reply = visitor.start(page("/tolerant"), tolerant).await;
    assert_eq!(reply.text(), anomaly.as_str(), "a handler can tell it from `no session`");
    site.sessions.shutdown().await;
    assert_eq!(site.store.faults().calls(Op::SetAside), 0);
    assert_eq!(records(site).await, before, "nothing was written or set aside");
}

#[tokio::test]
async fn nothing_of_a_session_can_be_read_in_its_store() {
    let site = sealed_site(&[1]);
    let mut visitor = Visitor::of(site.visitor().browser.with_user_agent("Laptop/2"));
    visitor.page(|s| s.set("iban", "DE02120300000000202051")).await;
    visitor.page(|s| s.login("alice")).await;
    visitor.page(|s| s.set("late", "DE02120300000000202051")).await;
    for Listed { record, .. } in records(&site).await {
        for text in ["iban", "DE02", "alice", "Laptop"] {
            let found = record.payload.windows(text.len()).any(|bytes| bytes == text.as_bytes());
            assert!(!found, "{text}");
        }
    }
    let read = visitor.page(|s| Ok((s.get::<String>("late")?, s.user()))).await;
    assert_eq!(read, (Some("DE02120300000000202051".to_owned()), Some("alice".to_owned())));
}

#[tokio::test]
async fn sealing_costs_no_store_call() {
    let mut trips = Vec::new();
    for site in [Site::new(|p| p), sealed_site(&[1])] {
        let mut visitor = site.visitor();
        visitor.page(|s| s.set("a", 1)).await;
        site.clock.advance(Duration::from_secs(301));
        for _ in 0..3 {
            visitor.page(|s| s.increment("a", 1)).await;
        }
        visitor.page(|s| s.login("alice")).await;
        visitor.view(|s| s.get::<u32>("a")).await;
        visitor.page(|s| s.logout()).await;
        trips.push(site.round_trips().await);
    }
    assert_eq!(trips[0], trips[1]);
}

#[tokio::test]
async fn overlapping_requests_of_a_sealed_session_all_count() {
    let site = sealed_site(&[1]);
    let visitor = site.visitor_with(|s| s.set("a", 0)).await;
    let count = |path| {
        let visitor = visitor.clone();
        tokio::spawn(async move {
            visitor.start(page(path), |s: Session| ready(s.increment("a", 1).map(drop))).await
        })
    };
    let requests: Vec<_> = ["/merge", "/exclusive"].repeat(20).into_iter().map(count).collect();
    for request in requests {
        assert_eq!(request.await.unwrap().status(), 200);
    }
    assert_eq!(visitor.clone().page(a).await, Some(40));
}

/// The worst that a mistake in the configuration could do.
#[tokio::test]
async fn a_wrong_or_missing_key_ring_signs_nobody_out_and_overwrites_nothing() {
    let site = sealed_site(&[1]);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    for keys in [&[9][..], &[]] {
        let wrong = node(&site, keys);
        check_turned_away(&wrong, &at(&visitor, &wrong), Anomaly::KeyMissing).await;
    }
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn a_commit_on_a_record_whose_key_has_gone_is_an_error_too() {
    let site = sealed_site(&[1]);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let held = visitor.hold("/merge", |s| s.set("a", 2)).await;
    let newer = node(&site, &[9, 1]);
    at(&visitor, &newer).page(|s| s.set("b", 2)).await;
    let reply = held.finish().await;
    assert_eq!((reply.status().as_u16(), reply.set_cookies().count()), (503, 0));
    let CommitError(error) = reply.extensions().get().unwrap();
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
}

#[tokio::test]
async fn keys_are_replaced_without_signing_anybody_out() {
    let old = sealed_site(&[1]);
    let (both, new) = (node(&old, &[9, 1]), node(&old, &[9]));
    let visitor = old.visitor_with(|s| s.set("a", 1)).await;
    assert_eq!(at(&visitor, &both).page(a).await, Some(1), "the old key opens");
    at(&visitor, &both).page(|s| s.set("a", 2)).await;
    assert_eq!(at(&visitor, &new).page(a).await, Some(2), "the write sealed it under the new one");
    check_turned_away(&old, &visitor, Anomaly::KeyMissing).await;
}

#[tokio::test]
async fn an_unsealed_record_is_sealed_with_its_next_write() {
    let plain = Site::new(|p| p);
    let visitor = plain.visitor_with(|s| s.set("a", 1)).await;
    let sealed = node(&plain, &[1]);
    let mut visitor = at(&visitor, &sealed);
    assert_eq!(visitor.page(a).await, Some(1));
    assert_eq!(records(&plain).await[0].record.payload[4], 1, "reading changes nothing");
    visitor.page(|s| s.set("a", 2)).await;
    assert_eq!(records(&plain).await[0].record.payload[4], 2);
    check_turned_away(&plain, &at(&visitor, &plain), Anomaly::KeyMissing).await;
}

#[tokio::test]
async fn an_unsealed_record_is_refused_if_that_was_asked_for() {
    let plain = Site::new(|p| p);
    let visitor = plain.visitor_with(|s| s.set("a", 1)).await;
    let refuse = |policy: steadfast::PolicyBuilder| policy.key_ring(ring(&[1])).refuse_unsealed();
    let strict = Site::on(plain.store.clone(), plain.clock.clone(), refuse);
    check_turned_away(&strict, &at(&visitor, &strict), Anomaly::Forged).await;
}

#[tokio::test]
async fn a_body_that_was_moved_to_another_session_is_refused() {
    let site = sealed_site(&[1]);
    let mut admin = site.visitor_with(|s| s.set("a", 1)).await;
    let theirs = records(&site).await[0].clone();
    let mallory = site.visitor_with(|s| s.set("a", 2)).await;
    let own = records(&site).await.into_iter().find(|listed| listed.key != theirs.key).unwrap();
    overwrite(&site, &own, theirs.record.payload).await;
    check_turned_away(&site, &mallory, Anomaly::Forged).await;
    assert_eq!(admin.page(a).await, Some(1));
}

#[tokio::test]
async fn a_sealed_record_that_the_disk_damaged_is_set_aside() {
    let site = sealed_site(&[1]);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let listed = records(&site).await[0].clone();
    let mut payload = listed.record.payload.to_vec();
    *payload.last_mut().unwrap() ^= 1;
    overwrite(&site, &listed, payload.into()).await;
    assert_eq!(visitor.page(a).await, None);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::DamagedRecord)), 1);
    visitor.page(|s| s.set("a", 2)).await;
    assert_eq!(visitor.page(a).await, Some(2));
}

#[tokio::test]
async fn a_node_without_the_key_revokes_all_sessions_and_lists_none_as_if_there_were_none() {
    let site = sealed_site(&[1]);
    let mut visitor = site.visitor_with(|s| s.login("alice")).await;
    let keyless = node(&site, &[]);
    let listed = keyless.sessions.sessions_of("alice").await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::KeyMissing);
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 1);
    assert_eq!(keyless.sessions.revoke("alice").await.unwrap().ended, 1);
    assert_eq!(visitor.page(|s| Ok(s.user())).await, None);
}

#[tokio::test]
async fn a_handle_without_the_key_does_not_take_a_session_for_ended() {
    let site = sealed_site(&[1]);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let handle = visitor.page(|s| Ok(s.detach())).await.unwrap();
    assert!(handle.alive().await.unwrap());
    let newer = node(&site, &[9, 1]);
    at(&visitor, &newer).page(|s| s.set("a", 2)).await;
    site.settle().await;
    assert_eq!(handle.alive().await.unwrap_err().kind(), ErrorKind::KeyMissing);
    assert_eq!(handle.view().await.unwrap_err().kind(), ErrorKind::KeyMissing);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::KeyMissing)), 2);
}

#[tokio::test]
async fn what_is_inspected_was_unsealed() {
    let site = sealed_site(&[1]);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let bytes = visitor.view(|s| Ok(s.record_bytes())).await.unwrap();
    assert_eq!(&bytes[..5], b"STDF\x01");
    let inspected = site.sessions.inspect(format!("{COOKIE}={}", visitor.cookie().unwrap())).await.unwrap();
    assert_eq!(inspected.unwrap().get::<u32>("a").unwrap(), Some(1));
}

#[cfg(all(unix, feature = "files"))]
mod at_start {
    use steadfast::{Policy, Sessions};

    use super::*;

    async fn connect(dsn: &str, keys: &[u8]) -> Result<Sessions> {
        let policy = match keys {
            [] => Policy::builder(),
            keys => Policy::builder().key_ring(ring(keys)),
        };
        Sessions::builder().policy(policy.build().unwrap()).connect(dsn).await
    }

    #[tokio::test]
    async fn a_store_is_not_opened_with_keys_that_its_sessions_do_not_open_by() {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("files:{}", dir.path().join("sessions").display());
        let prepared = connect(&dsn, &[1]).await.unwrap().prepare(|s| s.set("a", 1)).await.unwrap();
        for wrong in [&[9][..], &[]] {
            let error = connect(&dsn, wrong).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains("the key ring can't open"), "{error}");
        }
        let sessions = connect(&dsn, &[9, 1]).await.unwrap();
        assert!(sessions.inspect(prepared.cookie()).await.unwrap().is_some(), "nothing was changed");
    }

    #[tokio::test]
    async fn what_has_expired_keeps_no_key_in_the_ring() {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("files:{}", dir.path().join("sessions").display());
        let clock = ManualClock::new();
        let builder = |keys: &[u8]| {
            let policy = Policy::builder().key_ring(ring(keys)).build().unwrap();
            Sessions::builder().policy(policy).clock(clock.clone()).purge_every(None)
        };
        builder(&[1]).connect(&dsn).await.unwrap().prepare(|s| s.set("a", 1)).await.unwrap();
        assert!(builder(&[9]).connect(&dsn).await.is_err());
        clock.advance(Duration::from_secs(3_600));
        assert!(builder(&[9]).connect(&dsn).await.is_ok());
    }
}
