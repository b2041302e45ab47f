//! Sessions that move from layout to layout and from store to store, while their visitors are there: on the
//! memory driver, with a clock in the test's hand, and out of PHP's own files.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use steadfast::store::{Created, Loaded, Record, SharedName, Store as _, StoreKey, Version};
use steadfast::testing::{Fault, Op};
use steadfast::{Anomaly, Clock as _, ErrorKind, EventKind, Layout, PolicyBuilder, Session};

use crate::site::{Site, Visitor, moved};

const ID: &str = "0123456789abcdef0123456789abcdef";
/// The time at which the clocks of these tests begin, in seconds.
const NOW: u64 = 1_767_225_600;
const CART: &str = "O:8:\"App\\Cart\":2:{s:1:\"n\";i:2;s:4:\"self\";r:2;}";

fn native() -> Site {
    Site::new(|p| p)
}

fn codeigniter4(p: PolicyBuilder) -> PolicyBuilder {
    p.layout(Layout::CodeIgniter4)
}

fn key(id: &str) -> StoreKey {
    SharedName::new(id.as_bytes(), None).unwrap().key()
}

/// A site in CodeIgniter's layout, with a session that PHP has stored.
async fn of_php(stored: &str) -> (Site, Visitor) {
    let site = Site::new(codeigniter4);
    store(&site, stored).await;
    let mut visitor = site.visitor();
    visitor.browser.set_cookie(&format!("ci_session={ID}; Path=/"));
    (site, visitor)
}

async fn store(site: &Site, stored: &str) {
    let payload = Bytes::copy_from_slice(stored.as_bytes());
    let expires_at = site.clock.now() + Duration::from_secs(7_200);
    let record = Record { version: Version::of_content(&payload), payload, expires_at, user: None };
    assert_eq!(site.store.create(&key(ID), &record).await.unwrap(), Created::Stored);
}

async fn stored(site: &Site, id: &str) -> Option<String> {
    match site.store.load(&key(id)).await.unwrap() {
        Loaded::Found(found) => Some(String::from_utf8(found.record.payload.to_vec()).unwrap()),
        Loaded::Missing => None,
    }
}

/// The same browser, at another site.
fn at(visitor: &Visitor, site: &Site) -> Visitor {
    Visitor::of(moved(&visitor.browser, site))
}

async fn left(site: &Site) -> u64 {
    site.sessions.shutdown().await;
    site.sessions.count().await.unwrap()
}

fn increment(session: &Session) -> steadfast::Result<()> {
    session.update::<i64>("n", |n| {
        *n += 1;
        Ok(())
    })
}

#[tokio::test]
async fn from_engine_to_engine_everything_goes_on() {
    let old = native();
    let mut visitor = old.visitor();
    visitor
        .page(|s| {
            s.login("alice")?;
            s.set("n", 1)?;
            s.set_temp("t", 5, Duration::from_secs(60))
        })
        .await;
    let token = visitor.page(|s| s.csrf_token()).await;
    visitor.page(|s| s.flash("f", "v")).await;
    let new = Site::after(&old, |p| p);
    let mut visitor = at(&visitor, &new);
    let seen = visitor
        .page(move |s| {
            let flash = s.flash_get::<String>("f")?;
            Ok((s.user(), s.get::<i64>("n")?, s.temp_get::<i64>("t")?, flash, s.verify_csrf(&token)))
        })
        .await;
    assert_eq!(seen, (Some("alice".into()), Some(1), Some(5), Some("v".into()), true));
    assert!(!visitor.page(|s| Ok(s.has("f"))).await, "it was aged once");
    assert_eq!(left(&old).await, 0);
    assert_eq!(new.events.count(EventKind::Imported), 1);
    // From now on it is nobody's concern where it was.
    old.store.faults().fail_next(Op::Acquire, Fault::Refused, 1);
    visitor.page(increment).await;
    assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, Some(2));
    // The way back.
    let back = Site::after_on(old.store.clone(), &new, |p| p);
    old.store.faults().heal();
    let mut visitor = at(&visitor, &back);
    assert_eq!(visitor.page(|s| Ok((s.user(), s.get::<i64>("n")?))).await, (Some("alice".into()), Some(2)));
    assert_eq!(left(&new).await, 0);
}

#[tokio::test]
async fn another_cookie_takes_the_place_of_the_one_before() {
    let old = native();
    let mut visitor = old.visitor();
    visitor.page(|s| s.set("n", 1)).await;
    let new = Site::after(&old, |p| p.cookie_name("sid"));
    let mut visitor = at(&visitor, &new);
    assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, Some(1));
    assert_eq!(visitor.browser.cookie("session"), None);
    assert!(visitor.browser.cookie("sid").is_some());
    visitor.page(increment).await;
    assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, Some(2));
}

#[tokio::test]
async fn from_php_to_native_nobody_is_signed_out_and_nothing_is_lost() {
    let until = NOW + 60;
    let (old, visitor) = of_php(&format!(
        "__ci_last_regenerate|i:{NOW};cart|{CART}n|i:1;f|s:1:\"v\";t|i:5;__steadfast_user|s:5:\"alice\";\
         __ci_vars|a:2:{{s:1:\"f\";s:3:\"new\";s:1:\"t\";i:{until};}}"
    ))
    .await;
    let new = Site::after(&old, |p| p);
    let (late, mut visitor) = (at(&visitor, &new), at(&visitor, &new));
    let seen = visitor
        .page(|s| {
            let temp = s.temp_get::<i64>("t")?;
            Ok((s.user(), s.get::<i64>("n")?, temp, s.flash_get::<String>("f")?, s.has("cart")))
        })
        .await;
    assert_eq!(seen, (Some("alice".into()), Some(1), Some(5), Some("v".into()), true));
    assert_eq!(
        visitor.browser.cookie("ci_session"),
        None,
        "removed with the answer that brought the new one"
    );
    assert!(visitor.cookie().is_some());
    // What is reserved on PHP's side is not here, and what PHP's format can't carry is written.
    visitor.page(|s| s.set("a|b", 1).and(s.set("sess_new_id", 2)).and(increment(s))).await;
    assert_eq!(visitor.page(|s| s.get::<i64>("sess_new_id")).await, Some(2));
    assert_eq!(left(&old).await, 0);
    // A request that was on its way with the old cookie gets the session, and the new cookie.
    let mut late = late;
    assert_eq!(late.page(|s| s.get::<i64>("n")).await, Some(2));
    assert_eq!(late.cookie(), visitor.cookie());
    // Once the new cookie has come and the window is over, the old one opens nothing.
    new.clock.advance(Duration::from_secs(61));
    let mut stale = at(&of_php("n|i:9;").await.1, &new);
    assert_eq!(stale.page(|s| s.get::<i64>("n")).await, None);
}

#[tokio::test]
async fn requests_that_come_at_once_make_one_session() {
    for path in ["/merge", "/exclusive"] {
        let (old, visitor) = of_php("n|i:0;").await;
        let new = Site::after(&old, |p| p);
        let visitor = at(&visitor, &new);
        let requests: Vec<_> = (0..8)
            .map(|_| {
                let request = crate::site::page(path);
                tokio::spawn(visitor.start(request, |s: Session| std::future::ready(increment(&s))))
            })
            .collect();
        let mut browsers = Vec::new();
        for request in requests {
            let reply = request.await.unwrap();
            assert_eq!(reply.status(), 200, "{}", reply.text());
            let mut browser = visitor.clone();
            browser.browser.keep(&reply);
            browsers.push(browser);
        }
        for browser in &mut browsers {
            assert_eq!(browser.page(|s| s.get::<i64>("n")).await, Some(8), "{path}");
        }
        assert_eq!((left(&old).await, left(&new).await), (0, 1));
    }
}

#[tokio::test]
async fn objects_come_back_to_php_byte_for_byte() {
    let (old, visitor) = of_php(&format!(
        "__ci_last_regenerate|i:{NOW};cart|{CART}n|i:1;user_id|i:42;pi|d:3.14159265358979312;"
    ))
    .await;
    let user_key = |p: PolicyBuilder| p.php_user_key("user_id");
    let old = Site::on(old.store.clone(), old.clock.clone(), |p| user_key(codeigniter4(p)));
    let new = Site::after(&old, |p| p);
    let mut visitor = at(&visitor, &new);
    visitor.page(increment).await;
    let back = Site::after(&new, |p| user_key(codeigniter4(p)));
    let mut visitor = at(&visitor, &back);
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("42"));
    let id = visitor.browser.cookie("ci_session").unwrap().to_owned();
    let stored = stored(&back, &id).await.unwrap();
    let values = format!("cart|{CART}n|i:2;user_id|i:42;pi|d:3.14159265358979312;");
    assert!(stored.starts_with("__ci_last_regenerate|i:") && stored.contains(&values), "{stored}");
    assert_eq!(visitor.browser.cookie("session"), None);
}

#[tokio::test]
async fn from_native_to_php_values_become_phps_and_what_has_no_place_is_told() {
    let old = native();
    let mut visitor = old.visitor();
    visitor
        .page(|s| {
            s.set("list", vec!["a", "b"])?;
            s.set("n", 1)?;
            s.set("a|b", 1)?;
            s.login("alice")
        })
        .await;
    let token = visitor.page(|s| s.csrf_token()).await;
    let new = Site::after(&old, codeigniter4);
    let mut visitor = at(&visitor, &new);
    let seen = visitor.page(move |s| Ok((s.user(), s.get::<i64>("n")?, s.verify_csrf(&token)))).await;
    assert_eq!(seen, (Some("alice".into()), Some(1), true));
    assert_eq!(new.events.count(EventKind::Anomaly(Anomaly::LeftBehind)), 1);
    let id = visitor.browser.cookie("ci_session").unwrap().to_owned();
    let stored = stored(&new, &id).await.unwrap();
    assert!(stored.contains("list|a:2:{i:0;s:1:\"a\";i:1;s:1:\"b\";}n|i:1;"), "{stored}");
    assert!(stored.contains("__steadfast_user|s:5:\"alice\";"), "{stored}");
    // What is left for late requests ends by its time.
    new.clock.advance(Duration::from_secs(61));
    old.sessions.purge(NonZeroUsize::new(9).unwrap()).await.unwrap();
    assert_eq!(left(&old).await, 0);
}

#[tokio::test]
async fn a_secret_that_was_replaced_leads_to_the_same_session_in_its_window_only() {
    let old = native();
    let mut visitor = old.visitor();
    visitor.page(|s| s.set("n", 1)).await;
    let before = visitor.clone();
    old.clock.advance(Duration::from_secs(301));
    visitor.page(increment).await;
    assert_ne!(before.cookie(), visitor.cookie());
    let new = Site::after(&old, codeigniter4);
    let (stale, mut before, mut visitor) = (at(&before, &new), at(&before, &new), at(&visitor, &new));
    before.page(increment).await;
    visitor.page(increment).await;
    assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, Some(4));
    assert_eq!(before.browser.cookies(), visitor.browser.cookies());
    new.clock.advance(Duration::from_secs(61));
    let mut stale = stale;
    assert_eq!(stale.page(|s| s.get::<i64>("n")).await, None);
}

#[tokio::test]
async fn after_a_crash_between_the_two_steps_the_new_one_holds() {
    let (old, visitor) = of_php("n|i:1;").await;
    let new = Site::after(&old, |p| p);
    let visitor = at(&visitor, &new);
    let mut again = visitor.clone();
    old.store.faults().fail_next(Op::Delete, Fault::Refused, 1);
    let reply = visitor.clone().reply(increment).await;
    assert_eq!(reply.status(), 503, "{}", reply.text());
    assert_eq!((left(&old).await, left(&new).await), (1, 1));
    again.page(increment).await;
    assert_eq!(again.page(|s| s.get::<i64>("n")).await, Some(2));
    assert_eq!((left(&new).await, left(&old).await), (1, 0));
}

#[tokio::test]
async fn what_a_crash_left_does_not_come_back_after_a_sign_out() {
    let old = native();
    let mut visitor = old.visitor();
    visitor.page(|s| s.login("alice")).await;
    let new = Site::after(&old, |p| p);
    let mut visitor = at(&visitor, &new);
    let stolen = visitor.clone();
    old.store.faults().fail_next(Op::Delete, Fault::Refused, 1);
    assert_eq!(visitor.reply(|s| Ok(s.user())).await.status(), 503);
    visitor.page(|s| s.logout()).await;
    let mut stolen = stolen;
    assert_eq!(stolen.page(|s| Ok(s.user())).await, None);
}

#[tokio::test]
async fn users_are_listed_and_revoked_on_both_sides() {
    let old = native();
    let (mut one, mut two) = (old.visitor(), old.visitor());
    one.page(|s| s.login("alice")).await;
    two.page(|s| s.login("alice")).await;
    let new = Site::after(&old, |p| p);
    let (mut one, mut two) = (at(&one, &new), at(&two, &new));
    assert_eq!(one.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
    let listed = new.sessions.sessions_of("alice").await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(new.sessions.revoke_one(&listed[1]).await.unwrap());
    assert_eq!(new.sessions.sessions_of("alice").await.unwrap().len(), 1);
    let mut three = old.visitor();
    three.page(|s| s.login("alice")).await;
    assert_eq!(new.sessions.revoke("alice").await.unwrap().ended, 2);
    for visitor in [&mut one, &mut two, &mut at(&three, &new)] {
        assert_eq!(visitor.page(|s| Ok(s.user())).await, None);
    }
}

#[tokio::test]
async fn a_revocation_reaches_the_sessions_of_php() {
    let (old, visitor) = of_php("__steadfast_user|s:5:\"alice\";").await;
    let new = Site::after(&old, |p| p);
    assert_eq!(new.sessions.sessions_of("alice").await.unwrap().len(), 1);
    assert_eq!(new.sessions.revoke("alice").await.unwrap().ended, 1);
    assert_eq!(at(&visitor, &new).page(|s| Ok(s.user())).await, None);
    assert_eq!(stored(&old, ID).await, None);
}

#[tokio::test]
async fn sessions_move_without_their_visitors() {
    let some = |n| NonZeroUsize::new(n).unwrap();
    let old = native();
    let mut visitors = Vec::new();
    for n in 0..3 {
        visitors.push(old.visitor_with(move |s| s.set("n", n)).await);
    }
    let new = Site::after(&old, |p| p);
    let imported = new.sessions.import(some(2)).await.unwrap();
    assert_eq!((imported.moved, imported.left), (2, 1));
    assert_eq!(new.sessions.import(some(2)).await.unwrap().left, 0);
    for (n, visitor) in visitors.iter().enumerate() {
        assert_eq!(at(visitor, &new).page(|s| s.get::<usize>("n")).await, Some(n));
    }
    let back = Site::after(&new, codeigniter4);
    assert_eq!(back.sessions.import(some(2)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(old.sessions.import(some(1)).await.unwrap().moved, 0);
}

#[tokio::test]
async fn a_session_that_is_held_where_it_was_is_waited_for() {
    let old = native();
    let visitor = old.visitor_with(|s| s.set("n", 1)).await;
    let held = visitor.hold("/exclusive", increment).await;
    let new = Site::after(&old, |p| p);
    let moving = at(&visitor, &new);
    let request = tokio::spawn(moving.start(crate::site::page("/"), |s: Session| {
        let seen = s.get::<i64>("n").unwrap();
        async move { format!("{seen:?}") }
    }));
    assert_eq!(new.sessions.import(NonZeroUsize::MIN).await.unwrap().moved, 0, "it is left alone");
    assert_eq!(held.finish().await.status(), 200);
    assert_eq!(request.await.unwrap().text(), "Some(2)");
}

#[tokio::test]
async fn what_only_reads_moves_a_session_too() {
    let (old, visitor) = of_php("n|i:1;").await;
    let new = Site::after(&old, |p| p);
    let mut visitor = at(&visitor, &new);
    assert_eq!(visitor.view(|s| s.get::<i64>("n")).await, Some(1));
    assert_eq!(left(&old).await, 0);
    assert!(visitor.browser.cookie("ci_session").is_some(), "what only reads changes no cookie");
    assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, Some(1));
    assert!(visitor.cookie().is_some());
}

#[tokio::test]
async fn cookies_that_opened_nothing_open_nothing() {
    let (old, _) = of_php("n|i:1;").await;
    let new = Site::after(&old, |p| p);
    for cookie in [&format!("ci_session={}", "f".repeat(32)), "ci_session=x", "session=x", "ci_session="] {
        let mut visitor = new.visitor();
        visitor.browser.set_cookie(cookie);
        assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, None, "{cookie}");
    }
    assert_eq!((left(&old).await, left(&new).await), (1, 0));
}

#[tokio::test]
async fn two_cookies_that_open_two_sessions_open_none() {
    let (old, visitor) = of_php("n|i:1;").await;
    let new = Site::after(&old, |p| p);
    let record = Record {
        payload: Bytes::from_static(b"n|i:2;"),
        version: Version::of_content(b"n|i:2;"),
        expires_at: old.clock.now() + Duration::from_secs(7_200),
        user: None,
    };
    let other = "f".repeat(32);
    let _ = old.store.create(&key(&other), &record).await.unwrap();
    let mut request = crate::site::page("/");
    let both = format!("{}; ci_session={other}", visitor.browser.cookies()).parse().unwrap();
    request.headers_mut().insert(http::header::COOKIE, both);
    let reply = new.visitor().start(request, |s: Session| {
        let seen = s.get::<i64>("n").unwrap();
        async move { format!("{seen:?}") }
    });
    assert_eq!(reply.await.text(), "None");
    assert_eq!(new.events.count(EventKind::Anomaly(Anomaly::TwoSessions)), 1);
}

#[cfg(all(unix, feature = "files"))]
#[tokio::test]
async fn out_of_phps_files_and_back() {
    use serde_json::json;
    use steadfast::testing::TestBrowser;
    use steadfast::{Policy, Sessions};

    use super::peer::{Peer, id};
    use crate::app::{Adaptor, Around};

    let dir = tempfile::tempdir().unwrap();
    let mut php = Peer::start(&json!({ "driver": "files", "handler": { "save_path": dir.path() } }));
    let (id, other) = (id(7), id(8));
    php.results(Some(&id), json!([{ "op": "set", "key": "n", "value": 1 }])).await;
    let policy = |layout| Policy::builder().dangerous_insecure_cookie().layout(layout).build().unwrap();
    let files = format!("files:{}", dir.path().display());
    let before = Sessions::builder().policy(policy(Layout::CodeIgniter4)).connect(&files).await.unwrap();
    let app = |sessions: &Sessions| Adaptor::Axum.app(vec![Around::Sessions(sessions.clone())]);
    let itself = Sessions::builder().policy(policy(Layout::CodeIgniter4)).migrate_from(before.clone());
    assert_eq!(itself.connect(&files).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let new = Sessions::builder().policy(policy(Layout::Native)).migrate_from(before);
    let new = new.connect("memory:").await.unwrap();
    let mut browser = TestBrowser::new(app(&new));
    browser.set_cookie(&format!("ci_session={id}"));
    let mut visitor = Visitor::of(browser);
    visitor.page(increment).await;
    assert!(!dir.path().join(format!("ci_session{id}")).exists());
    // Another one moves without its visitor.
    php.results(Some(&other), json!([{ "op": "set", "key": "n", "value": 5 }])).await;
    let imported = new.import(NonZeroUsize::MIN).await.unwrap();
    assert_eq!((imported.moved, imported.left), (1, 0));
    let mut browser = TestBrowser::new(app(&new));
    browser.set_cookie(&format!("ci_session={other}"));
    assert_eq!(Visitor::of(browser).page(|s| s.get::<i64>("n")).await, Some(5));
    let back = Sessions::builder().policy(policy(Layout::CodeIgniter4)).migrate_from(new.clone());
    let back = back.connect(&files).await.unwrap();
    let mut browser = TestBrowser::new(app(&back));
    visitor.browser.cookies().split("; ").for_each(|cookie| browser.set_cookie(cookie));
    let mut visitor = Visitor::of(browser);
    visitor.page(increment).await;
    let id = visitor.browser.cookie("ci_session").unwrap().to_owned();
    assert_eq!(php.results(Some(&id), json!([{ "op": "get", "key": "n" }])).await, [3]);
}
