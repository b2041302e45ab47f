//! Counting all records and paging through them.

use std::collections::HashSet;

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_same, at_most, count, delete, key, pages, pages_after, record, record_of, replace, stored, user,
};
use crate::store::{Predecessor, Record, Replaced, Store, StoreKey};

pub(crate) async fn an_empty_store_counts_and_lists_nothing(h: Harness) {
    assert_eq!(count(h.first()).await, 0);
    assert_eq!(pages(h.second(), 10).await, []);
}

pub(crate) async fn count_follows_create_replace_and_delete(h: Harness) {
    let (old, frozen) = (record("old"), record("frozen"));
    let old_key = stored(h.first(), &old).await;
    stored(h.first(), &record("other")).await;
    assert_eq!(count(h.second()).await, 2);
    let (new, new_key) = (record("new"), key());
    let predecessor = Predecessor::Update(&frozen);
    let replaced = replace(h.first(), &old_key, old.version, predecessor, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!(count(h.second()).await, 3);
    let replaced =
        replace(h.first(), &new_key, new.version, Predecessor::Delete, &key(), &record("newer")).await;
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!(count(h.second()).await, 3);
    delete(h.first(), &old_key).await;
    assert_eq!(count(h.second()).await, 2);
}

pub(crate) async fn paging_sees_every_record_exactly_once(h: Harness) {
    let written = fill(&h, 57).await;
    for limit in [1, 2, 10, 57, 100] {
        let seen = pages(h.second(), limit).await;
        assert_eq!(seen.len(), written.len(), "in pages of {limit}");
        for (key, record) in &written {
            let listed = seen.iter().find(|listed| listed.key == *key).expect("every record is seen");
            assert_same(&listed.record, record);
        }
    }
}

pub(crate) async fn paging_keeps_its_order(h: Harness) {
    fill(&h, 40).await;
    let once = pages(h.first(), 7).await;
    let again = pages(h.second(), 11).await;
    assert!(once == again, "the records come in the same order with other pages and another handle");
}

pub(crate) async fn paging_survives_what_others_write_meanwhile(h: Harness) {
    let written = fill(&h, 40).await;
    let first = h.first().page(None, at_most(10)).await.expect("page works");
    assert_eq!(first.len(), 10);
    // The record that the next page begins after goes, another one too, and new ones come.
    delete(h.second(), &first[9].key).await;
    delete(h.second(), &first[3].key).await;
    let fresh = fill(&h, 20).await;
    let seen = pages_after(h.first(), first, 10).await;
    let keys: HashSet<StoreKey> = seen.iter().map(|listed| listed.key).collect();
    assert!(written.iter().all(|(key, _)| keys.contains(key)), "what was there all the time is seen");
    let known = |key| written.iter().chain(&fresh).any(|(written, _)| written == key);
    assert!(keys.iter().all(known), "nothing else is seen");
}

/// Stores records through both handles, some with a user and an empty payload.
async fn fill(h: &Harness, records: usize) -> Vec<(StoreKey, Record)> {
    let mut written = Vec::with_capacity(records);
    for n in 0..records {
        let store = if n % 2 == 0 { h.first() } else { h.second() };
        let record = if n % 3 == 0 { record_of(user(), "") } else { record(format!("record {n}")) };
        written.push((stored(store, &record).await, record));
    }
    written
}
