//! When a cookie is sent, with what in it, and which cookies open a session.

use std::future::ready;
use std::time::Duration;

use http::{Request, header};
use steadfast::testing::Op;
use steadfast::{Anomaly, EventKind, Result, SameSite, Session};

use crate::site::{COOKIE, Site, page};

const MINUTE: Duration = Duration::from_secs(60);

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

#[tokio::test]
async fn a_visitor_who_writes_nothing_gets_no_cookie_and_no_record() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor.page(|s| Ok((s.has("a"), s.user(), s.metadata(), s.flash_keys()))).await;
    visitor.merge(a).await;
    visitor.view(|s| s.get::<u32>("a")).await;
    visitor.open("/static").await;
    assert_eq!((visitor.cookie(), site.round_trips().await), (None, 0));
}

#[tokio::test]
async fn the_first_write_sends_the_cookie_once() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor.page(|s| s.set("a", 1)).await;
    assert!(visitor.set_cookie().is_some());
    visitor.page(|s| s.set("a", 2)).await;
    assert_eq!(visitor.set_cookie(), None, "an unchanged secret is never sent again");
    visitor.page(a).await;
    assert_eq!(visitor.set_cookie(), None);
}

#[tokio::test]
async fn the_value_of_a_cookie_is_256_bits_of_nothing_else() {
    let site = Site::new(|p| p);
    let (mut one, mut other) = (site.visitor(), site.visitor());
    one.page(|s| s.set("a", 1)).await;
    other.page(|s| s.set("a", 1)).await;
    let value = one.cookie().unwrap();
    assert!(value.len() == 43 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    assert_ne!(one.cookie(), other.cookie());
}

async fn set_cookie(site: &Site) -> String {
    site.sessions.prepare(|s| s.set("a", 1)).await.unwrap().set_cookie().to_owned()
}

/// Checks what stands after the cookie's value.
#[track_caller]
fn check_attributes(set_cookie: &str, name: &str, expected: &str) {
    let (pair, attributes) = set_cookie.split_once("; ").unwrap();
    assert_eq!((pair.split_once('=').unwrap().0, attributes), (name, expected));
}

#[tokio::test]
async fn a_cookie_is_a_host_cookie_unless_it_was_switched_off_by_name() {
    let site = Site::new(|p| p.secure_cookie());
    check_attributes(&set_cookie(&site).await, "__Host-session", "Path=/; Secure; HttpOnly; SameSite=Lax");
    let site = Site::new(|p| p);
    check_attributes(&set_cookie(&site).await, "session", "Path=/; HttpOnly; SameSite=Lax");
    let site = Site::new(|p| {
        p.secure_cookie()
            .cookie_path("/shop")
            .cookie_domain("example.org")
            .same_site(SameSite::None)
            .partitioned()
    });
    check_attributes(
        &set_cookie(&site).await,
        "__Secure-session",
        "Path=/shop; Domain=example.org; Secure; HttpOnly; SameSite=None; Partitioned",
    );
}

#[tokio::test]
async fn a_removal_repeats_the_attributes_so_that_a_browser_takes_it() {
    let site = Site::new(|p| p.secure_cookie());
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let reply = visitor.reply(|s| s.destroy()).await;
    assert_eq!(
        reply.header("set-cookie"),
        Some(
            "__Host-session=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; \
             Path=/; Secure; HttpOnly; SameSite=Lax"
        )
    );
    assert_eq!(visitor.browser.cookies(), "");
}

#[tokio::test]
async fn a_remembered_session_has_a_cookie_for_its_absolute_lifetime() {
    let day = 24 * 60 * MINUTE;
    let site = Site::new(|p| p.remember_absolute_timeout(30 * day).remember_idle_timeout(7 * day));
    let mut visitor = site.visitor();
    let reply = visitor.reply(|s| s.remember(true)).await;
    assert!(reply.header("set-cookie").unwrap().contains("; Max-Age=2592000;"));
    site.clock.advance(5 * day);
    let reply = visitor.reply(|s| s.login("alice")).await;
    assert!(reply.header("set-cookie").unwrap().contains("; Max-Age=2592000;"), "a sign-in begins anew");
    visitor.browser.restart();
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_rotated_cookie_of_a_remembered_session_ends_with_the_session() {
    let day = 24 * 60 * MINUTE;
    let site = Site::new(|p| p.remember_absolute_timeout(30 * day).remember_idle_timeout(7 * day));
    let mut visitor = site.visitor_with(|s| s.remember(true)).await;
    site.clock.advance(5 * day);
    let reply = visitor.reply(a).await;
    let max_age = reply.header("set-cookie").unwrap().split_once("Max-Age=").unwrap().1;
    let seconds: u64 = max_age.split_once(';').unwrap().0.parse().unwrap();
    assert!((25 * day.as_secs() - 2..=25 * day.as_secs()).contains(&seconds));
}

#[tokio::test]
async fn no_cookie_is_promised_for_more_than_400_days() {
    let day = 24 * 60 * MINUTE;
    let site = Site::new(|p| p.remember_absolute_timeout(400 * day));
    let prepared = site.sessions.prepare(|s| s.remember(true)).await.unwrap();
    assert!(prepared.set_cookie().contains("; Max-Age=34560000;"));
}

#[tokio::test]
async fn asking_to_be_remembered_reaches_the_cookie_of_a_session_that_is_there_already() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    visitor.page(|s| s.remember(true)).await;
    visitor.browser.restart();
    assert_eq!(visitor.page(a).await, Some(1));
    visitor.page(|s| s.remember(true)).await;
    assert_eq!(visitor.set_cookie(), None, "it is remembered already");
}

#[tokio::test]
async fn a_remembered_session_stays_remembered_over_later_writes() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.remember(true)).await;
    site.clock.advance(6 * MINUTE);
    visitor.page(|s| s.set("a", 1)).await;
    assert!(visitor.set_cookie().is_some(), "it was rotated");
    visitor.browser.restart();
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn other_cookies_of_a_response_stay() {
    let site = Site::new(|p| p);
    let visitor = site.visitor();
    let reply = visitor
        .start(page("/"), |s: Session| {
            ready(s.set("a", 1).map(|()| [(header::SET_COOKIE, "theme=dark; Path=/")]))
        })
        .await;
    let names: Vec<_> = reply.set_cookies().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["theme", COOKIE]);
}

#[tokio::test]
async fn a_dead_cookie_is_left_alone_until_a_write_replaces_it() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    site.store.forget_all().await.unwrap();
    let dead = visitor.cookie().unwrap().to_owned();
    assert_eq!(visitor.page(a).await, None);
    assert_eq!(visitor.cookie(), Some(dead.as_str()), "a parallel response may have set a living one");
    visitor.page(|s| s.clear()).await;
    assert_eq!(visitor.cookie(), Some(dead.as_str()));
    visitor.page(|s| s.set("a", 2)).await;
    let reborn = visitor.cookie().unwrap();
    assert_ne!(reborn[..20], dead[..20], "an unknown key is never adopted");
}

#[tokio::test]
async fn destroying_nothing_removes_no_cookie() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    site.store.forget_all().await.unwrap();
    let reply = visitor.reply(|s| s.destroy()).await;
    assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (200, None));
}

#[tokio::test]
async fn a_right_key_with_a_wrong_secret_opens_nothing_and_is_reported() {
    let site = Site::new(|p| p);
    let (one, other) =
        (site.visitor_with(|s| s.set("a", 1)).await, site.visitor_with(|s| s.set("a", 2)).await);
    let mut forged = site.visitor();
    // 21 characters hold the key but for two bits, which the 22nd has together with the first of the secret.
    let bits = one.cookie().unwrap()[..22].to_owned() + &other.cookie().unwrap()[22..];
    forged.browser.set_cookie(&format!("{COOKIE}={bits}"));
    assert_eq!(forged.page(a).await, None);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::StaleSecret)), 1);
    assert_eq!(one.clone().page(a).await, Some(1));
}

#[tokio::test]
async fn what_is_no_token_costs_no_store_call() {
    let site = Site::new(|p| p);
    let long = "x".repeat(100_000);
    let good = site.visitor_with(|s| s.set("a", 1)).await.cookie().unwrap().to_owned();
    for value in
        ["", "x", "../../etc/passwd", "\"\"", &long, &good[1..], &format!("{good}A"), &good.to_lowercase()]
    {
        let mut visitor = site.visitor();
        visitor.browser.set_cookie(&format!("{COOKIE}={value}"));
        assert_eq!(visitor.page(a).await, None);
    }
    let bytes = header::HeaderValue::from_bytes(b"session=\xff\xfe\x80").unwrap();
    let request = Request::get("/").header(header::COOKIE, bytes).body(String::new()).unwrap();
    let reply = site.visitor().start(request, |s: Session| ready(a(&s).map(drop))).await;
    assert_eq!(reply.status(), 200);
    // Only the one in lower case has the form of a token.
    assert!(site.round_trips().await <= 1);
}

async fn with_cookie_header(site: &Site, cookies: &str) -> Option<u32> {
    let (send, mut receive) = tokio::sync::oneshot::channel();
    let request = Request::get("/").header(header::COOKIE, cookies).body(String::new()).unwrap();
    let reply = site
        .visitor()
        .start(request, |s: Session| {
            let _ = send.send(a(&s).unwrap());
            ready(())
        })
        .await;
    assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (200, None));
    receive.try_recv().unwrap()
}

#[tokio::test]
async fn among_several_cookies_the_one_that_opens_is_found_wherever_it_stands() {
    let site = Site::new(|p| p);
    let good = site.sessions.prepare(|s| s.set("a", 1)).await.unwrap().cookie().to_owned();
    let dead = site.sessions.prepare(|s| s.set("a", 2)).await.unwrap();
    site.sessions.inspect(dead.cookie()).await.unwrap().unwrap();
    let dead = {
        let mut visitor = site.visitor();
        visitor.browser.set_cookie(dead.set_cookie());
        visitor.page(|s| s.destroy()).await;
        dead.cookie().to_owned()
    };
    for cookies in [
        format!("{good}; {dead}"),
        format!("{dead}; {good}"),
        format!("{dead}; {good}; session=junk"),
        format!("{good}; {good}"),
        format!("session=; {good}"),
        format!("theme=dark;{good};  x"),
    ] {
        assert_eq!(with_cookie_header(&site, &cookies).await, Some(1));
    }
}

#[tokio::test]
async fn two_cookies_that_open_two_sessions_open_none() {
    let site = Site::new(|p| p);
    let one = site.sessions.prepare(|s| s.set("a", 1)).await.unwrap();
    let other = site.sessions.prepare(|s| s.set("a", 2)).await.unwrap();
    let both = format!("{}; {}", one.cookie(), other.cookie());
    assert_eq!(with_cookie_header(&site, &both).await, None);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::TwoSessions)), 1);
}

#[tokio::test]
async fn at_most_three_cookies_are_tried() {
    let site = Site::new(|p| p);
    let good = site.sessions.prepare(|s| s.set("a", 1)).await.unwrap().cookie().to_owned();
    let other = |n: u8| {
        let site = &site;
        async move {
            let cookie = site.sessions.prepare(|s| s.set("a", n)).await.unwrap().cookie().to_owned();
            let mut visitor = site.visitor();
            visitor.browser.set_cookie(&cookie);
            visitor.page(|s| s.destroy()).await;
            cookie
        }
    };
    let dead = [other(1).await, other(2).await, other(3).await].join("; ");
    site.settle().await;
    assert_eq!(with_cookie_header(&site, &format!("{dead}; {good}")).await, None);
    assert_eq!(site.round_trips().await, 3);
    assert_eq!(site.store.faults().calls(Op::Load), 3, "they are tried without a lease");
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::TooManyCookies)), 1);
}

#[tokio::test]
async fn the_name_of_a_cookie_is_matched_exactly() {
    let site = Site::new(|p| p);
    let prepared = site.sessions.prepare(|s| s.set("a", 1)).await.unwrap();
    let (_, value) = prepared.cookie().split_once('=').unwrap();
    for name in ["session2", "Session", "__Host-session", "xsession"] {
        assert_eq!(with_cookie_header(&site, &format!("{name}={value}")).await, None);
    }
}
