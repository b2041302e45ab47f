//! Temp values: each with a lifetime of its own.

use std::time::Duration;

use steadfast::{Mark, Result, Session};

use crate::site::{Site, Visitor};

const SECOND: Duration = Duration::from_secs(1);

fn code(session: &Session) -> Result<Option<u32>> {
    session.temp_get("code")
}

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set_temp("code", 4711, 60 * SECOND)).await;
    (site, visitor)
}

#[tokio::test]
async fn a_temp_value_is_there_through_its_lifetime_and_not_after_it() {
    let (site, mut visitor) = site().await;
    site.clock.advance(59 * SECOND);
    assert_eq!(visitor.page(code).await, Some(4711));
    let left = visitor.page(|s| Ok(s.temp_left("code"))).await.unwrap();
    assert!(left <= SECOND && left > SECOND - Duration::from_millis(1));
    site.clock.advance(2 * SECOND);
    assert_eq!(visitor.page(code).await, None);
    assert_eq!(
        visitor.page(|s| Ok((s.temp_left("code"), s.has("code"), s.mark_of("code")))).await,
        (None, false, None)
    );
    assert_eq!(
        visitor.page(|s| Ok((s.keys(), s.temp_keys(), s.temp_all()?.len()))).await,
        (vec![], vec![], 0)
    );
    assert_eq!(visitor.view(|s| s.temp_get::<u32>("code")).await, None);
}

#[tokio::test]
async fn a_temp_value_ends_also_under_a_request_that_takes_long() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/", |s| s.set("seen", code(s)?)).await;
    site.clock.advance(61 * SECOND);
    slow.finish().await;
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.get::<u32>("seen").unwrap(), None);
}

#[tokio::test]
async fn a_temp_value_without_a_lifetime_has_that_of_the_policy() {
    let site = Site::new(|p| p.temp_ttl(10 * SECOND));
    let mut visitor = site.visitor_with(|s| s.set_temp("code", 1, Duration::ZERO)).await;
    site.clock.advance(9 * SECOND);
    assert_eq!(visitor.page(code).await, Some(1));
    site.clock.advance(2 * SECOND);
    assert_eq!(visitor.page(code).await, None);
}

#[tokio::test]
async fn values_are_given_one_lifetime_or_one_each_all_or_none() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set_all([("a", 1), ("b", 2), ("c", 3)])).await;
    assert!(!visitor.page(|s| s.mark_temp(["a", "missing"], SECOND)).await);
    assert_eq!(visitor.page(|s| Ok(s.mark_of("a"))).await, Some(Mark::None));
    assert!(visitor.page(|s| s.mark_temp(["a"], 10 * SECOND)).await);
    assert!(visitor.page(|s| s.mark_temp_each([("b", 20 * SECOND), ("c", 30 * SECOND)])).await);
    for left in [3, 2, 1, 0] {
        assert_eq!(visitor.page(|s| Ok(s.temp_keys().len())).await, left);
        site.clock.advance(10 * SECOND);
    }
}

#[tokio::test]
async fn temp_values_become_ordinary_ones() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.unmark_temp(["code", "missing"])).await;
    site.clock.advance(61 * SECOND);
    assert_eq!(visitor.page(|s| s.get::<u32>("code")).await, Some(4711));
    assert_eq!(visitor.page(code).await, None);
}

#[tokio::test]
async fn only_temp_values_are_removed_as_such() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.set("a", 1)).await;
    let removed =
        visitor.page(|s| Ok((s.remove_temp("code")?, s.remove_temp("a")?, s.remove_temp("b")?))).await;
    assert_eq!(removed, (true, false, false));
    assert_eq!(visitor.page(|s| Ok((s.has("code"), s.has("a")))).await, (false, true));
}

#[tokio::test]
async fn temp_flash_and_ordinary_values_are_told_apart() {
    let (_site, mut visitor) = site().await;
    let seen = visitor
        .page(|s| {
            s.set("a", 1)?;
            s.flash("f", 2)?;
            Ok((
                s.temp_get::<u32>("a")?,
                s.temp_get::<u32>("f")?,
                s.flash_get::<u32>("code")?,
                s.get::<u32>("code")?,
            ))
        })
        .await;
    assert_eq!(seen, (None, None, None, Some(4711)));
}

#[tokio::test]
async fn what_is_changed_keeps_its_lifetime_and_what_is_set_anew_loses_it() {
    let (site, mut visitor) = site().await;
    visitor.page(|s| s.increment("code", 1)).await;
    assert_eq!(visitor.page(code).await, Some(4712));
    visitor
        .page(|s| {
            s.set_temp("other", 1, 60 * SECOND)?;
            s.set("other", 2)
        })
        .await;
    site.clock.advance(61 * SECOND);
    assert_eq!(visitor.page(|s| Ok((code(s)?, s.get::<u32>("other")?))).await, (None, Some(2)));
}

#[tokio::test]
async fn a_change_of_an_expired_value_begins_anew() {
    let (site, mut visitor) = site().await;
    site.clock.advance(61 * SECOND);
    assert_eq!(visitor.page(|s| s.increment("code", 1)).await, 1);
    assert_eq!(visitor.page(|s| s.get::<u32>("code")).await, Some(1));
}

#[tokio::test]
async fn a_change_of_a_value_that_expires_meanwhile_begins_anew() {
    let (site, visitor) = site().await;
    for path in ["/exclusive", "/merge"] {
        let mut fresh = visitor.clone();
        fresh.page(|s| s.set_temp("code", 10, 60 * SECOND)).await;
        let slow = visitor.hold(path, |s| s.increment("code", 1)).await;
        site.clock.advance(61 * SECOND);
        assert_eq!(slow.finish().await.status(), 200);
        assert_eq!(fresh.page(|s| s.get::<u32>("code")).await, Some(1), "{path}");
    }
}

#[tokio::test]
async fn expired_values_are_not_kept() {
    let site = Site::new(|p| p.max_keys(2));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    for n in 0..5 {
        visitor.page(move |s| s.set_temp(&format!("code {n}"), n, SECOND)).await;
        site.clock.advance(2 * SECOND);
    }
    assert_eq!(visitor.page(|s| Ok(s.keys())).await, [b"a"]);
}

#[tokio::test]
async fn an_expired_value_is_not_brought_back_by_a_mark() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/", |s| s.unmark_temp(["code"])).await;
    site.clock.advance(61 * SECOND);
    assert_eq!(slow.finish().await.status(), 200);
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("code")).await, None);
}
