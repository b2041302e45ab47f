//! A store across a network that is slow, fails now and then, or is gone: bounded, repeated only where that
//! is safe, and asked no more for a moment when it does not answer.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use steadfast::store::memory::MemoryStore;
use steadfast::testing::{Fault, FaultyStore, ManualClock, Op};
use steadfast::{Anomaly, ErrorKind, EventKind, PolicyBuilder, Result, Session};
use tokio::time::Instant;

use crate::site::{COOKIE, Site, Visitor, moved, page};

const DEADLINE: Duration = Duration::from_millis(800);
const PAUSE: Duration = Duration::from_secs(3);

fn remote(policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Site {
    let clock = ManualClock::new();
    let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(clock.clone()))).remote();
    Site::on(store, clock, |p| policy(p.store_deadline(DEADLINE).breaker_pause(PAUSE).breaker_failures(3)))
}

async fn site() -> (Site, Visitor) {
    let site = remote(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

fn calls(site: &Site, op: Op) -> u64 {
    site.store.faults().calls(op)
}

/// The status of a page that reads.
async fn status(visitor: &Visitor) -> u16 {
    visitor.start(page("/merge"), |_: Session| ready(())).await.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_costs_a_request_its_deadline() {
    let (site, visitor) = site().await;
    let _gate = site.store.faults().hold(Op::Load);
    let began = Instant::now();
    assert_eq!(status(&visitor).await, 503);
    assert!(began.elapsed() < DEADLINE + Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(site.events.count(EventKind::Failed(ErrorKind::TimedOut)), 1);
    let mut visitor = visitor;
    assert_eq!(visitor.open("/static").await.status(), 200, "without a session nothing is asked");
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_or_the_same_again_is_tried_twice() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        for (op, path) in [(Op::Load, "/merge"), (Op::Acquire, "/exclusive"), (Op::Release, "/exclusive")] {
            let (site, visitor) = site().await;
            site.store.faults().fail_next(op, fault, 1);
            let reply =
                visitor.start(page(path), |s: Session| ready(a(&s).unwrap().unwrap().to_string())).await;
            assert_eq!((reply.status().as_u16(), reply.text().as_ref()), (200, "1"), "{op:?} {fault:?}");
            site.sessions.shutdown().await;
            assert_eq!(calls(&site, op), 2, "{op:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_twice_and_not_for_ever() {
    let (site, visitor) = site().await;
    site.store.faults().fail_all(Op::Load, Fault::Refused);
    assert_eq!(status(&visitor).await, 503);
    assert_eq!(calls(&site, Op::Load), 2);
}

#[tokio::test(start_paused = true)]
async fn an_increment_whose_answer_was_lost_counts_once() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        let (site, mut visitor) = site().await;
        for path in ["/merge", "/exclusive"] {
            site.store.faults().fail_next(Op::Update, fault, 1);
            let reply = visitor.start(page(path), |s: Session| ready(s.increment("a", 1).map(drop))).await;
            assert_eq!(reply.status(), 200, "{fault:?}");
        }
        assert_eq!(visitor.page(a).await, Some(3), "{fault:?}");
    }
}

/// Nobody can tell then whether the write took place before the other one: it is not done again.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_write_by_somebody_else_is_an_error() {
    let clock = ManualClock::new();
    let kept = MemoryStore::with_clock(Arc::new(clock.clone()));
    let site = Site::on(FaultyStore::new(kept.clone()).remote(), clock.clone(), |p| p);
    let other = Site::on(FaultyStore::new(kept), clock, |p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;

    site.store.faults().fail_next(Op::Update, Fault::AnswerLost, 1);
    let lost = site.store.faults().hold_answers(Op::Update);
    let request = visitor.start(page("/merge"), |s: Session| ready(s.increment("a", 1).map(drop)));
    let request = tokio::spawn(request);
    lost.arrived(1).await;
    Visitor::of(moved(&visitor.browser, &other)).merge(|s| s.increment("a", 10)).await;
    lost.open();
    let reply = request.await.unwrap();
    assert_eq!(reply.status(), 503);
    assert_eq!(visitor.page(a).await, Some(12), "each of them counted once");
}

#[tokio::test(start_paused = true)]
async fn a_first_write_is_never_sent_twice_but_looked_up() {
    for (fault, expected) in [(Fault::Refused, 503), (Fault::AnswerLost, 200)] {
        let site = remote(|p| p);
        site.store.faults().fail_next(Op::Create, fault, 1);
        let visitor = site.visitor();
        let reply = visitor.start(page("/"), |s: Session| ready(s.set("a", 1))).await;
        assert_eq!(reply.status(), expected, "{fault:?}");
        assert_eq!(reply.cookie(COOKIE).is_some(), expected == 200, "{fault:?}");
        assert_eq!(calls(&site, Op::Create), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_whose_answer_was_lost_is_one() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        let (site, mut visitor) = site().await;
        site.store.faults().fail_next(Op::Delete, fault, 1);
        visitor.page(|s| s.logout()).await;
        assert_eq!(site.sessions.count().await.unwrap(), 0, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_is_asked_no_more_for_a_moment() {
    let (site, visitor) = site().await;
    let gate = site.store.faults().hold(Op::Load);
    for _ in 0..3 {
        assert_eq!(status(&visitor).await, 503);
    }
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::CircuitOpened)), 1);
    let asked = calls(&site, Op::Load);
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(status(&visitor).await, 503);
    }
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(calls(&site, Op::Load), asked, "it is not asked");

    tokio::time::advance(PAUSE).await;
    assert_eq!(status(&visitor).await, 503);
    assert_eq!(calls(&site, Op::Load), asked + 1, "one request tries");
    assert_eq!(status(&visitor).await, 503);
    assert_eq!(calls(&site, Op::Load), asked + 1);

    gate.open();
    tokio::time::advance(PAUSE).await;
    assert_eq!(status(&visitor).await, 200);
    assert_eq!(site.events.count(EventKind::CircuitClosed), 1);
    assert_eq!(status(&visitor).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_handler_tells_a_store_that_is_gone_from_no_session() {
    let (site, visitor) = site().await;
    let act = |session: Result<Session>| {
        ready(match session {
            Ok(session) => format!("{:?}", session.user()),
            Err(error) => error.kind().to_string(),
        })
    };
    assert_eq!(site.visitor().start(page("/tolerant"), act).await.text(), "None");
    let _gate = site.store.faults().hold(Op::Acquire);
    assert_eq!(visitor.start(page("/tolerant"), act).await.text(), "timed_out");
}
