//! What each rule of the protocol is for, seen from outside: a check that holds with all rules, and does
//! not hold without the one.

use std::future::ready;
use std::time::Duration;

use http::StatusCode;
use steadfast::testing::Reply;
use steadfast::{Rules, Session, SessionView};

use crate::site::{COOKIE, Site, Visitor, page};

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(60);
const ROTATE_EVERY: Duration = Duration::from_secs(300);

macro_rules! rules {
    ($($check:ident: $rule:ident,)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                assert_eq!(checks::$check(Rules::ALL).await, Ok(()), "with all rules");
                let mut rules = Rules::ALL;
                rules.$rule = false;
                let found = checks::$check(rules).await;
                assert!(found.is_err(), "without `{}` nothing is different", stringify!($rule));
            }
        )*
    };
}
rules! {
    a_parallel_request_with_the_old_secret_is_let_in: forward_in_window,
    a_lost_answer_of_a_rotation_signs_nobody_out: forward_until_delivered,
    a_rotation_waits_until_the_one_before_is_over: one_successor_at_a_time,
    a_late_answer_does_not_bring_an_old_secret_back: drop_late_cookies,
    a_successor_is_not_sent_when_its_predecessor_is_about_to_end: send_in_first_half,
    a_cookie_from_before_a_sign_in_does_not_see_the_user: new_record_for_privilege,
    a_cookie_from_before_a_sign_in_does_not_write: frozen_is_read_only,
    a_sign_in_that_was_clicked_twice_is_one_whichever_answer_arrives: spare_undelivered,
    a_late_answer_does_not_remove_the_cookie_of_a_sign_in: leave_dead_cookies,
    parallel_writes_are_both_there: conditional_writes,
    who_was_told_that_they_are_signed_out_is_signed_out: conditional_end,
    a_late_write_does_not_bring_a_session_back: missing_stays_missing,
}

type Outcome = Result<(), String>;

fn site(rules: Rules) -> Site {
    Site::new(|p| p.dangerous_rules(rules).rotate_every(ROTATE_EVERY).forward_window(WINDOW))
}

async fn visitor(site: &Site) -> Visitor {
    site.visitor_with(|s| s.set("a", 1)).await
}

/// What a page that only reads sees: a value, and who is signed in.
async fn seen(visitor: &Visitor) -> (Option<u32>, Option<String>) {
    let (sender, seen) = tokio::sync::oneshot::channel();
    let look = move |view: SessionView| {
        let _ = sender.send((view.get::<u32>("a").unwrap(), view.user()));
        ready(())
    };
    visitor.start(page("/view"), look).await;
    seen.await.unwrap()
}

/// What a page does; the answer is on its way.
async fn answer<T: Send + 'static>(
    visitor: &Visitor,
    act: impl FnOnce(&Session) -> steadfast::Result<T> + Send + 'static,
) -> Reply {
    visitor.start(page("/"), move |session: Session| ready(act(&session).map(drop))).await
}

/// A page that reads.
async fn reads(visitor: &Visitor) -> Reply {
    answer(visitor, |s| s.get::<u32>("a")).await
}

async fn still_there(site: &Site, visitor: &Visitor) -> Outcome {
    site.sessions.shutdown().await;
    let (value, _) = seen(visitor).await;
    expect(value == Some(1), "the session is there")
}

fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(format!("not so: {what}")) }
}

mod checks {
    use super::*;

    pub(super) async fn a_parallel_request_with_the_old_secret_is_let_in(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let parallel = browser.clone();
        site.clock.advance(ROTATE_EVERY);
        for _ in 0..2 {
            browser.page(|s| s.get::<u32>("a")).await;
        }
        still_there(&site, &parallel).await
    }

    pub(super) async fn a_lost_answer_of_a_rotation_signs_nobody_out(rules: Rules) -> Outcome {
        let site = site(rules);
        let browser = visitor(&site).await;
        site.clock.advance(ROTATE_EVERY);
        let lost = reads(&browser).await;
        expect(lost.cookie(COOKIE).is_some(), "the secret is rotated")?;
        site.clock.advance(WINDOW + SECOND);
        still_there(&site, &browser).await
    }

    pub(super) async fn a_rotation_waits_until_the_one_before_is_over(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let parallel = browser.clone();
        for _ in 0..3 {
            browser.page(Session::rotate_secret).await;
        }
        still_there(&site, &parallel).await
    }

    pub(super) async fn a_late_answer_does_not_bring_an_old_secret_back(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let parallel = browser.clone();
        site.clock.advance(ROTATE_EVERY);
        browser.page(|s| s.get::<u32>("a")).await;
        let slow = parallel.hold("/merge", |s| s.get::<u32>("a")).await;
        for _ in 0..2 {
            site.clock.advance(ROTATE_EVERY);
            browser.page(|s| s.get::<u32>("a")).await;
            site.settle().await;
        }
        browser.browser.keep(&slow.finish().await);
        still_there(&site, &browser).await
    }

    pub(super) async fn a_successor_is_not_sent_when_its_predecessor_is_about_to_end(
        rules: Rules,
    ) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        site.clock.advance(ROTATE_EVERY);
        let _lost = reads(&browser).await;
        site.clock.advance(WINDOW - SECOND);
        // This request was sent before the answer of the next one arrived, and is on its way for 2 seconds.
        let on_its_way = browser.clone();
        browser.page(|s| s.get::<u32>("a")).await;
        site.clock.advance(2 * SECOND);
        browser.page(Session::rotate_secret).await;
        still_there(&site, &on_its_way).await
    }

    pub(super) async fn a_cookie_from_before_a_sign_in_does_not_see_the_user(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let planted = browser.clone();
        browser.page(|s| s.login("alice")).await;
        expect(seen(&planted).await.1.is_none(), "the user is not seen")
    }

    pub(super) async fn a_cookie_from_before_a_sign_in_does_not_write(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let planted = browser.clone();
        browser.page(|s| s.login("alice")).await;
        let status = answer(&planted, |s| s.set("a", 2)).await.status();
        expect(status == StatusCode::CONFLICT, "the write is refused")
    }

    pub(super) async fn a_sign_in_that_was_clicked_twice_is_one_whichever_answer_arrives(
        rules: Rules,
    ) -> Outcome {
        for arrives in [0, 1] {
            let site = site(rules);
            let mut browser = visitor(&site).await;
            let answers =
                [answer(&browser, |s| s.login("alice")).await, answer(&browser, |s| s.login("alice")).await];
            // The other one overtook it, or is lost.
            browser.browser.keep(&answers[1 - arrives]);
            browser.browser.keep(&answers[arrives]);
            site.clock.advance(WINDOW + SECOND);
            site.sessions.shutdown().await;
            expect(seen(&browser).await.1.as_deref() == Some("alice"), "the user is signed in")?;
        }
        Ok(())
    }

    pub(super) async fn a_late_answer_does_not_remove_the_cookie_of_a_sign_in(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        browser.clone().page(Session::destroy).await;
        let late = reads(&browser).await;
        browser.page(|s| s.login("alice")).await;
        browser.browser.keep(&late);
        expect(seen(&browser).await.1.as_deref() == Some("alice"), "the user is signed in")
    }

    pub(super) async fn parallel_writes_are_both_there(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let slow = browser.hold("/merge", |s| s.set("b", 2)).await;
        browser.merge(|s| s.set("c", 3)).await;
        expect(slow.finish().await.status() == StatusCode::OK, "the slow one is acknowledged")?;
        let both = browser.merge(|s| Ok((s.get::<u32>("b")?, s.get::<u32>("c")?))).await;
        expect(both == (Some(2), Some(3)), "both are there")
    }

    pub(super) async fn who_was_told_that_they_are_signed_out_is_signed_out(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        browser.page(|s| s.login("alice")).await;
        let signs_out = browser.hold("/merge", Session::logout).await;
        browser.merge(Session::rotate).await;
        let told = signs_out.finish().await.status() == StatusCode::OK;
        let signed_in = seen(&browser).await.1.is_some();
        expect(told != signed_in, "who was told so is signed out, and nobody else")
    }

    pub(super) async fn a_late_write_does_not_bring_a_session_back(rules: Rules) -> Outcome {
        let site = site(rules);
        let mut browser = visitor(&site).await;
        let stolen = browser.clone();
        let late = browser.hold("/merge", |s| s.set("b", 2)).await;
        browser.merge(Session::destroy).await;
        let status = late.finish().await.status();
        expect(status != StatusCode::OK, "the write is refused")?;
        expect(seen(&stolen).await.0.is_none(), "the session is gone")
    }
}
