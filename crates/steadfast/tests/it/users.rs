//! The sessions of a user: listed, and ended.

use std::future::ready;
use std::time::Duration;

use steadfast::testing::{Fault, Op};
use steadfast::{ErrorKind, EventKind, Result, Session};

use crate::site::{COOKIE, Site, Visitor, page};

const SECOND: Duration = Duration::from_secs(1);

async fn signed_in(site: &Site, user: &'static str) -> Visitor {
    let mut visitor = site.visitor();
    visitor.page(move |s| s.login(user)).await;
    visitor
}

async fn user(visitor: &Visitor) -> Option<String> {
    visitor.clone().page(|s| Ok(s.user())).await
}

#[tokio::test]
async fn a_user_sees_their_devices_the_latest_first() {
    let site = Site::new(|p| p);
    let phone = ("198.51.100.7", "Phone/1");
    let laptop = ("2001:db8::1", "Laptop/2");
    for (ip, agent) in [phone, laptop] {
        let browser = site.visitor().browser.from_peer((ip.parse::<std::net::IpAddr>().unwrap(), 1).into());
        let mut visitor = Visitor::of(browser.with_user_agent(agent));
        visitor.page(|s| s.login("alice")).await;
        site.clock.advance(SECOND);
    }
    let listed = site.sessions.sessions_of("alice").await.unwrap();
    let shown: Vec<_> = listed.iter().map(|i| (i.ip.unwrap().to_string(), i.user_agent.clone())).collect();
    assert_eq!(shown, [laptop, phone].map(|(ip, agent)| (ip.to_owned(), agent.to_owned())));
    assert!(listed.iter().all(|info| !info.persistent && info.expires_at > info.last_active));
    assert!(site.sessions.sessions_of("bob").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_marks_the_session_of_the_request_by_its_tag_too() {
    let site = Site::new(|p| p);
    let mut here = signed_in(&site, "alice").await;
    signed_in(&site, "alice").await;
    let listed = site.sessions.sessions_of("alice").await.unwrap();
    let marks = here
        .page(move |s| {
            Ok(listed
                .iter()
                .map(|info| (info.is(s), Some(&info.tag) == s.tag().as_ref()))
                .collect::<Vec<_>>())
        })
        .await;
    assert_eq!(marks, [(false, false), (true, true)]);
}

#[tokio::test]
async fn a_list_follows_each_change() {
    let site = Site::new(|p| p.idle_timeout(60 * SECOND).forward_window(SECOND));
    let count = async || site.sessions.sessions_of("alice").await.unwrap().len();
    let mut visitor = signed_in(&site, "alice").await;
    assert_eq!(count().await, 1);
    visitor.page(|s| s.set("a", 1)).await;
    visitor.page(|s| s.rotate()).await;
    assert_eq!(count().await, 1, "a step-up");
    visitor.page(|s| s.login("bob")).await;
    assert_eq!(count().await, 0, "another user");
    visitor.page(|s| s.login("alice")).await;
    assert_eq!(count().await, 1, "back again");
    visitor.page(|s| s.logout()).await;
    assert_eq!(count().await, 0, "a sign-out");
    signed_in(&site, "alice").await;
    site.clock.advance(62 * SECOND);
    assert_eq!(count().await, 0, "expiry");
}

#[tokio::test]
async fn two_sign_ins_at_the_same_instant_are_both_listed() {
    let site = Site::new(|p| p);
    let login = || site.visitor().start(page("/"), |s: Session| ready(s.login("alice")));
    tokio::join!(login(), login());
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_revocation_ends_all_sessions_of_the_user_and_of_nobody_else() {
    let site = Site::new(|p| p);
    let all =
        [signed_in(&site, "alice").await, signed_in(&site, "alice").await, signed_in(&site, "alice").await];
    let bob = signed_in(&site, "bob").await;
    assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 3);
    for visitor in &all {
        assert_eq!(user(visitor).await, None);
    }
    assert_eq!(user(&bob).await.as_deref(), Some("bob"));
    assert_eq!(site.events.count(EventKind::Revoked), 3);
    assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 0);
    assert_eq!(site.sessions.revoke("nobody").await.unwrap().ended, 0);
}

#[tokio::test]
async fn a_revocation_reaches_over_all_pages_of_a_long_list() {
    let site = Site::new(|p| p);
    for _ in 0..300 {
        site.sessions.prepare(|s| s.login("alice")).await.unwrap();
    }
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 300);
    assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 300);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_revocation_ends_what_a_step_up_left_behind() {
    let site = Site::new(|p| p);
    let mut visitor = signed_in(&site, "alice").await;
    let before = visitor.clone();
    visitor.page(|s| s.rotate()).await;
    assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 1);
    assert_eq!((user(&before).await, user(&visitor).await), (None, None));
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn no_request_under_way_brings_a_revoked_session_back() {
    for path in ["/exclusive", "/merge"] {
        for then in [|s: &Session| s.set("a", 1), |s: &Session| s.rotate(), |s: &Session| s.login("alice")] {
            let site = Site::new(|p| p);
            let visitor = signed_in(&site, "alice").await;
            let slow = visitor.hold(path, then).await;
            assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 1);
            let reply = slow.finish().await;
            assert!(reply.status().is_client_error() && reply.cookie(COOKIE).is_none(), "{path}");
            assert_eq!((user(&visitor).await, site.sessions.count().await.unwrap()), (None, 0), "{path}");
        }
    }
}

#[tokio::test]
async fn no_waiter_is_handed_a_revoked_session() {
    let site = Site::new(|p| p);
    let visitor = signed_in(&site, "alice").await;
    let first = visitor.hold("/exclusive", |s| s.set("a", 1)).await;
    let waiting =
        tokio::spawn(visitor.start(page("/exclusive"), |s: Session| ready(s.user().unwrap_or_default())));
    tokio::task::yield_now().await;
    site.sessions.revoke("alice").await.unwrap();
    assert!(first.finish().await.status().is_client_error());
    assert_eq!(waiting.await.unwrap().text(), "");
}

#[tokio::test]
async fn a_sign_in_during_a_revocation_stays() {
    let site = Site::new(|p| p);
    let old = signed_in(&site, "alice").await;
    let gate = site.store.faults().hold(Op::Delete);
    let sessions = site.sessions.clone();
    let revocation = tokio::spawn(async move { sessions.revoke("alice").await });
    gate.arrived(1).await;
    let new = signed_in(&site, "alice").await;
    gate.open();
    assert_eq!(revocation.await.unwrap().unwrap().ended, 1);
    assert_eq!((user(&old).await, user(&new).await.as_deref()), (None, Some("alice")));
}

#[tokio::test]
async fn others_are_revoked_and_this_one_stays() {
    let site = Site::new(|p| p);
    let (here, elsewhere) = (signed_in(&site, "alice").await, signed_in(&site, "alice").await);
    let sessions = site.sessions.clone();
    let reply = here
        .start(page("/"), async move |s: Session| {
            sessions.revoke_others(&s).await.map(|revoked| revoked.ended.to_string())
        })
        .await;
    assert_eq!(reply.text(), "1");
    assert_eq!((user(&here).await.as_deref(), user(&elsewhere).await), (Some("alice"), None));
    let sessions = site.sessions.clone();
    let stranger = site.visitor();
    let reply = stranger
        .start(page("/"), async move |s: Session| {
            sessions.revoke_others(&s).await.map(|revoked| revoked.ended.to_string())
        })
        .await;
    assert_eq!(reply.text(), "0", "nobody is signed in there");
}

#[tokio::test]
async fn one_of_the_list_is_revoked_once() {
    let site = Site::new(|p| p);
    let (first, second) = (signed_in(&site, "alice").await, signed_in(&site, "alice").await);
    let listed = site.sessions.sessions_of("alice").await.unwrap();
    assert!(site.sessions.revoke_one(&listed[0]).await.unwrap());
    assert!(!site.sessions.revoke_one(&listed[0]).await.unwrap());
    assert_eq!((user(&first).await.as_deref(), user(&second).await), (Some("alice"), None));
}

#[tokio::test]
async fn a_revocation_that_fails_says_so_and_can_be_repeated() {
    let site = Site::new(|p| p);
    let visitor = signed_in(&site, "alice").await;
    site.store.faults().fail_next(Op::Delete, Fault::Refused, 1);
    assert_eq!(site.sessions.revoke("alice").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(user(&visitor).await.as_deref(), Some("alice"));
    assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 1);
}

#[tokio::test]
async fn a_damaged_record_does_not_hide_the_other_sessions() {
    let site = Site::new(|p| p);
    signed_in(&site, "alice").await;
    let listed = crate::outage::records(&site).await;
    crate::outage::damage(&site, &listed[0]).await;
    signed_in(&site, "alice").await;
    assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 1);
}

/// What must not come undone is acknowledged only once it is safe: on the replicas that were asked for.
#[tokio::test]
async fn an_end_a_change_of_privilege_and_a_revocation_wait_until_they_are_settled() {
    type Act = fn(&Session) -> Result<()>;
    let acts: [(&str, Act); 3] =
        [("login", |s| s.login("bob")), ("logout", |s| s.logout()), ("step-up", |s| s.rotate())];
    for (name, act) in acts {
        let site = Site::new(|p| p);
        let mut visitor = site.visitor_with(|s| s.login("alice")).await;
        visitor.page(|s| s.set("a", 1)).await;
        assert_eq!(site.store.faults().calls(Op::Settle), 0, "a write of values is not waited for");
        site.store.faults().fail_next(Op::Settle, Fault::Refused, 1);
        let reply = visitor.reply(act).await;
        assert_eq!((reply.status().as_u16(), reply.set_cookies().count()), (503, 0), "{name}");
        assert!(site.store.faults().calls(Op::Settle) > 0, "{name}");
    }
    let site = Site::new(|p| p);
    site.visitor_with(|s| s.login("alice")).await;
    site.store.faults().fail_next(Op::Settle, Fault::Refused, 1);
    assert_eq!(site.sessions.revoke("alice").await.unwrap_err().kind(), ErrorKind::Unavailable);
}
