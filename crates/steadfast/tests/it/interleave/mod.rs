//! The real code under every order of its store calls: two or three requests of one session at once.

mod cancel;
mod stepped;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http::{Request, StatusCode};
use steadfast::axum::{Exclusive, Merge};
use steadfast::store::memory::MemoryStore;
use steadfast::testing::{ManualClock, Reply, TestBrowser};
use steadfast::{Policy, Session, Sessions};
use tokio::task::JoinHandle;

use crate::site::COOKIE;
use stepped::{Gates, Order, Pace, SteppedStore, rest};

const MODES: [&str; 2] = ["merge", "exclusive"];

struct Site {
    sessions: Sessions,
    gates: Gates,
    /// Has a session of alice, with `a`.
    browser: TestBrowser,
}

impl Site {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let (store, gates) = SteppedStore::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let policy = Policy::builder().dangerous_insecure_cookie().build().unwrap();
        let sessions = Sessions::builder().policy(policy).clock(clock).purge_every(None).store(store);
        let app = Router::new()
            .route(
                "/merge/{act}",
                get(async |Merge(session): Merge, Path(what): Path<String>| act(&session, &what)),
            )
            .route(
                "/exclusive/{act}",
                get(async |Exclusive(session): Exclusive, Path(what): Path<String>| act(&session, &what)),
            )
            .layer(sessions.layer());
        let mut browser = TestBrowser::new(app);
        browser.get("/merge/begin").await;
        // The first to come with the new key has come, and all that this leaves to be done is done.
        browser.get("/merge/read").await;
        sessions.shutdown().await;
        Self { sessions, gates, browser }
    }

    fn start(&self, mode: &str, what: &str) -> JoinHandle<Reply> {
        let request = Request::get(format!("/{mode}/{what}")).body(String::new()).unwrap();
        tokio::spawn(self.browser.send(request))
    }

    /// What a browser finds that has kept the cookie of a reply.
    async fn after(&self, reply: &Reply) -> String {
        let mut browser = self.browser.clone();
        browser.keep(reply);
        browser.get("/merge/read").await.text().into_owned()
    }

    /// What the browser finds with the cookie that all requests came with.
    async fn before(&self) -> String {
        self.browser.clone().get("/merge/read").await.text().into_owned()
    }
}

fn act(session: &Session, what: &str) -> steadfast::Result<String> {
    match what {
        "begin" => {
            session.set("a", 1)?;
            session.login("alice")?;
        }
        "login" => session.login("alice")?,
        "logout" => session.logout()?,
        "step-up" => session.rotate()?,
        "rotate" => session.rotate_secret()?,
        "read" => {}
        "both" => {
            session.set("b", 1)?;
            session.set("c", 1)?;
        }
        key => session.set(key, 1)?,
    }
    let user = session.user().unwrap_or_default();
    let mut keys = vec![user];
    for key in ["a", "b", "c", "d"] {
        keys.extend(session.get::<u32>(key)?.map(|_| key.to_owned()));
    }
    Ok(keys.join(" "))
}

/// Does some things at once, in every order of their store calls, in both modes; `revoke` ends all sessions
/// of the user from outside.
async fn in_every_order(acts: &[&str], check: impl AsyncFn(&Site, &str, &[Reply])) {
    for mode in MODES {
        let mut order = Order::default();
        let mut orders = 0;
        loop {
            let site = Site::new().await;
            let replies = run(&site, mode, acts, &mut order).await;
            check(&site, mode, &replies).await;
            orders += 1;
            if !order.next() {
                break;
            }
        }
        assert!(orders > 1, "{acts:?} had but one order, {mode}");
    }
}

async fn run(site: &Site, mode: &str, acts: &[&str], order: &mut Order) -> Vec<Reply> {
    site.gates.set(Pace::Stepped);
    let running = Arc::new(AtomicUsize::new(acts.len()));
    let mut replies = Vec::new();
    for what in acts {
        let reply = if *what == "revoke" {
            let sessions = site.sessions.clone();
            let browser = site.browser.clone();
            tokio::spawn(async move {
                sessions.revoke("alice").await.unwrap();
                // Nobody asks what it answered; a page that does not exist answers nothing.
                browser.send(Request::get("/nothing").body(String::new()).unwrap()).await
            })
        } else {
            site.start(mode, what)
        };
        let running = Arc::clone(&running);
        replies.push(tokio::spawn(async move {
            let reply = reply.await.unwrap();
            running.fetch_sub(1, Ordering::SeqCst);
            reply
        }));
        // Each comes as far as its first store call, so that the choices are in the same order each time.
        rest().await;
    }
    site.gates.run_through(order, || running.load(Ordering::SeqCst) == 0).await;
    site.gates.set(Pace::Free);
    let mut done = Vec::new();
    for reply in replies {
        done.push(reply.await.unwrap());
    }
    done
}

fn ok(reply: &Reply) -> bool {
    reply.status() == StatusCode::OK
}

/// Refused because another request was first: the only way to fail.
fn refused(reply: &Reply) -> bool {
    reply.status() == StatusCode::CONFLICT && reply.cookie(COOKIE).is_none()
}

#[tokio::test(start_paused = true)]
async fn writes_are_all_there_in_every_order() {
    in_every_order(&["b", "c", "d"], async |site, mode, replies| {
        assert!(replies.iter().all(ok), "{mode}");
        assert_eq!(site.before().await, "alice a b c d", "{mode}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_never_brings_back_what_a_sign_out_ended() {
    in_every_order(&["b", "logout"], async |site, mode, replies| {
        let [write, end] = replies else { panic!("two replies") };
        assert!(ok(end), "{mode}");
        assert_eq!(site.before().await, "", "{mode}: the session is gone");
        // A write that came after the end starts a session of its own.
        let alone = write.cookie(COOKIE).is_some();
        assert!(ok(write) || refused(write), "{mode}");
        assert_eq!(site.after(write).await, if alone { " b" } else { "" }, "{mode}");
        assert_eq!(site.sessions.count().await.unwrap(), u64::from(alone), "{mode}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_keeps_everybody_in_every_order() {
    in_every_order(&["b", "rotate", "read"], async |site, mode, replies| {
        assert!(replies.iter().all(ok), "{mode}");
        assert_eq!(site.before().await, "alice a b", "{mode}");
        let successors: Vec<_> = replies.iter().filter_map(|reply| reply.cookie(COOKIE)).collect();
        assert!(!successors.is_empty() && successors.iter().all(|s| *s == successors[0]), "{mode}");
        for reply in replies {
            assert_eq!(site.after(reply).await, "alice a b", "{mode}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_rotations_at_once_make_one_successor() {
    in_every_order(&["rotate", "rotate"], async |site, mode, replies| {
        assert!(replies.iter().all(ok), "{mode}");
        let [one, other] = replies else { panic!("two replies") };
        assert_eq!(one.cookie(COOKIE), other.cookie(COOKIE), "{mode}");
        assert_eq!(site.after(one).await, "alice a", "{mode}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_beside_a_sign_in_is_in_the_new_session_or_refused() {
    in_every_order(&["b", "login"], async |site, mode, replies| {
        let [write, login] = replies else { panic!("two replies") };
        assert!(ok(login), "{mode}");
        assert!(ok(write) || refused(write), "{mode}");
        let expected = if ok(write) { "alice a b" } else { "alice a" };
        assert_eq!(site.after(login).await, expected, "{mode}");
        assert_eq!(site.before().await, expected, "{mode}: frozen as it was");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_was_clicked_twice_is_one_in_every_order() {
    in_every_order(&["login", "login"], async |site, mode, replies| {
        for reply in replies {
            assert!(ok(reply), "{mode}");
            assert_eq!(site.after(reply).await, "alice a", "{mode}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_beside_a_step_up_ends_the_session_or_is_refused() {
    in_every_order(&["step-up", "logout"], async |site, mode, replies| {
        let [step_up, end] = replies else { panic!("two replies") };
        if ok(end) {
            assert!(step_up.cookie(COOKIE).is_none(), "{mode}");
            assert_eq!((site.before().await, site.after(step_up).await), Default::default(), "{mode}");
            assert_eq!(site.sessions.count().await.unwrap(), 0, "{mode}");
        } else {
            assert!(refused(end), "{mode}");
            assert_eq!(site.after(step_up).await, "alice a", "{mode}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_revocation_leaves_nothing_of_the_user_in_any_order() {
    for other in ["b", "step-up", "rotate", "logout"] {
        in_every_order(&["revoke", other], async |site, mode, replies| {
            let [_, reply] = replies else { panic!("two replies") };
            assert!(ok(reply) || refused(reply), "{mode}, {other}");
            assert_eq!(site.before().await, "", "{mode}, {other}");
            let own = if other == "b" && reply.cookie(COOKIE).is_some() { " b" } else { "" };
            assert_eq!(site.after(reply).await, own, "{mode}, {other}");
            assert!(site.sessions.sessions_of("alice").await.unwrap().is_empty(), "{mode}, {other}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_writes_beside_a_sign_out_are_lost_only_with_the_session() {
    in_every_order(&["b", "logout", "c"], async |site, mode, replies| {
        assert!(replies.iter().all(|reply| ok(reply) || refused(reply)), "{mode}");
        assert!(ok(&replies[1]), "{mode}");
        assert_eq!(site.before().await, "", "{mode}");
    })
    .await;
}
