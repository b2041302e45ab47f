//! The life of a session in a few scenes, as a browser sees it. Each theme has a file of its own beside.

use std::collections::BTreeSet;
use std::time::Duration;

use steadfast::{Result, Session};

use crate::app::{Adaptor, on_every_adaptor};
use crate::site::{COOKIE, Site, page};

on_every_adaptor! {
    a_value_set_by_one_request_is_there_for_the_next
    a_hundred_parallel_increments_all_count
    a_rotation_signs_nobody_out
    what_a_sign_in_left_behind_ends_with_its_window_also_after_a_quick_sign_out
}

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

async fn a_value_set_by_one_request_is_there_for_the_next(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
    let mut visitor = site.visitor();
    visitor.page(|s| s.set("a", 1)).await;
    assert_eq!(visitor.page(a).await, Some(1));
    assert_eq!(visitor.view(|s| s.get::<u32>("a")).await, Some(1));
}

async fn add_slowly(session: Session) -> Result<()> {
    tokio::task::yield_now().await;
    session.increment("n", 1)?;
    tokio::task::yield_now().await;
    Ok(())
}

async fn a_hundred_parallel_increments_all_count(adaptor: Adaptor) {
    for path in ["/exclusive", "/merge"] {
        let site = Site::with(adaptor, |p| p);
        let visitor = site.visitor_with(|s| s.set("n", 0)).await;
        let requests: Vec<_> =
            (0..100).map(|_| tokio::spawn(visitor.start(page(path), add_slowly))).collect();
        for request in requests {
            assert_eq!(request.await.unwrap().status(), 200);
        }
        let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
        assert_eq!(left.get::<u32>("n").unwrap(), Some(100), "{path}");
    }
}

async fn a_rotation_signs_nobody_out(adaptor: Adaptor) {
    let second = Duration::from_secs(1);
    let site = Site::with(adaptor, |p| p.rotate_every(10 * second).forward_window(3 * second));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let old = visitor.clone();
    site.clock.advance(11 * second);
    let mut successors = BTreeSet::new();
    for _ in 0..20 {
        assert_eq!(old.clone().page(a).await, Some(1));
        let reply = old.start(page("/"), |_: Session| std::future::ready(())).await;
        successors.insert(reply.cookie(COOKIE).unwrap().to_owned());
        visitor.browser.keep(&reply);
    }
    assert_eq!(successors.len(), 1, "each is told the same successor");
    site.clock.advance(4 * second);
    assert_eq!(old.clone().page(a).await, Some(1), "nobody came with the successor");
    assert_eq!(visitor.page(a).await, Some(1));
    site.clock.advance(4 * second);
    assert_eq!(old.clone().page(a).await, None, "now it is over");
    assert_eq!(visitor.page(a).await, Some(1));
}

async fn what_a_sign_in_left_behind_ends_with_its_window_also_after_a_quick_sign_out(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let mut old = visitor.clone();
    visitor.page(|s| s.login("alice")).await;
    visitor.page(Session::logout).await;
    assert_eq!(old.view(|s| s.get::<u32>("a")).await, Some(1), "requests under way may still read");
    site.clock.advance(Duration::from_secs(61));
    assert_eq!(old.view(|s| s.get::<u32>("a")).await, None);
}
