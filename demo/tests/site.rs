//! The site, tested as your own would be: without a network, a browser or a clock that runs.
//!
//! Everything here comes with the library's feature `testing`; `docs/testing.md` explains it.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use steadfast::Sessions;
use steadfast::store::memory::MemoryStore;
use steadfast::testing::{Fault, FaultyStore, ManualClock, Op, Prepared, Reply, TestBrowser};
use steadfast_demo::storm::Arena;
use steadfast_demo::{setup, site};

const PAGES: [&str; 9] =
    ["/", "/sign-in", "/cart", "/profile", "/download", "/code", "/devices", "/live", "/storm"];

/// The demo, with its time and its store in the hands of a test.
struct Demo {
    sessions: Sessions,
    clock: ManualClock,
    store: FaultyStore<MemoryStore>,
    site: Router,
}

impl Demo {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let sessions =
            Sessions::builder().policy(setup::policy().unwrap()).clock(clock.clone()).store(store.clone());
        let site = site(&sessions, &Arena::connect("memory:").await.unwrap());
        Self { sessions, clock, store, site }
    }

    fn browser(&self) -> TestBrowser {
        TestBrowser::new(self.site.clone())
            .from_peer(SocketAddr::from(([192, 0, 2, 7], 4_711)))
            .with_user_agent("Mozilla/5.0 (X11; Linux x86_64) Chrome/150.0 Safari/537.36")
    }

    /// Prepares the session of somebody who is signed in.
    async fn signed_in(&self, user: &str) -> (TestBrowser, Prepared) {
        let prepared = self.sessions.prepare(|session| session.login(user)).await.unwrap();
        let mut browser = self.browser();
        browser.set_cookie(prepared.set_cookie());
        (browser, prepared)
    }
}

/// Returns the token of the first form on a page.
fn token(page: &Reply) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("name=\"csrf\" value=\"").expect("a page with a form");
    rest.split('"').next().unwrap().to_owned()
}

/// Opens a page, posts its form, and returns the page after it.
async fn submit(browser: &mut TestBrowser, page: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
    let token = token(&browser.get(page).await);
    let mut form = vec![("csrf", token.as_str())];
    form.extend_from_slice(fields);
    let answer = browser.post(action, &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text());
    browser.follow(&answer).await
}

/// Returns the message that the last form left. (The page shows its own source, too, where it is in quotes.)
fn notice(page: &Reply) -> Option<String> {
    let text = page.text();
    let (_, rest) = text.split_once("role=\"status\">")?;
    rest.split('<').next().map(str::to_owned)
}

#[track_caller]
fn assert_shows(page: &Reply, text: &str) {
    assert!(page.text().contains(text), "{text:?} is not on the page:\n{}", page.text());
}

#[track_caller]
fn assert_hides(page: &Reply, text: &str) {
    assert!(!page.text().contains(text), "{text:?} is on the page:\n{}", page.text());
}

#[tokio::test]
async fn every_page_opens_for_a_member_and_is_kept_nowhere() {
    let (mut browser, _) = Demo::new().await.signed_in("ada").await;
    for path in PAGES {
        let page = browser.get(path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert_shows(&page, "Ada Lovelace");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn a_page_without_a_form_gives_a_stranger_no_cookie() {
    let mut browser = Demo::new().await.browser();
    assert_eq!(browser.get("/").await.set_cookies().count(), 0);
    assert_eq!(browser.get("/storm").await.set_cookies().count(), 0);
    assert_eq!(browser.get("/sign-in").await.set_cookies().count(), 1);
}

#[tokio::test]
async fn a_form_without_the_token_of_the_session_changes_nothing() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    let (mut other, _) = demo.signed_in("grace").await;
    let foreign = token(&other.get("/profile").await);
    for form in [&[("name", "Eve")][..], &[("name", "Eve"), ("csrf", &foreign)]] {
        assert_eq!(browser.post("/profile", form).await.status(), StatusCode::FORBIDDEN);
    }
    assert!(!demo.sessions.inspect(browser.cookies()).await.unwrap().unwrap().has("profile"));
}

#[tokio::test]
async fn signing_in_leads_where_the_visitor_wanted_to_go() {
    let demo = Demo::new().await;
    let mut browser = demo.browser();
    let refused = browser.get("/devices").await;
    // What runs behind the pages is refused, too, and does not change where the visitor wanted to go.
    browser.fetch("/live/events").await;
    let form = browser.follow(&refused).await;
    assert_shows(&form, "Please sign in first.");
    let fields = [("user", "ada"), ("password", "analytical engine")];
    let page = submit(&mut browser, "/sign-in", "/sign-in", &fields).await;
    assert_shows(&page, "<h1>Devices</h1>");
    assert_shows(&page, "Welcome aboard, Ada Lovelace.");
    assert_shows(&page, "Chromium on Linux");
    assert_shows(&page, "192.0.2.7");
}

#[tokio::test]
async fn a_wrong_password_signs_nobody_in() {
    let mut browser = Demo::new().await.browser();
    let page = submit(&mut browser, "/sign-in", "/sign-in", &[("user", "ada"), ("password", "x")]).await;
    assert_shows(&page, "do not belong together");
    assert_shows(&page, "Not signed in");
}

#[tokio::test]
async fn only_who_asked_to_be_remembered_is_still_signed_in_when_the_browser_opens_again() {
    let demo = Demo::new().await;
    for (remember, expected) in [(None, "Not signed in"), (Some(("remember", "yes")), "Ada Lovelace")] {
        let mut browser = demo.browser();
        let mut fields = vec![("user", "ada"), ("password", "analytical engine")];
        fields.extend(remember);
        submit(&mut browser, "/sign-in", "/sign-in", &fields).await;
        browser.restart();
        assert_shows(&browser.get("/").await, expected);
    }
}

#[tokio::test]
async fn a_cart_that_a_guest_filled_is_there_after_signing_in() {
    let demo = Demo::new().await;
    let mut browser = demo.browser();
    submit(&mut browser, "/cart", "/cart", &[("item", "compass"), ("by", "1")]).await;
    let fields = [("user", "ada"), ("password", "analytical engine")];
    submit(&mut browser, "/sign-in", "/sign-in", &fields).await;
    let left = demo.sessions.inspect(browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.user().as_deref(), Some("ada"));
    assert_eq!(left.get::<BTreeMap<String, u32>>("cart").unwrap().unwrap()["compass"], 1);
}

#[tokio::test]
async fn what_one_user_left_in_the_session_is_not_for_the_next_who_signs_in() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    submit(&mut browser, "/profile", "/profile", &[("name", "Ada"), ("ship", ""), ("about", "")]).await;
    submit(&mut browser, "/sign-in", "/sign-in", &[("user", "grace"), ("password", "nanosecond")]).await;
    let left = demo.sessions.inspect(browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.user().as_deref(), Some("grace"));
    assert!(!left.has("profile"));
}

#[tokio::test]
async fn two_tabs_that_fill_the_cart_at_the_same_time_both_count() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    let token = token(&browser.get("/cart").await);
    let add = |item: &str| {
        let form = format!("csrf={token}&item={item}&by=1");
        let request = Request::post("/cart").header("content-type", "application/x-www-form-urlencoded");
        browser.send(request.body(form).unwrap())
    };
    // Both have read the session when the first one writes.
    let gate = demo.store.faults().hold(Op::Update);
    let tabs = async { tokio::join!(add("lantern"), add("compass")) };
    let opened = async {
        gate.arrived(2).await;
        gate.open();
    };
    let ((one, other), ()) = tokio::join!(tabs, opened);
    assert_eq!([one.status(), other.status()], [StatusCode::SEE_OTHER; 2]);
    let left = demo.sessions.inspect(browser.cookies()).await.unwrap().unwrap();
    let cart: BTreeMap<String, u32> = left.get("cart").unwrap().unwrap();
    assert_eq!(cart, BTreeMap::from([("compass".to_owned(), 1), ("lantern".to_owned(), 1)]));
    assert_eq!(left.get::<Vec<String>>("cart.log").unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn the_message_after_a_saved_form_is_there_once() {
    let (mut browser, _) = Demo::new().await.signed_in("ada").await;
    let fields = [("name", "Ada"), ("ship", ""), ("about", "")];
    let page = submit(&mut browser, "/profile", "/profile", &fields).await;
    assert_eq!(notice(&page).as_deref(), Some("Your profile is saved."));
    assert_eq!(notice(&browser.get("/profile").await), None);
}

#[tokio::test]
async fn what_could_not_be_saved_comes_back_once() {
    let (mut browser, _) = Demo::new().await.signed_in("ada").await;
    let fields = [("name", " "), ("ship", "Beagle"), ("about", "")];
    let page = submit(&mut browser, "/profile", "/profile", &fields).await;
    assert_shows(&page, "A name is needed.");
    assert_shows(&page, "Beagle");
    assert_hides(&browser.get("/profile").await, "Beagle");
}

#[tokio::test]
async fn what_a_visitor_types_is_shown_as_text() {
    let (mut browser, _) = Demo::new().await.signed_in("ada").await;
    let fields = [("name", "\"><script>alert(1)</script>"), ("ship", ""), ("about", "</textarea><b>")];
    let page = submit(&mut browser, "/profile", "/profile", &fields).await;
    assert_hides(&page, "<script>alert");
    assert_hides(&page, "</textarea><b>");
}

#[tokio::test]
async fn of_two_who_use_a_download_link_at_the_same_time_one_gets_the_file() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    let page = submit(&mut browser, "/download", "/download", &[]).await;
    let text = page.text();
    let (_, rest) = text.split_once("href=\"/download/").unwrap();
    let link = format!("/download/{}", rest.split('"').next().unwrap());
    let ask = || browser.send(Request::get(&link).body(String::new()).unwrap());
    let (one, other) = tokio::join!(ask(), ask());
    let mut statuses = [one.status(), other.status()];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::GONE]);
    assert_hides(&browser.get("/download").await, &link);
}

#[tokio::test]
async fn a_code_is_good_once_and_for_a_minute() {
    let demo = Demo::new().await;
    let (mut browser, prepared) = demo.signed_in("ada").await;
    let code = async || {
        let left = demo.sessions.inspect(prepared.cookie()).await.unwrap().unwrap();
        left.temp_get::<String>("code").unwrap()
    };

    submit(&mut browser, "/code", "/code", &[]).await;
    let first = code().await.unwrap();
    let page = submit(&mut browser, "/code", "/code/check", &[("code", &first)]).await;
    assert_shows(&page, "That is the code.");
    assert_eq!(code().await, None);

    submit(&mut browser, "/code", "/code", &[]).await;
    let second = code().await.unwrap();
    demo.clock.advance(Duration::from_secs(61));
    let page = submit(&mut browser, "/code", "/code/check", &[("code", &second)]).await;
    assert_shows(&page, "its minute is over");
}

#[tokio::test]
async fn signing_out_the_others_ends_them_and_nobody_else() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    let (mut phone, _) = demo.signed_in("ada").await;
    let (mut grace, _) = demo.signed_in("grace").await;
    let page = submit(&mut browser, "/devices", "/devices/others", &[]).await;
    assert_shows(&page, "One other device is signed out.");
    assert_shows(&phone.get("/").await, "Not signed in");
    assert_shows(&grace.get("/").await, "Grace Hopper");
}

#[tokio::test]
async fn one_device_is_signed_out_by_its_tag_but_not_that_of_another_user() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    let (mut phone, phone_session) = demo.signed_in("ada").await;
    let (mut grace, grace_session) = demo.signed_in("grace").await;
    let tag = async |session: &Prepared| {
        demo.sessions.inspect(session.cookie()).await.unwrap().unwrap().metadata().tag
    };
    let (phone_tag, grace_tag) = (tag(&phone_session).await, tag(&grace_session).await);

    let page = submit(&mut browser, "/devices", "/devices", &[("tag", &grace_tag)]).await;
    assert_shows(&page, "signed out already");
    assert_shows(&grace.get("/").await, "Grace Hopper");

    let page = submit(&mut browser, "/devices", "/devices", &[("tag", &phone_tag)]).await;
    assert_shows(&page, "That device is signed out.");
    assert_shows(&phone.get("/").await, "Not signed in");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_its_event_stream() {
    let demo = Demo::new().await;
    let (mut browser, prepared) = demo.signed_in("ada").await;
    let mut tab = browser.clone();
    let stream = browser.send(Request::get("/live/events").body(String::new()).unwrap());
    let (stream, page) = tokio::join!(stream, submit(&mut tab, "/live", "/sign-out", &[]));
    assert!(stream.text().ends_with("event: ended\ndata: signed out\n\n"), "{}", stream.text());
    assert_shows(&page, "You are signed out.");
    assert_shows(&page, "Not signed in");
    assert!(demo.sessions.inspect(prepared.cookie()).await.unwrap().is_none());
    assert_eq!(browser.get("/profile").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_commit_that_fails_is_not_called_saved() {
    let demo = Demo::new().await;
    let (mut browser, _) = demo.signed_in("ada").await;
    let token = token(&browser.get("/profile").await);
    demo.store.faults().fail_next(Op::Update, Fault::Refused, 1);
    let form = [("csrf", token.as_str()), ("name", "Ada"), ("ship", ""), ("about", "")];
    let answer = browser.post("/profile", &form).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_shows(&answer, "Sessions are not available");
    assert_eq!(notice(&browser.get("/profile").await), None);
}

#[tokio::test]
async fn a_storm_loses_nothing_unless_its_protection_is_off() {
    assert_eq!(storm("protected", "hit").await, 12);
    assert_eq!(storm("protected", "hit-in-turn").await, 12);
    assert!(storm("last-writer-wins", "hit").await < 12);
}

/// Sends twelve requests at once, and returns how many were counted.
async fn storm(weather: &str, hit: &str) -> i64 {
    let mut browser = Demo::new().await.browser();
    let started = browser.post(&format!("/storm/{weather}/start"), &[]).await;
    let started: serde_json::Value = serde_json::from_slice(started.body()).unwrap();
    let token = started["csrf"].as_str().unwrap();
    let requests = (0..12).map(|number| {
        let request = Request::post(format!("/storm/{weather}/{hit}"))
            .header("content-type", "application/x-www-form-urlencoded");
        tokio::spawn(browser.send(request.body(format!("csrf={token}&number={number}")).unwrap()))
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    let outcome = browser.get(&format!("/storm/{weather}/result")).await;
    let outcome: serde_json::Value = serde_json::from_slice(outcome.body()).unwrap();
    assert_eq!(outcome["signed_in"], true);
    outcome["count"].as_i64().unwrap()
}
