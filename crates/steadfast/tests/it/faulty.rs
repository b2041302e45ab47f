//! `FaultyStore`: a store like any other until it is told otherwise.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::memory::MemoryStore;
use steadfast::store::{
    Created, Deleted, LeaseEnd, Loaded, Record, SharedStore, Store, StoreKey, Updated, Version,
};
use steadfast::testing::{Fault, FaultyStore, ManualClock, Op};
use steadfast::{ErrorKind, Timestamp};

async fn harness() -> Harness {
    let clock = ManualClock::new();
    let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    Harness::new(store.clone(), store, TestTime::Manual(clock))
}

conformance_suite! { mod faulty_store, harness }

const KEY: StoreKey = StoreKey::from_bytes([7; 16]);

fn record() -> Record {
    Record {
        payload: Bytes::from_static(b"payload"),
        version: Version::fresh(),
        expires_at: Timestamp::MAX,
        user: None,
    }
}

async fn with_record(record: &Record) -> FaultyStore<MemoryStore> {
    let store = FaultyStore::new(MemoryStore::new());
    assert_eq!(store.create(&KEY, record).await.expect("create works"), Created::Stored);
    store.faults().reset_calls();
    store
}

async fn is_stored(store: &impl Store, record: &Record) -> bool {
    matches!(store.load(&KEY).await.expect("load works"), Loaded::Found(found) if found.record == *record)
}

#[tokio::test]
async fn a_refused_write_has_no_effect() {
    let (one, two) = (record(), record());
    let store = with_record(&one).await;
    store.faults().fail_next(Op::Update, Fault::Refused, 1);
    let refused = store.update(&KEY, one.version, &two, LeaseEnd::None).await.unwrap_err();
    assert_eq!((refused.kind(), refused.driver()), (ErrorKind::Unavailable, Some("memory")));
    assert!(is_stored(&store, &one).await);
    assert_eq!(store.update(&KEY, one.version, &two, LeaseEnd::None).await.unwrap(), Updated::Stored);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_has_its_effect() {
    let (one, two) = (record(), record());
    let store = with_record(&one).await;
    store.faults().fail_next(Op::Update, Fault::AnswerLost, 1);
    let lost = store.update(&KEY, one.version, &two, LeaseEnd::None).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::TimedOut);
    assert!(is_stored(&store, &two).await);
}

#[tokio::test]
async fn a_damaged_record_is_corrupt() {
    let store = with_record(&record()).await;
    store.faults().fail_next(Op::Load, Fault::Damaged, 1);
    assert_eq!(store.load(&KEY).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn an_outage_ends_when_it_is_healed() {
    let one = record();
    let store = with_record(&one).await;
    store.faults().fail_everything(Fault::Refused);
    for _ in 0..3 {
        assert_eq!(store.load(&KEY).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.delete(&KEY, None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    store.faults().heal();
    assert!(is_stored(&store, &one).await);
}

#[tokio::test]
async fn a_failure_of_one_operation_leaves_the_others_alone() {
    let one = record();
    let store = with_record(&one).await;
    store.faults().fail_all(Op::Touch, Fault::Refused);
    assert!(is_stored(&store, &one).await);
    assert!(store.touch(&KEY, Timestamp::MAX).await.is_err());
}

#[tokio::test]
async fn a_held_call_has_no_effect_until_the_gate_opens() {
    let (one, two) = (record(), record());
    let store = with_record(&one).await;
    let gate = store.faults().hold(Op::Update);
    let (writer, seen, next) = (store.clone(), one.version, two.clone());
    let update = tokio::spawn(async move { writer.update(&KEY, seen, &next, LeaseEnd::None).await });
    gate.arrived(1).await;
    assert!(is_stored(&store, &one).await);
    gate.open();
    assert_eq!(update.await.unwrap().unwrap(), Updated::Stored);
    assert!(is_stored(&store, &two).await);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_its_answer_is_held_has_had_its_effect() {
    let (one, two) = (record(), record());
    let store = with_record(&one).await;
    let gate = store.faults().hold_answers(Op::Update);
    let (writer, seen, next) = (store.clone(), one.version, two.clone());
    let update = tokio::spawn(async move { writer.update(&KEY, seen, &next, LeaseEnd::None).await });
    gate.arrived(1).await;
    update.abort();
    assert!(update.await.unwrap_err().is_cancelled());
    assert!(is_stored(&store, &two).await);
}

#[tokio::test]
async fn calls_are_counted_for_each_operation() {
    let one = record();
    let store = with_record(&one).await;
    // The counts are those of all handles, through any wrapper.
    let shared = SharedStore::new(store.clone());
    assert!(is_stored(&shared, &one).await);
    assert!(is_stored(&store, &one).await);
    shared.released(&KEY, Duration::ZERO).await;
    store.faults().fail_next(Op::Delete, Fault::Refused, 1);
    assert!(shared.delete(&KEY, None).await.is_err());
    let faults = store.faults();
    let counted = [Op::Load, Op::Delete, Op::Released, Op::Create].map(|op| faults.calls(op));
    assert_eq!(counted, [2, 1, 1, 0]);
    assert_eq!(faults.round_trips(), 3, "a wait is not a round trip");
    faults.reset_calls();
    assert_eq!(faults.round_trips(), 0);
}

#[tokio::test]
async fn a_forgotten_record_is_missing() {
    let store = with_record(&record()).await;
    assert_eq!(store.forget(&KEY).await.unwrap(), Deleted::Gone);
    assert_eq!(store.faults().round_trips(), 0);
    assert_eq!(store.load(&KEY).await.unwrap(), Loaded::Missing);
}

#[tokio::test]
async fn a_store_that_forgets_everything_is_empty() {
    let store = with_record(&record()).await;
    for n in 0..=u8::MAX {
        let _ = store.create(&StoreKey::from_bytes([n; 16]), &record()).await.unwrap();
    }
    store.forget_all().await.unwrap();
    assert_eq!(store.count().await.unwrap(), 0);
}
