//! When a session ends by itself.

use std::num::NonZeroUsize;
use std::time::Duration;

use steadfast::testing::Op;
use steadfast::{EventKind, Result, Session};

use crate::site::{Site, Visitor};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

async fn lives(visitor: &mut Visitor) -> bool {
    visitor.page(|s: &Session| s.get::<u32>("a")).await.is_some()
}

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p.idle_timeout(10 * MINUTE).absolute_timeout(HOUR).rotate_every(None));
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

#[tokio::test]
async fn a_session_that_is_used_in_time_lives_on() {
    let (site, mut visitor) = site().await;
    for _ in 0..5 {
        site.clock.advance(10 * MINUTE - SECOND);
        assert!(lives(&mut visitor).await);
    }
}

#[tokio::test]
async fn reading_a_view_is_using() {
    let (site, mut visitor) = site().await;
    for _ in 0..5 {
        site.clock.advance(10 * MINUTE - SECOND);
        assert_eq!(visitor.view(|s| s.get::<u32>("a")).await, Some(1));
    }
}

#[tokio::test]
async fn an_idle_session_ends_a_sixtieth_of_the_idle_time_late_at_most() {
    let (site, mut visitor) = site().await;
    site.clock.advance(10 * MINUTE + 11 * SECOND);
    assert!(!lives(&mut visitor).await);
    assert_eq!(site.events.count(EventKind::Expired), 1);
}

#[tokio::test]
async fn a_touch_that_is_spared_ends_nobody_early() {
    let (site, mut visitor) = site().await;
    // A use shortly after the last one is not written down …
    site.clock.advance(9 * SECOND);
    assert!(lives(&mut visitor).await);
    assert_eq!(site.round_trips().await - site.store.faults().calls(Op::Release), 1);
    // … and counts all the same.
    site.clock.advance(10 * MINUTE - SECOND);
    assert!(lives(&mut visitor).await);
}

#[tokio::test]
async fn the_absolute_end_does_not_move() {
    let (site, mut visitor) = site().await;
    for _ in 0..11 {
        site.clock.advance(5 * MINUTE);
        visitor.page(|s| s.set("b", 1)).await;
    }
    assert!(lives(&mut visitor).await);
    site.clock.advance(5 * MINUTE);
    assert!(!lives(&mut visitor).await, "an hour has passed");
}

#[tokio::test]
async fn a_step_up_does_not_move_the_absolute_end_and_a_sign_in_does() {
    let (site, mut visitor) = site().await;
    for _ in 0..11 {
        site.clock.advance(5 * MINUTE);
        visitor.page(|s| s.rotate()).await;
    }
    let mut other = site.visitor_with(|s| s.set("a", 1)).await;
    site.clock.advance(5 * MINUTE);
    assert!(!lives(&mut visitor).await);
    other.page(|s| s.login("alice")).await;
    for _ in 0..11 {
        site.clock.advance(5 * MINUTE);
        assert!(lives(&mut other).await, "an hour from the sign-in on");
    }
}

#[tokio::test]
async fn polling_does_not_extend() {
    let (site, mut visitor) = site().await;
    for _ in 0..3 {
        site.clock.advance(3 * MINUTE);
        visitor
            .page(|s| {
                s.do_not_extend();
                Ok(())
            })
            .await;
        visitor
            .view(|s| {
                s.do_not_extend();
                Ok(())
            })
            .await;
        visitor
            .page(|s| {
                s.do_not_extend();
                s.set("b", 1)
            })
            .await;
    }
    site.clock.advance(2 * MINUTE);
    assert!(!lives(&mut visitor).await);
}

#[tokio::test]
async fn an_expired_session_is_not_revived_by_a_write() {
    let (site, mut visitor) = site().await;
    let before = visitor.cookie().unwrap().to_owned();
    site.clock.advance(11 * MINUTE);
    visitor.page(|s| s.set("b", 1)).await;
    assert_ne!(visitor.cookie(), Some(before.as_str()));
    assert!(!lives(&mut visitor).await);
}

#[tokio::test]
async fn a_session_in_use_does_not_expire_under_its_request() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/", |s| s.set("b", s.get::<u32>("a")?)).await;
    site.clock.advance(11 * MINUTE);
    // The lease would have been renewed for as long as the handler works.
    assert_eq!(slow.finish().await.status(), 200);
    assert!(lives(&mut visitor.clone()).await, "the request that wrote was a use");
}

#[tokio::test]
async fn a_remembered_session_has_timeouts_of_its_own() {
    let day = 24 * HOUR;
    let site = Site::new(|p| {
        p.idle_timeout(MINUTE).remember_idle_timeout(7 * day).remember_absolute_timeout(30 * day)
    });
    let remembered = |s: &Session| -> Result<()> {
        s.set("a", 1)?;
        s.remember(true)
    };
    let mut visitor = site.visitor_with(remembered).await;
    for _ in 0..4 {
        site.clock.advance(7 * day - SECOND);
        assert!(lives(&mut visitor).await);
    }
    site.clock.advance(2 * day + 5 * SECOND);
    assert!(!lives(&mut visitor).await, "30 days have passed");
    let mut idle = site.visitor_with(remembered).await;
    site.clock.advance(8 * day);
    assert!(!lives(&mut idle).await);
}

#[tokio::test]
async fn who_is_not_remembered_any_more_is_timed_as_the_others() {
    let site = Site::new(|p| p.idle_timeout(10 * MINUTE));
    let mut visitor = site
        .visitor_with(|s| {
            s.set("a", 1)?;
            s.remember(true)
        })
        .await;
    visitor.page(|s| s.remember(false)).await;
    assert!(!visitor.page(|s| Ok(s.metadata().unwrap().persistent)).await);
    site.clock.advance(11 * MINUTE);
    assert!(!lives(&mut visitor).await);
}

#[tokio::test]
async fn a_session_keeps_the_timeout_it_began_with() {
    let (site, mut visitor) = site().await;
    let shorter = Site::on(site.store.clone(), site.clock.clone(), |p| p.idle_timeout(MINUTE));
    let mut there = shorter.visitor();
    there.browser = crate::site::moved(&visitor.browser, &shorter);
    site.clock.advance(9 * MINUTE);
    assert!(lives(&mut there).await && lives(&mut visitor).await);
}

#[tokio::test]
async fn the_metadata_tells_when_the_session_was_used_and_when_it_ends() {
    let (site, mut visitor) = site().await;
    let first = visitor.page(|s| Ok(s.metadata().unwrap())).await;
    site.clock.advance(5 * MINUTE);
    visitor.page(|s| s.set("b", 1)).await;
    site.clock.advance(2 * MINUTE);
    let later = visitor.page(|s| Ok(s.metadata().unwrap())).await;
    assert_eq!((later.created_at, &later.tag), (first.created_at, &first.tag));
    assert_eq!(later.last_active.saturating_since(first.created_at).as_secs(), 300);
    assert_eq!(later.expires_at.saturating_since(later.last_active).as_secs(), 610);
    assert_eq!(later.absolute_expires_at.saturating_since(first.created_at), HOUR);
    let (tag, created, active, expires) =
        visitor.page(|s| Ok((s.tag(), s.created_at(), s.last_active(), s.expires_at()))).await;
    assert_eq!((tag, created), (Some(later.tag), Some(later.created_at)));
    assert!(active >= Some(later.last_active) && expires >= Some(later.expires_at));
}

#[tokio::test]
async fn expired_records_are_purged_in_batches_and_others_stay() {
    let (site, mut visitor) = site().await;
    for _ in 0..10 {
        site.sessions.prepare(|_| Ok(())).await.unwrap();
    }
    site.clock.advance(9 * MINUTE);
    assert!(lives(&mut visitor).await);
    site.sessions.shutdown().await;
    site.clock.advance(3 * MINUTE);
    let mut purged = 0;
    for _ in 0..1_000 {
        let batch = site.sessions.purge(NonZeroUsize::new(3).unwrap()).await.unwrap();
        assert!(batch <= 3);
        purged += batch;
    }
    assert_eq!((purged, site.sessions.count().await.unwrap()), (10, 1));
    assert!(site.events.count(EventKind::Purged) >= 4);
    assert!(lives(&mut visitor).await);
}
