//! Sessions that travel in cookies, from the first write to the end of a copy.

use std::future::ready;
use std::num::NonZeroUsize;
use std::time::Duration;

use http::header;
use steadfast::testing::{ManualClock, Reply, TestBrowser};
use steadfast::{
    Anomaly, CommitError, ErrorKind, EventKind, KeyRing, Policy, PolicyBuilder, Result, Session, SessionView,
    Sessions,
};

use crate::app::{Adaptor, App, Around};
use crate::site::{COOKIE, Events, Visitor, page};

const MINUTE: Duration = Duration::from_secs(60);

/// A site without a store.
struct Site {
    sessions: Sessions,
    clock: ManualClock,
    events: Events,
    app: App,
}

impl Site {
    fn new(policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        Self::with_keys(&[1], ManualClock::new(), policy)
    }

    fn with_keys(
        keys: &[u8],
        clock: ManualClock,
        policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
    ) -> Self {
        let key = |first: &u8| std::array::from_fn(|at| first.wrapping_add(at as u8));
        let ring = KeyRing::from_bytes(keys.iter().map(key)).unwrap();
        let policy = policy(Policy::builder().dangerous_insecure_cookie().key_ring(ring)).build().unwrap();
        let events = Events::default();
        let told = events.clone();
        let builder = Sessions::builder().policy(policy).clock(clock.clone());
        let sessions = builder.on_event(move |event| told.add(event.kind)).in_cookies().unwrap();
        let app = Adaptor::Axum.app(vec![Around::Sessions(sessions.clone())]);
        Self { sessions, clock, events, app }
    }

    fn visitor(&self) -> Visitor {
        Visitor::of(TestBrowser::new(self.app.clone()))
    }

    /// A browser with the cookies of another one.
    fn visitor_like(&self, other: &Visitor) -> Visitor {
        let mut browser = TestBrowser::new(self.app.clone());
        other.browser.cookies().split("; ").for_each(|cookie| browser.set_cookie(cookie));
        Visitor::of(browser)
    }

    async fn visitor_with<T>(&self, prepare: impl FnOnce(&Session) -> Result<T>) -> Visitor {
        let prepared = self.sessions.prepare(prepare).await.unwrap();
        let mut visitor = self.visitor();
        prepared.set_cookies().for_each(|cookie| visitor.browser.set_cookie(cookie));
        self.events.take();
        visitor
    }
}

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

fn names(visitor: &Visitor) -> Vec<String> {
    let cookies = visitor.browser.cookies();
    let pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, _)| name.to_owned()).collect()
}

fn kind(reply: &Reply) -> ErrorKind {
    let CommitError(error) = reply.extensions().get().expect("the commit failed");
    error.kind()
}

#[tokio::test]
async fn a_cookie_is_sent_when_something_changed_and_only_then() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor.page(a).await;
    assert_eq!((visitor.set_cookie(), visitor.cookie()), (None, None));
    visitor.page(|s| s.set("a", 1)).await;
    let first = visitor.cookie().unwrap().to_owned();
    assert_eq!(visitor.page(a).await, Some(1));
    assert_eq!(visitor.set_cookie(), None);
    assert_eq!(visitor.view(|s| s.get::<u32>("a")).await, Some(1));
    assert_eq!(visitor.set_cookie(), None);
    visitor.page(|s| s.increment("a", 1)).await;
    assert_ne!(visitor.cookie(), Some(first.as_str()));
    assert_eq!(visitor.page(a).await, Some(2));
}

#[tokio::test]
async fn responses_with_a_session_stay_out_of_caches() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    let reply = visitor.reply(|s| s.set("a", 1)).await;
    assert_eq!((reply.header("vary"), reply.header("cache-control")), (Some("cookie"), Some("no-store")));
    let untouched = visitor.open("/static").await;
    assert_eq!((untouched.header("vary"), untouched.set_cookies().count()), (None, 0));
}

#[tokio::test]
async fn nothing_of_a_session_can_be_read_in_its_cookie() {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("iban", "DE02120300000000202051")).await;
    let text = visitor.cookie().unwrap();
    let bytes = base64(text);
    assert!(!bytes.windows(4).any(|part| part == b"iban" || part == b"DE02"));
}

/// Decodes base64url without padding, as any tool does.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = text.bytes().map(|byte| DIGITS.iter().position(|digit| *digit == byte).unwrap());
    let bits: String = digits.map(|digit| format!("{digit:06b}")).collect();
    let bytes = bits.as_bytes().chunks_exact(8);
    bytes.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
}

#[tokio::test]
async fn a_session_that_is_used_goes_on_and_its_cookie_is_sent_now_and_then() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    site.clock.advance(Duration::from_secs(29));
    visitor.page(a).await;
    assert_eq!(visitor.set_cookie(), None, "not yet a sixtieth of 30 minutes");
    for _ in 0..60 {
        site.clock.advance(MINUTE);
        assert_eq!(visitor.view(|s| s.get::<u32>("a")).await, Some(1));
        assert!(visitor.set_cookie().is_some());
    }
    assert_eq!(site.events.count(EventKind::Touched), 60);
    site.clock.advance(31 * MINUTE);
    assert_eq!(visitor.page(a).await, None, "it was not used for longer than the idle timeout");
    assert_eq!(site.events.count(EventKind::Expired), 1);
}

#[tokio::test]
async fn a_session_that_is_read_by_polling_ends() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    for _ in 0..3 {
        site.clock.advance(10 * MINUTE);
        visitor
            .page(|s| {
                s.do_not_extend();
                Ok(())
            })
            .await;
        assert_eq!(visitor.set_cookie(), None);
    }
    site.clock.advance(MINUTE);
    assert_eq!(visitor.page(a).await, None);
}

#[tokio::test]
async fn the_absolute_end_comes_however_much_it_is_used() {
    let site = Site::new(|p| p.absolute_timeout(60 * MINUTE));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    for _ in 0..59 {
        site.clock.advance(MINUTE);
        assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(1));
    }
    site.clock.advance(MINUTE);
    assert_eq!(visitor.page(a).await, None);
}

#[tokio::test]
async fn a_remembered_session_outlives_the_browser() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    assert_eq!(days(&visitor.reply(|s| s.remember(true)).await), Some(90));
    visitor.browser.restart();
    site.clock.advance(13 * 24 * 60 * MINUTE);
    assert_eq!(days(&visitor.reply(a).await), Some(77), "it ends when it would have ended");
    assert_eq!(visitor.page(a).await, Some(1));
    assert_eq!(days(&visitor.reply(|s| s.remember(false)).await), None);
}

/// For how many days a browser keeps the cookie of a response; `None` for as long as it runs.
fn days(reply: &Reply) -> Option<u64> {
    let set_cookie = reply.set_cookies().next().expect("a cookie was sent");
    let seconds = set_cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age="))?;
    Some((seconds.parse::<u64>().unwrap() + 60) / 86_400)
}

#[tokio::test]
async fn a_sign_in_starts_another_session_with_the_same_values() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let before = visitor.clone();
    let (tag, token) = visitor.page(|s| Ok((s.tag(), s.csrf_token()?))).await;
    visitor.page(|s| s.login("alice")).await;
    let (user, value, now) = visitor.page(|s| Ok((s.user(), a(s)?, s.tag()))).await;
    assert_eq!((user.as_deref(), value), (Some("alice"), Some(1)));
    assert_ne!(now, tag);
    assert_eq!(visitor.set_cookie(), None, "nothing is left to be delivered");
    assert!(!visitor.page(move |s| Ok(s.verify_csrf(token))).await, "it is renewed with the privilege");
    let (user, value) = before.clone().page(|s| Ok((s.user(), a(s)?))).await;
    assert_eq!((user, value), (None, Some(1)), "a copy from before holds what it held");
}

#[tokio::test]
async fn a_step_up_keeps_the_user_and_changes_the_session() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.login("alice")).await;
    let before = visitor.page(|s| Ok(s.metadata())).await.unwrap();
    site.clock.advance(Duration::from_secs(5));
    visitor.page(|s| s.rotate()).await;
    let after = visitor.page(|s| Ok(s.metadata())).await.unwrap();
    assert_ne!(after.tag, before.tag);
    assert_eq!((after.user, after.created_at), (before.user, before.created_at));
}

#[tokio::test]
async fn nothing_rotates_in_time_or_on_demand() {
    let site = Site::new(|p| p.rotate_every(Duration::from_secs(1)));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    site.clock.advance(Duration::from_secs(10));
    visitor.page(a).await;
    visitor.page(|s| s.rotate_secret()).await;
    assert_eq!((visitor.set_cookie(), site.events.count(EventKind::Rotated)), (None, 0));
}

#[tokio::test]
async fn a_sign_out_removes_the_cookies_and_can_leave_a_farewell() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", vec![7; 4_000])).await;
    assert_eq!(names(&visitor), ["session", "session.1"]);
    let mut other = visitor.clone();
    visitor.page(|s| s.logout()).await;
    assert_eq!((names(&visitor).len(), visitor.page(|s| Ok(s.has("a"))).await), (0, false));
    other.page(|s| s.logout().and_then(|()| s.flash("notice", "Bye."))).await;
    assert_eq!(names(&other), ["session"]);
    assert_eq!(other.page(|s| s.flash_get::<String>("notice")).await.as_deref(), Some("Bye."));
}

#[tokio::test]
async fn flash_values_age_once_by_a_page() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.flash("notice", "Saved.")).await;
    let notice = |s: &Session| s.flash_get::<String>("notice");
    site.clock.advance(Duration::from_secs(1));
    assert!(visitor.fetch(notice).await.is_some());
    assert!(visitor.page(notice).await.is_some());
    site.clock.advance(Duration::from_secs(1));
    assert!(visitor.page(notice).await.is_none());
}

#[tokio::test]
async fn a_large_session_is_split_and_what_it_leaves_over_is_removed() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    visitor.page(|s| s.set("a", vec![7; 4_000])).await;
    assert_eq!(names(&visitor), ["session", "session.1"]);
    assert_eq!(visitor.page(|s| s.get::<Vec<u8>>("a")).await.map(|a| a.len()), Some(4_000));
    visitor.page(|s| s.set("a", 1)).await;
    assert_eq!(names(&visitor), ["session"]);
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn a_session_that_would_not_fit_is_refused_and_nothing_is_lost() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let reply = visitor.reply(|s| s.set("b", vec![7; 8_000])).await;
    assert_eq!((reply.status().as_u16(), reply.set_cookies().count()), (500, 0));
    assert_eq!(kind(&reply), ErrorKind::TooLarge);
    assert_eq!(visitor.page(|s| Ok((a(s)?, s.has("b")))).await, (Some(1), false));
    let roomy = Site::new(|p| p.max_cookie_bytes(16_000));
    let mut visitor = roomy.visitor();
    visitor.page(|s| s.set("b", vec![7; 8_000])).await;
    assert_eq!(names(&visitor).len(), 3);
}

/// What is given up: nobody joins what two responses say.
#[tokio::test]
async fn the_last_response_wins() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let slow = visitor.hold("/", |s| s.set("slow", 1)).await;
    visitor.page(|s| s.set("quick", 1)).await;
    visitor.browser.keep(&slow.finish().await);
    let keys = visitor.page(|s| Ok(s.keys())).await;
    assert_eq!(keys, [b"a".to_vec(), b"slow".to_vec()]);
}

/// What is given up: a copy is as good as the original, until the session would have ended.
#[tokio::test]
async fn a_copy_is_good_until_it_expires_whatever_happened_since() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.login("alice")).await;
    let mut thief = visitor.clone();
    visitor.page(|s| s.logout()).await;
    assert_eq!(thief.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
    site.clock.advance(31 * MINUTE);
    assert_eq!(thief.page(|s| Ok(s.user())).await, None);
}

#[tokio::test]
async fn what_needs_a_record_is_unsupported_and_says_so() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor_with(|s| s.login("alice")).await;
    let unsupported = |error: steadfast::Error| assert_eq!(error.kind(), ErrorKind::Unsupported);
    unsupported(site.sessions.sessions_of("alice").await.map(drop).unwrap_err());
    unsupported(site.sessions.revoke("alice").await.map(drop).unwrap_err());
    unsupported(site.sessions.count().await.map(drop).unwrap_err());
    assert_eq!(site.sessions.purge(NonZeroUsize::MIN).await.unwrap(), 0, "there is nothing to clear away");
    assert!(visitor.page(|s| Ok(s.detach())).await.is_none());
    let exclusive = visitor.start(page("/exclusive"), |s: Session| ready(a(&s).map(drop))).await;
    assert_eq!(exclusive.status(), 500);
    assert_eq!(site.sessions.driver(), "cookie");
}

#[tokio::test]
async fn what_was_not_sealed_here_is_a_stranger_s_and_left_alone() {
    let site = Site::new(|p| p);
    let good = site.visitor_with(|s| s.set("a", 1)).await;
    let value = good.cookie().unwrap();
    // In the middle, where every bit of a character counts.
    let (head, tail) = value.split_at(value.len() / 2);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}{other}{}", &tail[1..]);
    let mut visitor = site.visitor();
    visitor.browser.set_cookie(&format!("{COOKIE}={forged}"));
    assert_eq!((visitor.page(a).await, visitor.set_cookie()), (None, None));
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::Forged)), 1);
    let token = Sessions::connect("memory:").await.unwrap().prepare(|s| s.set("a", 1)).await.unwrap();
    for foreign in ["x", token.cookie().split_once('=').unwrap().1] {
        visitor.browser.set_cookie(&format!("{COOKIE}={foreign}"));
        assert_eq!((visitor.page(a).await, visitor.set_cookie()), (None, None));
    }
    assert_eq!(site.events.take().len(), 1, "what was never ours is not worth a word");
    visitor.page(|s| s.set("a", 2)).await;
    assert_eq!(visitor.page(a).await, Some(2));
}

#[tokio::test]
async fn a_session_without_all_of_its_cookies_is_not_used_and_told() {
    let site = Site::new(|p| p);
    let whole = site.visitor_with(|s| s.set("a", vec![7; 4_000])).await;
    let mut visitor = site.visitor();
    visitor.browser.set_cookie(&format!("{COOKIE}={}", whole.cookie().unwrap()));
    assert!(!visitor.page(|s| Ok(s.has("a"))).await);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::IncompleteCookie)), 1);
}

#[tokio::test]
async fn two_sessions_under_one_name_are_none() {
    let site = Site::new(|p| p);
    let (one, other) =
        (site.visitor_with(|s| s.set("a", 1)).await, site.visitor_with(|s| s.set("a", 2)).await);
    let cookies = format!("{}; {}", one.browser.cookies(), other.browser.cookies());
    let request = http::Request::get("/view").header(header::COOKIE, cookies).body(String::new()).unwrap();
    let read = |s: SessionView| ready(s.has("a").to_string());
    assert_eq!(site.visitor().start(request, read).await.text(), "false");
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::TwoSessions)), 1);
}

#[tokio::test]
async fn a_wrong_key_ring_signs_nobody_out() {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let wrong = Site::with_keys(&[9], site.clock.clone(), |p| p);
    for path in ["/", "/merge"] {
        let write = |s: Session| ready(s.set("a", 2));
        let reply = wrong.visitor_like(&visitor).start(page(path), write).await;
        assert_eq!((reply.status().as_u16(), reply.set_cookies().count()), (503, 0));
    }
    assert_eq!(wrong.events.count(EventKind::Anomaly(Anomaly::KeyMissing)), 2);
    assert_eq!(site.visitor_like(&visitor).page(a).await, Some(1));
}

#[tokio::test]
async fn keys_are_replaced_without_signing_anybody_out() {
    let old = Site::new(|p| p);
    let node = |keys: &[u8]| Site::with_keys(keys, old.clock.clone(), |p| p);
    let (both, new) = (node(&[9, 1]), node(&[9]));
    let mut visitor = both.visitor_like(&old.visitor_with(|s| s.set("a", 1)).await);
    old.clock.advance(MINUTE);
    assert_eq!(visitor.page(a).await, Some(1));
    assert_eq!(new.visitor_like(&visitor).page(a).await, Some(1), "it was sealed anew while it was read");
}

#[tokio::test]
async fn a_session_opens_under_the_name_of_its_cookie_only() {
    let site = Site::new(|p| p);
    let other = Site::new(|p| p.cookie_name("other"));
    let prepared = other.sessions.prepare(|s| s.set("a", 1)).await.unwrap();
    let mut visitor = site.visitor();
    visitor.browser.set_cookie(&prepared.set_cookie().replacen("other=", "session=", 1));
    assert_eq!(visitor.page(a).await, None);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::Forged)), 1);
}

#[tokio::test]
async fn a_session_is_bound_to_its_client_where_that_is_asked_for() {
    let site = Site::new(|p| p.match_user_agent());
    let mut visitor = Visitor::of(site.visitor().browser.with_user_agent("Phone/1"));
    visitor.page(|s| s.set("a", 1)).await;
    let mut other = site.visitor_like(&visitor);
    other.browser = other.browser.with_user_agent("Laptop/2");
    assert_eq!((other.page(a).await, visitor.page(a).await), (None, Some(1)));
}

#[tokio::test]
async fn a_handler_that_fails_sends_no_cookie() {
    let site = Site::new(|p| p.on_server_error(steadfast::OnServerError::Discard));
    let visitor = site.visitor();
    let fail = |s: Session| {
        s.set("a", 1).unwrap();
        ready(http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    assert_eq!(visitor.start(page("/"), fail).await.set_cookies().count(), 0);
}

#[tokio::test]
async fn a_test_looks_into_a_cookie() {
    let site = Site::new(|p| p);
    let prepared = site.sessions.prepare(|s| s.set("a", vec![7; 4_000])).await.unwrap();
    assert_eq!(prepared.set_cookies().count(), 2);
    let inspected = site.sessions.inspect(prepared.cookie()).await.unwrap().unwrap();
    assert_eq!(inspected.get::<Vec<u8>>("a").unwrap().unwrap().len(), 4_000);
    assert!(site.sessions.inspect(prepared.set_cookie()).await.unwrap().is_none(), "a part is no session");
}

#[tokio::test]
async fn what_is_missing_or_too_much_is_said_at_start() {
    for (dsn, says) in [("cookie:", "needs a `key_ring`"), ("cookie:x", "nothing follows the colon")] {
        let error = Sessions::connect(dsn).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(says), "{error}");
    }
}
