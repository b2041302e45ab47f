//! The life of a session, through axum, on the memory driver with a clock that stands in a test's hand.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;
use steadfast::axum::Merge;
use steadfast::store::memory::MemoryStore;
use steadfast::testing::ManualClock;
use steadfast::{Policy, PolicyBuilder, Session, SessionView, Sessions};

use crate::browser::Browser;

#[derive(Deserialize)]
struct Kv {
    k: Option<String>,
    v: Option<String>,
}

struct Site {
    app: Router,
    sessions: Sessions,
    clock: ManualClock,
}

fn site(policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Site {
    let clock = ManualClock::new();
    let policy = policy(Policy::builder().dangerous_insecure_cookie()).build().unwrap();
    let store = MemoryStore::with_clock(std::sync::Arc::new(clock.clone()));
    let sessions = Sessions::builder().policy(policy).clock(clock.clone()).purge_every(None).store(store);
    let app = Router::new()
        .route("/none", get(|| async { "none" }))
        .route("/touch", get(|_: Session| async { "touch" }))
        .route("/set", get(set))
        .route("/get", get(read))
        .route("/view", get(view))
        .route("/incr", get(incr))
        .route("/merge", get(merge))
        .route("/flash", get(|s: Session| async move { s.flash("f", "hello") }))
        .route(
            "/readflash",
            get(|s: Session| async move { s.flash_get::<String>("f").map(Option::unwrap_or_default) }),
        )
        .route("/login", get(|s: Session, Query(q): Query<Kv>| async move { s.login(q.v.unwrap()) }))
        .route("/logout", get(|s: Session| async move { s.logout() }))
        .route("/whoami", get(|s: SessionView| async move { s.user().unwrap_or_default() }))
        .route(
            "/revoke",
            get(|State(all): State<Sessions>, Query(q): Query<Kv>| async move {
                all.revoke(&q.v.unwrap()).await.unwrap().to_string()
            }),
        )
        .with_state(sessions.clone())
        .layer(sessions.layer());
    Site { app, sessions, clock }
}

async fn set(session: Session, Query(Kv { k, v }): Query<Kv>) -> steadfast::Result<()> {
    session.set(&k.unwrap(), v.unwrap())
}

async fn read(session: Session, Query(Kv { k, .. }): Query<Kv>) -> steadfast::Result<String> {
    Ok(session.get::<String>(&k.unwrap())?.unwrap_or_default())
}

async fn view(session: SessionView, Query(Kv { k, .. }): Query<Kv>) -> steadfast::Result<String> {
    Ok(session.get::<String>(&k.unwrap())?.unwrap_or_default())
}

async fn incr(session: Session) -> steadfast::Result<String> {
    let n = session.get::<u32>("n")?.unwrap_or(0) + 1;
    tokio::task::yield_now().await;
    session.set("n", n)?;
    Ok(n.to_string())
}

async fn merge(Merge(session): Merge) -> steadfast::Result<String> {
    let n = session.increment("n", 1)?;
    tokio::task::yield_now().await;
    Ok(n.to_string())
}

#[tokio::test]
async fn a_value_set_by_one_request_is_there_for_the_next() {
    let site = site(|p| p);
    let mut browser = Browser::default();
    let first = browser.get(&site.app, "/set?k=a&v=1").await;
    assert_eq!(first.status, 200);
    assert!(first.headers["set-cookie"].to_str().unwrap().contains("HttpOnly; SameSite=Lax"));
    assert_eq!(first.headers["cache-control"], "no-store");
    assert_eq!(first.headers["vary"], "cookie");
    let next = browser.get(&site.app, "/get?k=a").await;
    assert_eq!((next.body.as_str(), next.cookie()), ("1", None));
    assert_eq!(browser.get(&site.app, "/view?k=a").await.body, "1");
}

#[tokio::test]
async fn a_visitor_who_writes_nothing_gets_nothing() {
    let site = site(|p| p);
    let mut browser = Browser::default();
    for path in ["/none", "/touch", "/get?k=a", "/view?k=a"] {
        assert_eq!(browser.get(&site.app, path).await.cookie(), None, "{path}");
    }
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_hundred_parallel_increments_all_count() {
    for path in ["/incr", "/merge"] {
        let site = site(|p| p);
        let mut browser = Browser::default();
        browser.get(&site.app, path).await;
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (browser, app) = (browser.clone(), site.app.clone());
                tokio::spawn(async move { browser.send(&app, path, &[]).await.status })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
        assert_eq!(browser.get(&site.app, path).await.body, "102", "{path}");
    }
}

#[tokio::test]
async fn a_rotation_signs_nobody_out() {
    let site = site(|p| p.rotate_every(Duration::from_secs(10)).forward_window(Duration::from_secs(3)));
    let mut browser = Browser::default();
    browser.get(&site.app, "/set?k=a&v=1").await;
    let old = browser.clone();
    site.clock.advance(Duration::from_secs(11));
    let mut successors = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let reply = old.send(&site.app, "/get?k=a", &[]).await;
        assert_eq!(reply.body, "1");
        successors.insert(reply.cookie().expect("each is told the successor"));
        browser.keep(&reply);
    }
    assert_eq!(successors.len(), 1);
    site.clock.advance(Duration::from_secs(4));
    assert_eq!(old.send(&site.app, "/get?k=a", &[]).await.body, "1", "nobody came with the successor");
    assert_eq!(browser.get(&site.app, "/get?k=a").await.body, "1");
    site.clock.advance(Duration::from_secs(4));
    assert_eq!(old.send(&site.app, "/get?k=a", &[]).await.body, "", "now it is over");
    assert_eq!(browser.get(&site.app, "/get?k=a").await.body, "1");
}

#[tokio::test]
async fn flash_is_there_for_the_next_page_and_gone_after_it() {
    let site = site(|p| p);
    let mut browser = Browser::default();
    browser.get(&site.app, "/flash").await;
    let fetch = browser
        .send(&site.app, "/readflash", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")])
        .await;
    assert_eq!(fetch.body, "hello");
    assert_eq!(browser.get(&site.app, "/readflash").await.body, "hello");
    assert_eq!(browser.get(&site.app, "/readflash").await.body, "");
}

#[tokio::test]
async fn a_sign_in_moves_the_session_and_leaves_the_old_cookie_behind() {
    let site = site(|p| p);
    let mut browser = Browser::default();
    browser.get(&site.app, "/set?k=a&v=1").await;
    let old = browser.clone();
    browser.get(&site.app, "/login?v=alice").await;
    assert_ne!(old.cookie, browser.cookie);
    assert_eq!(browser.get(&site.app, "/whoami").await.body, "alice");
    assert_eq!(browser.get(&site.app, "/get?k=a").await.body, "1");
    assert_eq!(old.send(&site.app, "/whoami", &[]).await.body, "");
    let write = old.send(&site.app, "/set?k=a&v=2", &[]).await;
    assert_eq!((write.status.as_u16(), write.cookie()), (409, None));
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 1);
    let out = browser.get(&site.app, "/logout").await;
    assert_eq!(out.cookie().as_deref(), Some(""));
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_revocation_ends_every_session_of_the_user() {
    let site = site(|p| p);
    let mut browsers = [Browser::default(), Browser::default(), Browser::default()];
    for browser in &mut browsers {
        browser.get(&site.app, "/login?v=alice").await;
    }
    let mut bob = Browser::default();
    bob.get(&site.app, "/login?v=bob").await;
    assert_eq!(bob.get(&site.app, "/revoke?v=alice").await.body, "3");
    for browser in &mut browsers {
        assert_eq!(browser.get(&site.app, "/whoami").await.body, "");
    }
    assert_eq!(bob.get(&site.app, "/whoami").await.body, "bob");
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_for_too_long() {
    let site = site(|p| p.idle_timeout(Duration::from_secs(60)));
    let mut browser = Browser::default();
    browser.get(&site.app, "/set?k=a&v=1").await;
    for _ in 0..5 {
        site.clock.advance(Duration::from_secs(59));
        assert_eq!(browser.get(&site.app, "/view?k=a").await.body, "1", "reading is using");
    }
    site.clock.advance(Duration::from_secs(62));
    assert_eq!(browser.get(&site.app, "/view?k=a").await.body, "");
}
