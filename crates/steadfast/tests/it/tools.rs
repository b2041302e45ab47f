//! The tools for users' own tests.

use std::time::Duration;

use steadfast::Mark;
use steadfast::testing::Op;
use steadfast::{IpMatch, Result, Session};

use crate::site::Site;

#[tokio::test]
async fn a_prepared_session_is_there_for_the_request() {
    let site = Site::new(|p| p);
    let mut visitor = site
        .visitor_with(|s| {
            s.set("a", 1)?;
            s.flash("notice", "saved")?;
            s.login("alice")
        })
        .await;
    let seen = visitor.page(|s| Ok((s.get::<u32>("a")?, s.flash_get::<String>("notice")?, s.user()))).await;
    assert_eq!(seen, (Some(1), Some("saved".to_owned()), Some("alice".to_owned())));
}

#[tokio::test]
async fn a_prepared_session_is_there_though_nothing_was_done_to_it() {
    let site = Site::new(|p| p);
    let prepared = site.sessions.prepare(|_| Ok(())).await.unwrap();
    assert!(site.sessions.inspect(prepared.cookie()).await.unwrap().is_some());
    assert!(!format!("{prepared:?}").contains(prepared.cookie()));
}

#[tokio::test]
async fn a_failed_preparation_makes_no_session() {
    let site = Site::new(|p| p.max_keys(1));
    let both = |s: &Session| -> Result<()> {
        s.set("a", 1)?;
        s.set("b", 2)
    };
    assert!(site.sessions.prepare(both).await.is_err());
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn an_inspection_tells_how_long_each_value_lasts() {
    let site = Site::new(|p| p);
    let mut visitor = site
        .visitor_with(|s| {
            s.set("a", 1)?;
            s.flash("read", 2)?;
            s.set_temp("code", 3, Duration::from_secs(60))
        })
        .await;
    visitor.page(|s| s.flash("unread", 4)).await;
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.mark_of("a"), Some(Mark::None));
    assert_eq!(left.mark_of("read"), Some(Mark::FlashOld));
    assert_eq!(left.mark_of("unread"), Some(Mark::FlashNew));
    assert!(matches!(left.mark_of("code"), Some(Mark::Temp(_))));
    assert_eq!(left.mark_of("other"), None);
    assert_eq!(left.keys(), [b"a".as_slice(), b"read", b"code", b"unread"]);
}

#[tokio::test]
async fn an_inspection_changes_nothing() {
    let minute = Duration::from_secs(60);
    let site = Site::new(|p| p.idle_timeout(10 * minute));
    let visitor = site.visitor_with(|s| s.flash("notice", "saved")).await;
    let cookies = visitor.browser.cookies();
    site.clock.advance(5 * minute);
    for _ in 0..3 {
        let left = site.sessions.inspect(&cookies).await.unwrap().unwrap();
        assert_eq!(left.mark_of("notice"), Some(Mark::FlashNew));
    }
    assert_eq!(site.round_trips().await, site.store.faults().calls(Op::Load));
    site.clock.advance(6 * minute);
    assert!(site.sessions.inspect(&cookies).await.unwrap().is_none(), "it was not extended");
}

#[tokio::test]
async fn an_inspection_opens_a_session_wherever_it_is_bound_to() {
    let site = Site::new(|p| p.match_ip(IpMatch::Exact).match_user_agent());
    let mut visitor = site.visitor();
    visitor.browser = visitor.browser.from_peer(([192, 0, 2, 1], 80).into()).with_user_agent("a browser");
    visitor.page(|s| s.set("a", 1)).await;
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.get::<u32>("a").unwrap(), Some(1));
}

#[tokio::test]
async fn an_inspection_tells_a_superseded_session() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let before = visitor.browser.cookies();
    visitor.page(|s| s.login("alice")).await;
    let old = site.sessions.inspect(before).await.unwrap().unwrap();
    assert!(old.is_superseded() && old.user().is_none());
    let new = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!((new.is_superseded(), new.metadata().user.as_deref()), (false, Some("alice")));
}

#[tokio::test]
async fn an_inspected_csrf_token_is_one_of_the_session() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|_| Ok(())).await;
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    let token = left.csrf_token();
    assert!(visitor.page(move |s| Ok(s.verify_csrf(token))).await);
}
