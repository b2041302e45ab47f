//! A store whose answers take long: nothing that is decided by time goes wrong for it.

use std::time::Duration;

use steadfast::testing::Op;
use steadfast::{Anomaly, EventKind};

use crate::app::{Adaptor, on_every_adaptor};
use crate::site::{Site, page};

on_every_adaptor! {
    flash_ages_although_the_store_takes_long_to_answer
}

async fn flash_ages_although_the_store_takes_long_to_answer(adaptor: Adaptor) {
    let site = Site::with(adaptor, |policy| policy);
    let mut visitor = site.visitor();
    visitor.page(|session| session.flash("notice", "saved")).await;
    site.clock.advance(Duration::from_millis(1));
    let gate = site.store.faults().hold_answers(Op::Acquire);
    let slow = tokio::spawn(visitor.start(page("/exclusive"), async |_: steadfast::Session| {}));
    gate.arrived(1).await;
    site.clock.advance(Duration::from_secs(2));
    gate.open();
    assert_eq!(slow.await.unwrap().status(), 200);
    assert_eq!(visitor.page(|session| session.flash_get::<String>("notice")).await, None);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::ClockSkew)), 0, "the clocks agree");
}
