//! What is done to sessions without a request, and what is told of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use steadfast::testing::{Fault, ManualClock, Op};
use steadfast::{ErrorKind, EventKind};

use crate::site::Site;

#[tokio::test]
async fn a_revocation_ends_sessions_that_a_node_with_a_fast_clock_began() {
    let site = Site::new(|p| p);
    let fast = ManualClock::new();
    fast.advance(Duration::from_secs(30));
    let other = Site::on(site.store.clone(), fast, |p| p);
    let mut visitor = other.visitor_with(|s| s.login("alice")).await;
    assert_eq!(site.sessions.revoke("alice").await.unwrap().ended, 1);
    assert_eq!(visitor.page(|s| Ok(s.user())).await, None);
}

#[tokio::test]
async fn a_purge_that_fails_is_told() {
    let site = Site::new(|p| p);
    site.store.faults().fail_next(Op::Purge, Fault::Refused, 1);
    site.sessions.purge(NonZeroUsize::MIN).await.unwrap_err();
    assert_eq!(site.events.take(), [EventKind::Failed(ErrorKind::Unavailable)]);
}

#[tokio::test]
async fn a_first_write_that_fails_is_told() {
    let site = Site::new(|p| p);
    site.store.faults().fail_next(Op::Create, Fault::Refused, 1);
    let mut visitor = site.visitor();
    assert_eq!(visitor.reply(|s| s.set("a", 1)).await.status(), 503);
    assert_eq!(site.events.take(), [EventKind::Failed(ErrorKind::Unavailable)]);
}
