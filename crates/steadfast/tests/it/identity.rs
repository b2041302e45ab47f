//! Sign-in, sign-out, rotation, the end: who the session belongs to.

use std::future::ready;
use std::time::Duration;

use steadfast::testing::TestBrowser;
use steadfast::{Anomaly, ErrorKind, EventKind, Result, Session};

use crate::site::{COOKIE, Site, Visitor, page};

const SECOND: Duration = Duration::from_secs(1);

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p.rotate_every(10 * SECOND).forward_window(3 * SECOND));
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

/// Opens a page that reads, with a browser's cookies as they are, and keeps nothing.
async fn glance(browser: &TestBrowser) -> Option<u32> {
    let mut visitor = Visitor::of(browser.clone());
    visitor.page(a).await
}

#[tokio::test]
async fn a_sign_in_keeps_the_values_and_moves_the_session() {
    let (site, mut visitor) = site().await;
    let before = visitor.clone();
    assert_eq!(visitor.page(|s| s.login("alice").map(|()| s.user())).await.as_deref(), Some("alice"));
    assert_ne!(visitor.cookie().unwrap()[..20], before.cookie().unwrap()[..20], "under a new key");
    assert_eq!(visitor.page(|s| Ok((a(s)?, s.user()))).await, (Some(1), Some("alice".to_owned())));
    assert_eq!(site.events.count(EventKind::Renewed), 1);
}

#[tokio::test]
async fn a_cookie_from_before_the_sign_in_sees_only_what_was_before() {
    let (_site, mut visitor) = site().await;
    let mut before = visitor.clone();
    visitor
        .page(|s| {
            s.login("alice")?;
            s.set("a", 2)
        })
        .await;
    assert_eq!(before.page(|s| Ok((a(s)?, s.user()))).await, (Some(1), None));
    assert_eq!(before.set_cookie(), None);
    for act in [|s: &Session| s.set("a", 3), |s: &Session| s.destroy(), |s: &Session| s.logout()] {
        let reply = before.reply(act).await;
        assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (409, None));
        let error = reply.extensions().get::<steadfast::CommitError>().unwrap();
        assert_eq!(error.0.kind(), ErrorKind::Superseded);
    }
    assert_eq!(visitor.page(a).await, Some(2));
}

#[tokio::test]
async fn what_a_sign_in_left_behind_is_gone_after_the_window() {
    let (site, mut visitor) = site().await;
    let before = visitor.browser.clone();
    visitor.page(|s| s.login("alice")).await;
    site.clock.advance(60 * SECOND);
    assert_eq!(glance(&before).await, Some(1), "nobody came with the new cookie");
    visitor.page(a).await;
    site.settle().await;
    site.clock.advance(4 * SECOND);
    assert_eq!(glance(&before).await, None);
    assert_eq!(site.sessions.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_sign_in_whose_response_was_lost_can_be_repeated() {
    let (_site, mut visitor) = site().await;
    let lost = visitor.start(page("/"), |s: Session| ready(s.login("alice"))).await;
    assert!(lost.cookie(COOKIE).is_some());
    visitor.page(|s| s.login("alice")).await;
    assert_eq!(visitor.page(|s| Ok((a(s)?, s.user()))).await, (Some(1), Some("alice".to_owned())));
    // The first answer may only have been late, and overtaken by the second.
    visitor.browser.keep(&lost);
    assert_eq!(visitor.page(|s| Ok((a(s)?, s.user()))).await, (Some(1), Some("alice".to_owned())));
}

#[tokio::test]
async fn signing_in_twice_at_once_ends_signed_in_whichever_answer_comes_last() {
    for last in [0, 1] {
        let (_site, mut visitor) = site().await;
        let login = || visitor.start(page("/"), |s: Session| ready(s.login("alice")));
        let replies = tokio::join!(login(), login());
        assert!(replies.0.status() == 200 && replies.1.status() == 200);
        let replies = if last == 1 { [replies.0, replies.1] } else { [replies.1, replies.0] };
        replies.iter().for_each(|reply| visitor.browser.keep(reply));
        assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
    }
}

#[tokio::test]
async fn a_request_from_before_the_sign_in_can_not_write_into_it() {
    for path in ["/merge", "/exclusive"] {
        let (site, mut visitor) = site().await;
        let slow = visitor.hold(path, |s| s.set("a", 99)).await;
        let other = Site::on(site.store.clone(), site.clock.clone(), |p| p);
        let mut there = other.visitor();
        there.browser = crate::site::moved(&visitor.browser, &other);
        if path == "/exclusive" {
            site.clock.advance(6 * SECOND);
        }
        there.merge(|s| s.login("alice")).await;
        let reply = slow.finish().await;
        assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (409, None), "{path}");
        assert_eq!(there.page(|s| Ok((a(s)?, s.user()))).await, (Some(1), Some("alice".to_owned())));
        visitor.browser = crate::site::moved(&there.browser, &site);
        assert_eq!(visitor.page(a).await, Some(1));
    }
}

#[tokio::test]
async fn another_user_can_sign_in_over_the_first() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.login("alice")).await;
    visitor.page(|s| s.login("bob")).await;
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("bob"));
    visitor.page(a).await;
    site.settle().await;
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 0);
    assert_eq!(site.sessions.sessions_of("bob").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stranger_signs_in_with_a_fresh_session() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor.page(|s| s.login("alice")).await;
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
    assert_eq!(site.sessions.count().await.unwrap(), 1);
}

#[tokio::test]
async fn the_id_of_a_user_is_limited() {
    let (_site, mut visitor) = site().await;
    let kind = visitor.page(|s| Ok(s.login("x".repeat(513)).unwrap_err().kind())).await;
    assert_eq!(kind, ErrorKind::TooLarge);
    visitor.page(|s| s.login("ü".repeat(256))).await;
    assert_eq!(visitor.page(|s| Ok(s.user().unwrap().len())).await, 512);
}

#[tokio::test]
async fn a_sign_out_ends_the_session_for_every_cookie_of_it() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.login("alice")).await;
    let copy = visitor.browser.clone();
    let reply = visitor.reply(|s| s.logout().map(|()| (s.user(), s.has("a")))).await;
    assert_eq!(reply.cookie(COOKIE), Some(""));
    assert_eq!(glance(&copy).await, None);
    site.settle().await;
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 0);
}

#[tokio::test]
async fn after_a_destroy_there_is_nothing_to_read() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.login("alice")).await;
    let left = visitor
        .page(|s| {
            s.destroy()?;
            Ok((s.user(), a(s)?, s.keys().len()))
        })
        .await;
    assert_eq!(left, (None, None, 0));
    assert_eq!(visitor.cookie(), None);
}

#[tokio::test]
async fn what_is_set_after_a_destroy_starts_anew_under_a_new_key() {
    let (site, mut visitor) = site().await;
    let before = visitor.clone();
    visitor
        .page(|s| {
            s.set("b", 1)?;
            s.destroy()?;
            s.set("c", 2)
        })
        .await;
    assert_ne!(visitor.cookie().unwrap()[..20], before.cookie().unwrap()[..20]);
    assert_eq!(visitor.page(|s| Ok(s.keys())).await, [b"c"]);
    assert_eq!(glance(&before.browser).await, None);
    assert_eq!(site.sessions.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_sign_in_after_a_destroy_inherits_nothing() {
    let (_site, mut visitor) = site().await;
    visitor
        .page(|s| {
            s.destroy()?;
            s.login("bob")
        })
        .await;
    assert_eq!(visitor.page(|s| Ok((s.user(), s.keys().len()))).await, (Some("bob".to_owned()), 0));
}

#[tokio::test]
async fn a_session_can_be_created_and_destroyed_in_one_request() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor
        .page(|s| {
            s.set("a", 1)?;
            s.destroy()
        })
        .await;
    assert_eq!((visitor.cookie(), site.sessions.count().await.unwrap()), (None, 0));
}

#[tokio::test]
async fn a_step_up_goes_on_under_a_new_key_with_the_same_sign_in() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.login("alice")).await;
    let created = visitor.page(|s| Ok(s.created_at())).await;
    let before = visitor.clone();
    visitor.page(|s| s.rotate()).await;
    assert_ne!(visitor.cookie().unwrap()[..20], before.cookie().unwrap()[..20]);
    assert_eq!(visitor.page(|s| Ok((s.user(), s.created_at()))).await, (Some("alice".to_owned()), created));
    assert_eq!(before.clone().reply(|s| s.set("a", 9)).await.status(), 409);
    site.settle().await;
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_step_up_of_nothing_does_nothing() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor.page(|s| s.rotate()).await;
    assert_eq!((visitor.cookie(), site.round_trips().await), (None, 0));
}

#[tokio::test]
async fn parallel_requests_at_a_rotation_are_all_told_the_same_successor() {
    for path in ["/merge", "/exclusive"] {
        let (site, visitor) = site().await;
        site.clock.advance(11 * SECOND);
        let requests: Vec<_> = (0..50)
            .map(|_| {
                tokio::spawn(visitor.start(page(path), |s: Session| ready(s.increment("a", 1).map(drop))))
            })
            .collect();
        let mut successors = std::collections::BTreeSet::new();
        for request in requests {
            let reply = request.await.unwrap();
            assert_eq!(reply.status(), 200);
            successors.extend(reply.cookie(COOKIE).map(str::to_owned));
        }
        assert_eq!(successors.len(), 1, "{path}");
        assert_eq!(site.events.count(EventKind::Rotated), 1, "{path}");
        assert_eq!(glance(&visitor.browser).await, Some(51), "{path}");
    }
}

#[tokio::test]
async fn the_predecessor_is_good_until_its_successor_was_presented_and_the_window_is_over() {
    let (site, visitor) = site().await;
    site.clock.advance(11 * SECOND);
    let rotated = visitor.start(page("/"), |_: Session| ready(())).await;
    site.clock.advance(60 * SECOND);
    let again = visitor.start(page("/"), |_: Session| ready(())).await;
    assert_eq!(again.cookie(COOKIE), rotated.cookie(COOKIE), "the response may have been lost");
    let mut next = visitor.browser.clone();
    next.keep(&again);
    assert_eq!(glance(&next).await, Some(1));
    site.settle().await;
    assert_eq!(glance(&visitor.browser).await, Some(1), "the window is open again");
    site.clock.advance(4 * SECOND);
    assert_eq!(glance(&visitor.browser).await, None);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::StaleSecret)), 1);
    assert_eq!(glance(&next).await, Some(1), "a stale cookie ends nobody's session");
}

#[tokio::test]
async fn a_view_counts_as_the_first_presentation() {
    let (site, visitor) = site().await;
    site.clock.advance(11 * SECOND);
    let old = visitor.browser.clone();
    let mut visitor = visitor;
    visitor.page(a).await;
    assert_eq!(visitor.view(|s| s.get::<u32>("a")).await, Some(1));
    site.sessions.shutdown().await;
    assert_eq!(site.events.count(EventKind::Delivered), 1);
    site.clock.advance(4 * SECOND);
    assert_eq!(glance(&old).await, None);
}

#[tokio::test]
async fn a_secret_before_the_direct_predecessor_opens_nothing() {
    let (site, mut visitor) = site().await;
    let first = visitor.browser.clone();
    for _ in 0..2 {
        site.clock.advance(11 * SECOND);
        visitor.page(a).await;
        visitor.page(a).await;
        site.settle().await;
    }
    assert_eq!(glance(&first).await, None);
    assert_eq!(glance(&visitor.browser).await, Some(1));
}

#[tokio::test]
async fn a_response_from_before_a_rotation_does_not_put_the_old_cookie_back() {
    let (site, mut visitor) = site().await;
    let slow = visitor.hold("/merge", |s| s.set("b", 1)).await;
    site.clock.advance(11 * SECOND);
    visitor.merge(a).await;
    let rotated = visitor.cookie().unwrap().to_owned();
    let reply = slow.finish().await;
    visitor.browser.keep(&reply);
    assert_eq!(visitor.cookie(), Some(rotated.as_str()));
    assert_eq!(visitor.page(|s| s.get::<u32>("b")).await, Some(1));
}

#[tokio::test]
async fn a_forward_that_comes_after_its_window_is_dropped() {
    let (site, visitor) = site().await;
    site.clock.advance(11 * SECOND);
    visitor.start(page("/"), |_: Session| ready(())).await;
    let gate = site.store.faults().hold_answers(steadfast::testing::Op::Update);
    let slow = tokio::spawn(visitor.start(page("/"), |s: Session| ready(s.set("b", 1))));
    gate.arrived(1).await;
    site.clock.advance(4 * SECOND);
    gate.open();
    let reply = slow.await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (200, None));
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::LateCookie)), 1);
}

#[tokio::test]
async fn a_secret_is_rotated_on_demand_once_its_predecessor_is_done_with() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.rotate_secret()).await;
    let first = visitor.set_cookie().unwrap().to_owned();
    visitor.page(|s| s.rotate_secret()).await;
    assert_eq!(visitor.set_cookie(), None, "its predecessor is still good");
    site.clock.advance(4 * SECOND);
    visitor.page(|s| s.rotate_secret()).await;
    assert!(visitor.set_cookie().is_some_and(|second| second != first));
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn rotation_can_be_switched_off() {
    let site = Site::new(|p| p.rotate_every(None));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    site.clock.advance(1_000 * SECOND);
    visitor.page(|s| s.set("a", 2)).await;
    assert_eq!(visitor.set_cookie(), None);
}

#[tokio::test]
async fn csrf_tokens_differ_and_are_all_good_until_the_privilege_changes() {
    let (site, mut visitor) = site().await;
    let (one, other) = visitor.page(|s| Ok((s.csrf_token()?, s.csrf_token()?))).await;
    assert_ne!(one, other);
    site.clock.advance(11 * SECOND);
    visitor.page(a).await;
    let tokens = [one.clone(), other];
    assert!(visitor.page(move |s| Ok(tokens.iter().all(|token| s.verify_csrf(token)))).await);
    visitor.page(|s| s.login("alice")).await;
    let before = one.clone();
    assert!(!visitor.page(move |s| Ok(s.verify_csrf(before))).await, "it is renewed with the privilege");
    let fresh = visitor.page(Session::csrf_token).await;
    let fresh_again = fresh.clone();
    assert!(visitor.page(move |s| Ok(s.verify_csrf(fresh))).await);
    let mut stranger = site.visitor();
    assert!(!stranger.page(move |s| Ok(s.verify_csrf(fresh_again))).await);
}

#[tokio::test]
async fn what_is_no_csrf_token_is_refused() {
    let (_site, mut visitor) = site().await;
    let token = visitor.page(Session::csrf_token).await;
    let bad = [
        "".to_owned(),
        "x".into(),
        token[1..].into(),
        token.clone() + "A",
        token.to_lowercase(),
        "é".repeat(22),
    ];
    assert!(visitor.page(move |s| Ok(!bad.iter().any(|token| s.verify_csrf(token)))).await);
}

#[tokio::test]
async fn a_csrf_token_of_a_session_to_be_is_good_for_the_session() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    let token = visitor.page(Session::csrf_token).await;
    assert!(visitor.set_cookie().is_some(), "it needs a session to belong to");
    assert!(visitor.page(move |s| Ok(s.verify_csrf(token))).await);
}

#[tokio::test]
async fn a_csrf_token_asked_for_after_the_sign_in_is_that_of_the_new_session() {
    let (_site, mut visitor) = site().await;
    let token = visitor
        .page(|s| {
            s.login("alice")?;
            s.csrf_token()
        })
        .await;
    assert!(visitor.page(move |s| Ok(s.verify_csrf(token))).await);
}
