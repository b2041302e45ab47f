//! Flash values: there for the next page, and gone after it.

use steadfast::{Mark, Result, Session};

use crate::site::{Site, Visitor, fetch, page};

fn notice(session: &Session) -> Result<Option<String>> {
    session.flash_get("notice")
}

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.flash("notice", "saved")).await;
    (site, visitor)
}

async fn mark(site: &Site, visitor: &Visitor, key: &str) -> Option<Mark> {
    site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap().mark_of(key)
}

#[tokio::test]
async fn a_flash_value_is_there_for_the_next_page_and_gone_after_it() {
    let (_site, mut visitor) = site().await;
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
    assert_eq!(visitor.page(notice).await, None);
}

#[tokio::test]
async fn a_flash_value_is_readable_by_the_request_that_sets_it() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    let seen = visitor
        .page(|s| {
            s.flash("notice", "saved")?;
            notice(s)
        })
        .await;
    assert_eq!(seen.as_deref(), Some("saved"));
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
    assert_eq!(visitor.page(notice).await, None);
}

#[tokio::test]
async fn a_page_that_does_not_look_at_flash_ages_it_too() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| Ok(s.has("other"))).await;
    assert_eq!(visitor.page(notice).await, None);
}

#[tokio::test]
async fn a_page_that_takes_no_session_ages_nothing() {
    let (_site, mut visitor) = site().await;
    visitor.open("/static").await;
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
}

#[tokio::test]
async fn background_requests_read_flash_and_leave_it() {
    let (site, mut visitor) = site().await;
    for _ in 0..3 {
        assert_eq!(visitor.fetch(notice).await.as_deref(), Some("saved"));
    }
    for (name, value) in [
        ("x-requested-with", "XMLHttpRequest"),
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("sec-fetch-dest", "image"),
    ] {
        let mut request = page("/");
        request.headers_mut().insert(name, value.parse().unwrap());
        let reply = visitor.start(request, |_: Session| std::future::ready(())).await;
        assert_eq!(reply.status(), 200);
    }
    assert_eq!(mark(&site, &visitor, "notice").await, Some(Mark::FlashNew));
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
}

#[tokio::test]
async fn a_background_request_that_writes_does_not_age_flash() {
    let (_site, mut visitor) = site().await;
    visitor.fetch(|s| s.set("a", 1)).await;
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
}

#[tokio::test]
async fn a_view_reads_flash_and_does_not_age_it() {
    let (_site, mut visitor) = site().await;
    assert_eq!(visitor.view(|s| s.flash_get::<String>("notice")).await.as_deref(), Some("saved"));
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
}

#[tokio::test]
async fn a_session_without_flash_is_not_written_by_reading() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    for _ in 0..3 {
        assert_eq!(visitor.page(notice).await, None);
    }
    let faults = site.store.faults();
    site.round_trips().await;
    assert_eq!(faults.calls(steadfast::testing::Op::Update), 0);
}

#[tokio::test]
async fn pages_that_overlap_age_flash_once() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/merge", notice).await;
    // This one came after the slow one and is through before it.
    assert_eq!(visitor.clone().merge(notice).await.as_deref(), Some("saved"));
    assert_eq!(slow.finish().await.status(), 200);
    assert_eq!(mark(&site, &visitor, "notice").await, Some(Mark::FlashOld));
}

#[tokio::test]
async fn pages_that_wait_for_each_other_age_flash_once() {
    let (site, visitor) = site().await;
    let first = visitor.hold("/exclusive", notice).await;
    let waiting = tokio::spawn(visitor.start(page("/exclusive"), |_: Session| std::future::ready(())));
    tokio::task::yield_now().await;
    assert_eq!(first.finish().await.status(), 200);
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert_eq!(mark(&site, &visitor, "notice").await, Some(Mark::FlashOld), "both came before it aged");
}

#[tokio::test]
async fn a_page_under_way_does_not_age_what_was_flashed_after_it_came() {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    for path in ["/exclusive", "/merge"] {
        let slow = visitor.hold(path, |s| s.set("b", 1)).await;
        let other =
            tokio::spawn(visitor.start(page(path), |s: Session| async move { s.flash("notice", "saved") }));
        tokio::task::yield_now().await;
        assert_eq!(slow.finish().await.status(), 200);
        assert_eq!(other.await.unwrap().status(), 200);
        assert_eq!(mark(&site, &visitor, "notice").await, Some(Mark::FlashNew), "{path}");
        assert_eq!(visitor.clone().page(notice).await.as_deref(), Some("saved"), "{path}");
    }
}

#[tokio::test]
async fn kept_flash_lasts_one_page_longer() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.keep_flash(["notice", "missing"])).await;
    assert_eq!(visitor.page(notice).await.as_deref(), Some("saved"));
    assert_eq!(visitor.page(notice).await, None);
}

#[tokio::test]
async fn keeping_turns_nothing_into_flash() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    visitor.page(|s| s.keep_flash(["a"])).await;
    visitor.page(|_| Ok(())).await;
    visitor.page(|_| Ok(())).await;
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(1));
}

#[tokio::test]
async fn values_are_marked_as_flash_all_or_none() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set_all([("a", 1), ("b", 2)])).await;
    assert!(!visitor.page(|s| s.mark_flash(["a", "missing"])).await);
    assert_eq!(visitor.page(|s| Ok(s.mark_of("a"))).await, Some(Mark::None));
    assert!(visitor.page(|s| s.mark_flash(["a", "b"])).await);
    assert_eq!(visitor.page(|s| Ok(s.flash_keys())).await, [b"a", b"b"]);
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, None);
}

#[tokio::test]
async fn flash_values_become_ordinary_ones() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.unmark_flash(["notice", "missing"])).await;
    visitor.page(|_| Ok(())).await;
    assert_eq!(visitor.page(|s| s.get::<String>("notice")).await.as_deref(), Some("saved"));
    assert_eq!(visitor.page(notice).await, None, "it is no flash value any more");
}

#[tokio::test]
async fn setting_an_ordinary_value_ends_the_flash() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.set("notice", "ordinary")).await;
    visitor.page(|_| Ok(())).await;
    assert_eq!(visitor.page(|s| s.get::<String>("notice")).await.as_deref(), Some("ordinary"));
}

#[tokio::test]
async fn all_flash_values_are_listed_apart_from_the_others() {
    let (_site, mut visitor) = site().await;
    let (flash, all) = visitor
        .fetch(|s| {
            s.set("a", 1)?;
            Ok((s.flash_all()?, s.all()?))
        })
        .await;
    assert_eq!(flash.keys().collect::<Vec<_>>(), ["notice"]);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn a_flash_of_the_last_page_survives_a_sign_in() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    visitor
        .page(|s| {
            s.login("alice")?;
            s.flash("notice", "Welcome.")
        })
        .await;
    assert_eq!(visitor.page(notice).await.as_deref(), Some("Welcome."));
    assert_eq!(visitor.page(notice).await, None);
}

#[tokio::test]
async fn a_sign_out_can_say_farewell() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.login("alice")).await;
    visitor
        .page(|s| {
            s.logout()?;
            s.flash("notice", "Goodbye.")
        })
        .await;
    let seen = visitor.page(|s| Ok((notice(s)?, s.user()))).await;
    assert_eq!(seen, (Some("Goodbye.".to_owned()), None));
}

#[tokio::test]
async fn a_fetch_does_not_keep_a_page_from_ageing_flash() {
    let (_site, mut visitor) = site().await;
    visitor.page(notice).await;
    let reply = visitor.start(fetch("/"), |_: Session| std::future::ready(())).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(visitor.page(notice).await, None);
}
