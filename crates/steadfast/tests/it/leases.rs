//! Leases, and requests that go away while they get one.

use std::future::ready;

use steadfast::Session;
use steadfast::testing::Op;

use crate::site::{Site, page};

#[tokio::test]
async fn a_client_that_hangs_up_while_the_store_is_asked_for_a_lease_holds_nobody_up() {
    let site = Site::new(|policy| policy);
    let mut visitor = site.visitor_with(|session| session.set("a", 1)).await;
    let gate = site.store.faults().hold_answers(Op::Acquire);
    let request = tokio::spawn(visitor.start(page("/exclusive"), |_: Session| ready(())));
    gate.arrived(1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    gate.open();
    site.settle().await;
    // On a clock that stands still a lease that was left behind would never end.
    assert_eq!(visitor.page(|session| session.get::<u32>("a")).await, Some(1));
}
