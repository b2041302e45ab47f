//! A client that hangs up, at every point where a request waits for something.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use http::Request;

use super::stepped::{Pace, rest};
use super::{MODES, Site};

/// Longer than anything takes that does not wait for a lease that was left behind.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Polls a request `polls` times and drops it; returns whether it was done by then, and whether it had begun
/// to write.
async fn drop_after(site: &Site, path: &str, polls: usize) -> (bool, bool) {
    site.gates.set(Pace::Yielding);
    let before = site.gates.writes_begun();
    let request = Request::get(path).body(String::new()).unwrap();
    let mut done = false;
    {
        let mut reply = pin!(site.browser.send(request));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            done = reply.as_mut().poll(&mut context).is_ready();
            if done {
                break;
            }
        }
    }
    let begun = site.gates.writes_begun() > before;
    rest().await;
    site.gates.set(Pace::Free);
    site.sessions.shutdown().await;
    (done, begun)
}

/// Hangs up at every point, and looks at what is left after each.
async fn at_every_point(act: &str, check: impl AsyncFn(&Site, &str, bool)) {
    for mode in MODES {
        let path = format!("/{mode}/{act}");
        let mut polls = 0;
        loop {
            let site = Site::new().await;
            let (done, begun) = drop_after(&site, &path, polls).await;
            let next = tokio::time::timeout(AT_ONCE, site.browser.clone().get("/exclusive/read")).await;
            assert!(next.is_ok(), "{path}, {polls} polls: the lease was left behind");
            check(&site, &format!("{path}, {polls} polls"), begun).await;
            if done {
                break;
            }
            polls += 1;
        }
        assert!(polls > 3, "{path} has points at which it waits");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_whole_or_not_there_wherever_the_client_hangs_up() {
    at_every_point("both", async |site, when, begun| {
        let expected = if begun { "alice a b c" } else { "alice a" };
        assert_eq!(site.before().await, expected, "{when}: a commit that began comes to its end");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_is_whole_or_not_there_wherever_the_client_hangs_up() {
    at_every_point("logout", async |site, when, begun| {
        assert_eq!(site.before().await, if begun { "" } else { "alice a" }, "{when}");
        assert_eq!(site.sessions.count().await.unwrap(), u64::from(!begun), "{when}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_or_a_step_up_that_nobody_heard_of_signs_nobody_out() {
    for act in ["rotate", "step-up", "login"] {
        at_every_point(act, async |site, when, _| {
            assert_eq!(site.before().await, "alice a", "{when}");
        })
        .await;
    }
}
