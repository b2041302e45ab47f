//! Sessions beyond their request: for sockets, streams and jobs.

use std::time::Duration;

use steadfast::testing::{Fault, Op};
use steadfast::{ErrorKind, SessionHandle};

use crate::site::{Site, Visitor};

const SECOND: Duration = Duration::from_secs(1);

async fn site() -> (Site, Visitor, SessionHandle) {
    let site = Site::new(|p| p.idle_timeout(60 * SECOND).rotate_every(10 * SECOND));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let handle = visitor.page(|s| Ok(s.detach())).await.unwrap();
    site.settle().await;
    (site, visitor, handle)
}

#[tokio::test]
async fn a_session_that_does_not_exist_has_no_handle() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    let before = visitor
        .page(|s| {
            s.set("a", 1)?;
            Ok(s.detach().is_some())
        })
        .await;
    assert!(!before);
    assert!(visitor.page(|s| Ok(s.detach().is_some())).await);
}

#[tokio::test]
async fn a_handle_reads_and_writes_with_the_requests() {
    let (_site, mut visitor, handle) = site().await;
    assert_eq!(handle.edit(|s| s.increment("a", 1)).await.unwrap(), 2);
    assert_eq!(visitor.page(|s| s.increment("a", 1)).await, 3);
    assert_eq!(handle.view().await.unwrap().unwrap().get::<u32>("a").unwrap(), Some(3));
    assert!(handle.alive().await.unwrap());
}

#[tokio::test]
async fn a_handle_joins_its_changes_with_a_merged_request_under_way() {
    let (_site, mut visitor, handle) = site().await;
    let slow = visitor.hold("/merge", |s| s.increment("a", 10)).await;
    handle.edit(|s| s.increment("a", 1)).await.unwrap();
    assert_eq!(slow.finish().await.status(), 200);
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(12));
}

#[tokio::test]
async fn what_a_handle_changed_is_not_overwritten_by_an_exclusive_request_under_way() {
    let (_site, mut visitor, handle) = site().await;
    let slow = visitor.hold("/exclusive", |s| s.increment("a", 10)).await;
    handle.edit(|s| s.increment("a", 1)).await.unwrap();
    assert_eq!(slow.finish().await.status(), 409, "it relied on being alone");
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(2));
}

#[tokio::test]
async fn a_handle_outlives_rotations() {
    let (site, mut visitor, handle) = site().await;
    for _ in 0..3 {
        site.clock.advance(61 * SECOND / 2);
        visitor.page(|s| s.set("b", 1)).await;
        visitor.page(|s| s.get::<u32>("b")).await;
        site.settle().await;
    }
    assert_eq!(handle.edit(|s| s.increment("a", 1)).await.unwrap(), 2);
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(2));
}

#[tokio::test]
async fn a_handle_does_not_extend_the_session() {
    let (site, _visitor, handle) = site().await;
    for _ in 0..6 {
        site.clock.advance(9 * SECOND);
        handle.view().await.unwrap().unwrap();
        handle.edit(|s| s.set("a", 2)).await.unwrap();
    }
    site.sessions.shutdown().await;
    site.clock.advance(9 * SECOND);
    assert!(!handle.alive().await.unwrap());
    assert!(handle.view().await.unwrap().is_none());
}

#[tokio::test]
async fn a_handle_never_brings_a_session_back() {
    let (site, mut visitor, handle) = site().await;
    visitor.page(|s| s.destroy()).await;
    assert!(!handle.alive().await.unwrap() && handle.view().await.unwrap().is_none());
    assert_eq!(handle.edit(|s| s.set("a", 2)).await.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_handle_that_edits_while_the_session_ends_writes_nothing() {
    let (site, _visitor, handle) = site().await;
    let gate = site.store.faults().hold(Op::Update);
    let edit = tokio::spawn({
        let handle = handle.clone();
        async move { handle.edit(|s| s.set("a", 2)).await }
    });
    gate.arrived(1).await;
    site.store.forget_all().await.unwrap();
    gate.open();
    assert_eq!(edit.await.unwrap().unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_change_of_privilege_ends_the_handles_of_before() {
    let (_site, mut visitor, handle) = site().await;
    let ended = tokio::spawn({
        let handle = handle.clone();
        async move { handle.ended().await }
    });
    tokio::task::yield_now().await;
    visitor.page(|s| s.login("alice")).await;
    ended.await.unwrap();
    assert!(!handle.alive().await.unwrap());
    assert_eq!(handle.edit(|s| s.set("a", 2)).await.unwrap_err().kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn a_socket_ends_with_the_session_whoever_ended_it() {
    for how in 0..3 {
        let site = Site::new(|p| p);
        let mut visitor = site.visitor_with(|s| s.login("alice")).await;
        let handle = visitor.page(|s| Ok(s.detach())).await.unwrap();
        let ended = tokio::spawn(async move { handle.ended().await });
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        match how {
            0 => visitor.page(|s| s.logout()).await,
            1 => assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 1),
            _ => {
                let listed = site.sessions.sessions_of("alice").await.unwrap();
                assert!(site.sessions.revoke_one(&listed[0]).await.unwrap());
            }
        }
        ended.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_learns_within_seconds_of_an_end_on_another_node() {
    let (site, _visitor, handle) = site().await;
    let ended = tokio::spawn(async move { handle.ended().await });
    tokio::task::yield_now().await;
    site.store.forget_all().await.unwrap();
    let began = tokio::time::Instant::now();
    ended.await.unwrap();
    assert!(began.elapsed() <= 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_an_end() {
    let (site, _visitor, handle) = site().await;
    site.store.faults().fail_everything(Fault::Refused);
    assert_eq!(handle.alive().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(handle.view().await.is_err());
    assert!(handle.edit(|s| s.set("a", 2)).await.is_err());
    assert!(tokio::time::timeout(60 * SECOND, handle.ended()).await.is_err());
    site.store.faults().heal();
    assert!(handle.alive().await.unwrap());
}

#[tokio::test]
async fn a_handle_can_not_change_who_holds_the_session() {
    let (_site, _visitor, handle) = site().await;
    let kinds = handle
        .edit(|s| {
            Ok([
                s.login("alice").unwrap_err().kind(),
                s.rotate().unwrap_err().kind(),
                s.rotate_secret().unwrap_err().kind(),
                s.csrf_token().unwrap_err().kind(),
            ])
        })
        .await
        .unwrap();
    assert_eq!(kinds, [ErrorKind::Closed; 4]);
}

#[tokio::test]
async fn a_handle_can_end_the_session() {
    let (site, mut visitor, handle) = site().await;
    handle.edit(|s| s.destroy()).await.unwrap();
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, None);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_handle_does_not_age_flash() {
    let (_site, mut visitor, handle) = site().await;
    visitor.page(|s| s.flash("notice", "saved")).await;
    handle.edit(|s| s.set("a", 2)).await.unwrap();
    assert_eq!(visitor.page(|s| s.flash_get::<String>("notice")).await.as_deref(), Some("saved"));
}

#[tokio::test]
async fn an_edit_that_fails_writes_nothing() {
    let (site, mut visitor, handle) = site().await;
    let refused = handle
        .edit(|s| {
            s.set("a", 9)?;
            s.get::<String>("a")
        })
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Codec);
    assert_eq!(site.store.faults().calls(Op::Update), 0);
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(1));
}
