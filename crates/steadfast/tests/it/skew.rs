//! Nodes whose clocks are wrong: a session begins and ends by the clock of its store.

use std::sync::Arc;
use std::time::Duration;

use steadfast::store::memory::MemoryStore;
use steadfast::testing::{FaultyStore, ManualClock};
use steadfast::{Anomaly, EventKind, Session};

use crate::site::{Site, Visitor, moved};

const HOUR: Duration = Duration::from_secs(3_600);
const IDLE: Duration = Duration::from_secs(600);

/// A store with its own clock, and two nodes: one an hour behind it, one an hour ahead.
async fn nodes() -> (ManualClock, [(Site, ManualClock); 2]) {
    let [behind, time, ahead] = [ManualClock::new(), ManualClock::new(), ManualClock::new()];
    time.advance(HOUR);
    ahead.advance(2 * HOUR);
    let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(time.clone()))).remote();
    let site = |clock: &ManualClock| Site::on(store.clone(), clock.clone(), |p| p.idle_timeout(IDLE));
    let sites = [(site(&behind), behind.clone()), (site(&ahead), ahead.clone())];
    for (site, _) in &sites {
        // The clocks are compared as soon as there is a moment.
        while site.events.count(EventKind::Anomaly(Anomaly::ClockSkew)) == 0 {
            tokio::task::yield_now().await;
        }
    }
    (time, sites)
}

fn a(session: &Session) -> steadfast::Result<Option<u32>> {
    session.get("a")
}

#[tokio::test]
async fn nobody_is_signed_out_early_and_nobody_stays_late() {
    for (first, second) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        let (time, sites) = nodes().await;
        let pass = |by: Duration| {
            time.advance(by);
            sites.iter().for_each(|(_, clock)| clock.advance(by));
        };
        let mut visitor = sites[first].0.visitor();
        visitor.page(|s| s.set("a", 1)).await;
        let mut elsewhere = Visitor::of(moved(&visitor.browser, &sites[second].0));
        pass(IDLE - Duration::from_secs(1));
        assert_eq!(elsewhere.page(a).await, Some(1), "from {first} to {second}: not early");
        sites[second].0.settle().await;
        pass(IDLE - Duration::from_secs(1));
        assert_eq!(visitor.page(a).await, Some(1), "from {first} to {second}: it was used meanwhile");
        sites[first].0.settle().await;
        // The touch is written down with a resolution of a sixtieth.
        pass(IDLE + IDLE / 60 + Duration::from_secs(1));
        assert_eq!(elsewhere.page(a).await, None, "from {first} to {second}: not late");
    }
}

#[tokio::test]
async fn the_ages_of_sessions_are_those_of_the_store() {
    let (_, sites) = nodes().await;
    let mut began = Vec::new();
    for (site, _) in &sites {
        site.visitor().page(|s| s.login("alice")).await;
        let list = site.sessions.sessions_of("alice").await.unwrap();
        began.push(list[0].created_at);
        assert_eq!(list.len(), began.len(), "none of them seems to have ended");
    }
    let apart = began[1].saturating_since(began[0]).max(began[0].saturating_since(began[1]));
    assert!(apart < Duration::from_millis(1), "both began at the same time by the store's clock: {apart:?}");
}
