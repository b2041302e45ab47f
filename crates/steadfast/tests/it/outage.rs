//! A store that is ill, and records that are damaged: bounded, typed, and nothing overwritten.

use std::future::ready;
use std::num::NonZeroUsize;

use bytes::Bytes;
use steadfast::store::{Created, LeaseEnd, Listed, Record, Store as _, Updated, Version};
use steadfast::testing::{Fault, Op, Reply};
use steadfast::{Anomaly, CommitError, Error, ErrorKind, EventKind, Result, Session, SessionView};

use crate::site::{COOKIE, Site, Visitor, page};

/// What a handler does.
type Doing = fn(&Session) -> Result<()>;

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

/// All records of a site.
pub(crate) async fn records(site: &Site) -> Vec<Listed> {
    site.store.page(None, NonZeroUsize::new(100).unwrap()).await.unwrap()
}

/// Turns a bit of a record.
pub(crate) async fn damage(site: &Site, listed: &Listed) {
    overwrite(site, listed, |payload| payload[20] ^= 1).await;
}

async fn overwrite(site: &Site, listed: &Listed, change: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = listed.record.payload.to_vec();
    change(&mut payload);
    let record = Record { payload: Bytes::from(payload), version: Version::fresh(), ..listed.record.clone() };
    let updated =
        site.store.update(&listed.key, listed.record.version, &record, LeaseEnd::None).await.unwrap();
    assert_eq!(updated, Updated::Stored);
    site.settle().await;
}

#[tokio::test]
async fn a_store_that_can_not_be_reached_is_a_503_for_the_routes_that_need_it() {
    let (site, mut visitor) = site().await;
    let cookie = visitor.cookie().unwrap().to_owned();
    site.store.faults().fail_everything(Fault::Refused);
    for path in ["/", "/merge"] {
        let reply = visitor.start(page(path), |_: Session| ready(())).await;
        assert_eq!((reply.status().as_u16(), reply.header("retry-after")), (503, Some("1")));
        assert_eq!(reply.cookie(COOKIE), None);
    }
    assert_eq!(visitor.start(page("/view"), |_: SessionView| ready(())).await.status(), 503);
    assert_eq!(visitor.open("/static").await.status(), 200);
    assert_eq!(visitor.cookie(), Some(cookie.as_str()));
    assert_eq!(site.events.count(EventKind::Failed(ErrorKind::Unavailable)), 3);
    site.store.faults().heal();
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn a_handler_can_live_through_an_outage() {
    let (site, visitor) = site().await;
    let act = |session: Result<Session, Error>| {
        ready(match session {
            Ok(_) => "with a session".to_owned(),
            Err(error) => format!("without: {}", error.kind()),
        })
    };
    assert_eq!(visitor.start(page("/tolerant"), act).await.text(), "with a session");
    site.store.faults().fail_everything(Fault::Refused);
    let reply = visitor.start(page("/tolerant"), act).await;
    assert_eq!((reply.status().as_u16(), reply.text().as_ref()), (200, "without: unavailable"));
    assert_eq!(reply.cookie(COOKIE), None);
}

#[tokio::test]
async fn a_visitor_without_a_cookie_does_not_notice_an_outage_until_they_write() {
    let site = Site::new(|p| p);
    site.store.faults().fail_everything(Fault::Refused);
    let mut visitor = site.visitor();
    assert_eq!(visitor.page(a).await, None);
    let reply = visitor.reply(|s| s.set("a", 1)).await;
    assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (503, None));
}

#[tokio::test]
async fn a_failed_load_never_leads_to_a_write() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        let (site, visitor) = site().await;
        for op in [Op::Load, Op::Acquire] {
            site.store.faults().fail_next(op, fault, 1);
        }
        for path in ["/exclusive", "/merge"] {
            let reply = visitor.start(page(path), |s: Session| ready(s.set("a", 9))).await;
            assert_eq!(reply.status(), 503, "{path}");
        }
        site.sessions.shutdown().await;
        let faults = site.store.faults();
        let writes =
            [Op::Create, Op::Update, Op::Replace, Op::Delete, Op::SetAside].map(|op| faults.calls(op));
        assert_eq!(writes, [0; 5]);
        assert_eq!(visitor.clone().page(a).await, Some(1), "and no lease is left behind");
    }
}

fn kind(reply: &Reply) -> ErrorKind {
    reply.extensions().get::<CommitError>().unwrap().0.kind()
}

#[tokio::test]
async fn a_refused_write_leaves_what_was() {
    let acts: [(Op, Doing); 4] = [
        (Op::Update, |s| s.set("a", 9)),
        (Op::Replace, |s| s.login("alice")),
        (Op::Delete, |s| s.logout()),
        (Op::Replace, |s| s.destroy().and_then(|()| s.set("a", 9))),
    ];
    for (op, act) in acts {
        let (site, mut visitor) = site().await;
        site.store.faults().fail_next(op, Fault::Refused, 1);
        let reply = visitor.reply(act).await;
        assert_eq!((reply.status().as_u16(), kind(&reply)), (503, ErrorKind::Unavailable));
        assert_eq!(reply.set_cookies().count(), 0);
        site.sessions.shutdown().await;
        assert_eq!(visitor.page(|s| Ok((a(s)?, s.user()))).await, (Some(1), None));
        assert_eq!(site.events.count(EventKind::Failed(ErrorKind::Unavailable)), 1);
    }
}

#[tokio::test]
async fn a_write_of_unknown_effect_is_an_error_and_signs_nobody_out() {
    let (site, mut visitor) = site().await;
    site.store.faults().fail_next(Op::Update, Fault::AnswerLost, 1);
    let reply = visitor.reply(|s| s.set("a", 2)).await;
    assert_eq!((reply.status().as_u16(), kind(&reply)), (503, ErrorKind::TimedOut));
    assert_eq!(visitor.page(a).await, Some(2), "it took place");
}

#[tokio::test]
async fn a_rotation_of_unknown_effect_signs_nobody_out() {
    let (site, mut visitor) = site().await;
    site.clock.advance(std::time::Duration::from_secs(301));
    site.store.faults().fail_next(Op::Update, Fault::AnswerLost, 1);
    assert_eq!(visitor.reply(a).await.set_cookies().count(), 0);
    site.clock.advance(std::time::Duration::from_secs(120));
    assert_eq!(visitor.page(a).await, Some(1), "the old cookie still opens it, and brings the new one");
    assert!(visitor.set_cookie().is_some());
}

#[tokio::test]
async fn a_sign_in_of_unknown_effect_can_be_repeated() {
    let (site, mut visitor) = site().await;
    site.store.faults().fail_next(Op::Replace, Fault::AnswerLost, 1);
    assert_eq!(visitor.reply(|s| s.login("alice")).await.status(), 503);
    assert_eq!(visitor.page(|s| Ok(s.user())).await, None);
    visitor.page(|s| s.login("alice")).await;
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_touch_that_fails_is_made_up_for_and_fails_no_request() {
    let (site, mut visitor) = site().await;
    let minute = std::time::Duration::from_secs(60);
    site.store.faults().fail_all(Op::Touch, Fault::Refused);
    site.clock.advance(2 * minute);
    assert_eq!(visitor.page(a).await, Some(1));
    site.store.faults().heal();
    assert_eq!(visitor.page(a).await, Some(1));
    site.sessions.shutdown().await;
    site.clock.advance(29 * minute);
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn a_release_that_fails_costs_as_long_as_the_lease_and_no_more() {
    let (site, mut visitor) = site().await;
    site.store.faults().fail_next(Op::Release, Fault::Refused, 1);
    visitor.page(a).await;
    site.sessions.shutdown().await;
    site.clock.advance(std::time::Duration::from_secs(6));
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn a_damaged_record_is_set_aside_and_its_visitor_a_stranger() {
    for path in ["/exclusive", "/merge"] {
        let (site, visitor) = site().await;
        damage(&site, &records(&site).await[0]).await;
        let reply =
            visitor.start(page(path), |s: Session| ready(a(&s).map(|a| a.is_some().to_string()))).await;
        assert_eq!((reply.text().as_ref(), reply.cookie(COOKIE)), ("false", None), "{path}");
        site.sessions.shutdown().await;
        assert_eq!(site.store.faults().calls(Op::SetAside), 1, "{path}");
        assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::DamagedRecord)), 1, "once, not for ever");
        let mut again = visitor.clone();
        again.page(|s| s.set("a", 2)).await;
        assert_eq!(again.page(a).await, Some(2));
    }
}

#[tokio::test]
async fn a_record_that_the_store_calls_damaged_is_set_aside() {
    for path in ["/exclusive", "/merge"] {
        let (site, visitor) = site().await;
        site.store.faults().fail_next(Op::Load, Fault::Damaged, 1);
        site.store.faults().fail_next(Op::Acquire, Fault::Damaged, 1);
        let reply = visitor.start(page(path), |s: Session| ready(s.set("a", 2))).await;
        assert!(reply.status() == 200 && reply.cookie(COOKIE).is_some(), "{path}");
        assert_eq!(site.store.faults().calls(Op::SetAside), 1, "{path}");
    }
}

#[tokio::test]
async fn a_truncated_or_foreign_record_is_damaged() {
    let changes: [fn(&mut Vec<u8>); 4] = [
        |payload| payload.truncate(payload.len() - 1),
        |payload| payload.truncate(3),
        |payload| payload.clear(),
        |payload| *payload = b"__ci_last_regenerate|i:1700000000;".to_vec(),
    ];
    for change in changes {
        let (site, mut visitor) = site().await;
        overwrite(&site, &records(&site).await[0], change).await;
        assert_eq!(visitor.page(a).await, None);
        assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::DamagedRecord)), 1);
    }
}

#[tokio::test]
async fn a_damaged_record_that_can_not_be_set_aside_is_left_alone() {
    let (site, mut visitor) = site().await;
    damage(&site, &records(&site).await[0]).await;
    site.store.faults().fail_next(Op::SetAside, Fault::Refused, 1);
    let reply = visitor.reply(|s| s.set("a", 2)).await;
    assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (503, None));
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_an_error_and_stays_as_it_is() {
    let (site, mut visitor) = site().await;
    let newer = |payload: &mut Vec<u8>| payload[4] = 4;
    overwrite(&site, &records(&site).await[0], newer).await;
    let before = records(&site).await;
    for path in ["/exclusive", "/merge"] {
        let act = |session: Result<Session, Error>| ready(session.unwrap_err().kind().to_string());
        let reply = visitor.start(page("/tolerant"), act).await;
        assert_eq!((reply.text().as_ref(), reply.cookie(COOKIE)), ("newer_format", None));
        let reply = visitor.start(page(path), |s: Session| ready(s.set("a", 9))).await;
        assert!(reply.status().is_server_error(), "{path}");
    }
    site.sessions.shutdown().await;
    let after = records(&site).await;
    assert_eq!((before[0].key, &before[0].record), (after[0].key, &after[0].record));
    // The lease is free again, so a node that knows the format has it at once.
    overwrite(&site, &after[0], |payload| payload[4] = 1).await;
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn an_evicted_session_is_not_brought_back() {
    let (site, mut visitor) = site().await;
    let _gone = site.store.forget(&records(&site).await[0].key).await.unwrap();
    assert_eq!(visitor.page(a).await, None);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_key_that_is_taken_is_not_overwritten() {
    let (site, mut visitor) = site().await;
    let listed = records(&site).await;
    let again = site.store.create(&listed[0].key, &listed[0].record).await.unwrap();
    assert_eq!(again, Created::IdTaken);
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn no_error_event_or_debug_output_shows_what_a_session_holds() {
    let (site, visitor) = site().await;
    let secret = visitor.cookie().unwrap().to_owned();
    let (hand_out, handed) = tokio::sync::oneshot::channel();
    visitor
        .start(page("/"), |s: Session| {
            s.set("password", "hunter2").unwrap();
            s.login("alice@example.org").unwrap();
            let shown = format!("{s:?} {:?} {:?}", s.detach(), s.get::<u32>("password").unwrap_err());
            let _ = hand_out.send((shown, s));
            ready(())
        })
        .await;
    let (shown, session) = handed.await.unwrap();
    let error = session.set("password", "hunter3").unwrap_err();
    let shown = format!("{shown} {error:?} {error} {:?} {:?} {:?}", site.sessions, site.app, visitor.browser);
    for private in [&secret, "hunter", "alice", "password"] {
        assert!(!shown.contains(private));
    }
}
