//! What each kind of request costs, in store calls: the table of the design, row by row.

use std::future::ready;
use std::time::Duration;

use steadfast::testing::Op;
use steadfast::{Result, Session};
use tokio::task::yield_now;

use crate::site::{Site, Visitor, page};

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    // The browser has come with its cookie, so nothing of it is left to be noted.
    visitor.page(a).await;
    site.settle().await;
    (site, visitor)
}

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

/// Checks how often each operation was called, those that no response waited for included.
#[track_caller]
fn check(site: &Site, expected: &[(Op, u64)]) {
    // A store without replicas to wait for settles without being asked.
    for op in Op::ALL.iter().filter(|op| !matches!(op, Op::Released | Op::Settle)) {
        let calls = expected.iter().find(|(of, _)| of == op).map_or(0, |(_, calls)| *calls);
        assert_eq!(site.store.faults().calls(*op), calls, "{op:?}");
    }
}

#[tokio::test]
async fn a_handler_without_a_session_costs_nothing() {
    let (site, mut visitor) = site().await;
    visitor.open("/static").await;
    site.visitor().open("/static").await;
    site.sessions.shutdown().await;
    check(&site, &[]);
}

#[tokio::test]
async fn a_view_costs_one_load() {
    let (site, mut visitor) = site().await;
    visitor.view(|s| s.get::<u32>("a")).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Load, 1)]);
}

#[tokio::test]
async fn a_merged_request_that_only_reads_costs_one_load() {
    let (site, mut visitor) = site().await;
    visitor.merge(a).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Load, 1)]);
}

#[tokio::test]
async fn a_touch_is_off_the_path_and_at_most_one_in_a_sixtieth_of_the_idle_time() {
    let (site, mut visitor) = site().await;
    for _ in 0..10 {
        site.clock.advance(Duration::from_secs(6));
        visitor.merge(a).await;
    }
    site.sessions.shutdown().await;
    check(&site, &[(Op::Load, 10), (Op::Touch, 2)]);
    let gate = site.store.faults().hold(Op::Touch);
    site.clock.advance(Duration::from_secs(60));
    visitor.merge(a).await;
    gate.arrived(1).await;
}

#[tokio::test]
async fn an_exclusive_request_that_only_reads_costs_one_call_and_a_release_off_the_path() {
    let (site, mut visitor) = site().await;
    let gate = site.store.faults().hold(Op::Release);
    visitor.page(a).await;
    gate.arrived(1).await;
    gate.open();
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Release, 1)]);
}

#[tokio::test]
async fn the_first_write_of_a_new_session_costs_one_call() {
    let site = Site::new(|p| p);
    site.visitor().page(|s| s.set("a", 1)).await;
    site.visitor().merge(|s| s.login("alice")).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Create, 2)]);
}

#[tokio::test]
async fn a_change_costs_two_calls() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.increment("a", 1)).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Update, 1)]);
    site.settle().await;
    visitor.merge(|s| s.increment("a", 1)).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Load, 1), (Op::Update, 1)]);
}

#[tokio::test]
async fn a_change_with_rotation_and_ageing_flash_still_costs_two() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.flash("notice", "saved")).await;
    site.clock.advance(Duration::from_secs(301));
    site.settle().await;
    visitor.page(|s| s.increment("a", 1)).await;
    assert!(visitor.set_cookie().is_some());
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Update, 1)]);
}

#[tokio::test]
async fn the_first_request_after_a_rotation_costs_one_more_off_the_path() {
    let (site, mut visitor) = site().await;
    site.clock.advance(Duration::from_secs(301));
    visitor.page(a).await;
    site.settle().await;
    let gate = site.store.faults().hold(Op::Update);
    visitor.merge(a).await;
    gate.arrived(1).await;
    gate.open();
    site.sessions.shutdown().await;
    check(&site, &[(Op::Load, 1), (Op::Update, 1)]);
    site.settle().await;
    visitor.merge(a).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Load, 1)]);
}

#[tokio::test]
async fn the_first_request_after_a_rotation_costs_no_more_if_it_writes() {
    let (site, mut visitor) = site().await;
    site.clock.advance(Duration::from_secs(301));
    visitor.page(a).await;
    site.settle().await;
    visitor.page(|s| s.increment("a", 1)).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Update, 1)]);
}

#[tokio::test]
async fn a_change_of_privilege_costs_two_calls() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.login("alice")).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Replace, 1)]);
}

#[tokio::test]
async fn a_destroy_costs_one_call_after_the_load() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.destroy()).await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Delete, 1)]);
    let (site, mut visitor) = self::site().await;
    visitor
        .page(|s| {
            s.logout()?;
            s.flash("notice", "Goodbye.")
        })
        .await;
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Replace, 1)]);
}

#[tokio::test]
async fn a_waiter_after_a_writer_costs_its_own_commit() {
    let (site, visitor) = site().await;
    let first = visitor.hold("/exclusive", |s| s.increment("a", 1)).await;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn(visitor.start(page("/exclusive"), |s: Session| ready(s.increment("a", 1).map(drop))))
        })
        .collect();
    yield_now().await;
    first.finish().await;
    for one in waiting {
        assert_eq!(one.await.unwrap().status(), 200);
    }
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 1), (Op::Update, 6)]);
}

#[tokio::test]
async fn a_waiter_after_a_reader_costs_two_calls() {
    let (site, visitor) = site().await;
    let first = visitor.hold("/exclusive", a).await;
    let waiting =
        tokio::spawn(visitor.start(page("/exclusive"), |s: Session| ready(s.increment("a", 1).map(drop))));
    yield_now().await;
    first.finish().await;
    assert_eq!(waiting.await.unwrap().status(), 200);
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 2), (Op::Update, 1)]);
}

#[tokio::test]
async fn other_nodes_get_their_turn_after_sixteen_in_a_row() {
    let (site, visitor) = site().await;
    let first = visitor.hold("/exclusive", |s| s.increment("a", 1)).await;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn(visitor.start(page("/exclusive"), |s: Session| ready(s.increment("a", 1).map(drop))))
        })
        .collect();
    yield_now().await;
    first.finish().await;
    for one in waiting {
        assert_eq!(one.await.unwrap().status(), 200);
    }
    site.sessions.shutdown().await;
    check(&site, &[(Op::Acquire, 2), (Op::Update, 21)]);
}
