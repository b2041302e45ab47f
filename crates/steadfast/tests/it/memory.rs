//! The `memory` driver against the conformance suite.

use std::sync::Arc;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::memory::MemoryStore;
use steadfast::testing::ManualClock;

async fn harness() -> Harness {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(Arc::new(clock.clone()));
    Harness::new(store.clone(), store, TestTime::Manual(clock))
}

conformance_suite! { mod memory_driver, harness }
