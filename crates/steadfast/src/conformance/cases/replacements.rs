//! A new record in the place of an old one.

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_busy, assert_missing, assert_same, create, flipped, hold, key, load, record, replace, stored,
    update,
};
use crate::store::{Predecessor, Replaced, Version};

pub(crate) async fn replace_with_a_deletion_leaves_only_the_new_record(h: Harness) {
    let (old, new) = (record("old"), record("new"));
    let (old_key, new_key) = (stored(h.first(), &old).await, key());
    let replaced = replace(h.first(), &old_key, old.version, Predecessor::Delete, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    assert_missing(h.second(), &old_key).await;
    assert_same(&load(h.second(), &new_key).await, &new);
}

pub(crate) async fn replace_with_an_update_stores_both_records(h: Harness) {
    let (old, frozen, new) = (record("old"), record("frozen"), record("new"));
    let (old_key, new_key) = (stored(h.first(), &old).await, key());
    let predecessor = Predecessor::Update(&frozen);
    let replaced = replace(h.second(), &old_key, old.version, predecessor, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    for store in [h.first(), h.second()] {
        assert_same(&load(store, &old_key).await, &frozen);
        assert_same(&load(store, &new_key).await, &new);
    }
}

pub(crate) async fn both_records_of_a_replacement_are_written_on(h: Harness) {
    let (old, frozen, new) = (record("old"), record("frozen"), record("new"));
    let (old_key, new_key) = (stored(h.first(), &old).await, key());
    let predecessor = Predecessor::Update(&frozen);
    let replaced = replace(h.first(), &old_key, old.version, predecessor, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    for (key, seen) in [(old_key, frozen.version), (new_key, new.version)] {
        let next = record("next");
        update(h.second(), &key, seen, &next).await;
        assert_same(&load(h.first(), &key).await, &next);
    }
}

pub(crate) async fn replace_of_a_stale_version_writes_nothing(h: Harness) {
    let old = record("old");
    let old_key = stored(h.first(), &old).await;
    let frozen = record("frozen");
    for predecessor in [Predecessor::Delete, Predecessor::Update(&frozen)] {
        let new_key = key();
        let new = record("new");
        let replaced = replace(h.second(), &old_key, Version::fresh(), predecessor, &new_key, &new).await;
        assert_eq!(replaced, Replaced::Stale);
        assert_missing(h.first(), &new_key).await;
        assert_same(&load(h.first(), &old_key).await, &old);
    }
}

pub(crate) async fn replace_of_a_missing_record_writes_nothing(h: Harness) {
    let frozen = record("frozen");
    for predecessor in [Predecessor::Delete, Predecessor::Update(&frozen)] {
        let (old_key, new_key) = (key(), key());
        let new = record("new");
        let replaced = replace(h.first(), &old_key, Version::fresh(), predecessor, &new_key, &new).await;
        assert_eq!(replaced, Replaced::Missing);
        assert_missing(h.second(), &old_key).await;
        assert_missing(h.second(), &new_key).await;
    }
}

pub(crate) async fn replace_leaves_the_record_of_a_taken_key_alone(h: Harness) {
    let (old, taken, frozen) = (record("old"), record("taken"), record("frozen"));
    let old_key = stored(h.first(), &old).await;
    let taken_key = stored(h.second(), &taken).await;
    for predecessor in [Predecessor::Delete, Predecessor::Update(&frozen)] {
        let new = record("new");
        let replaced = replace(h.first(), &old_key, old.version, predecessor, &taken_key, &new).await;
        assert_eq!(replaced, Replaced::IdTaken);
        assert_same(&load(h.second(), &old_key).await, &old);
        assert_same(&load(h.second(), &taken_key).await, &taken);
    }
}

pub(crate) async fn replace_ends_the_lease_of_the_old_record(h: Harness) {
    let (old, frozen) = (record("old"), record("frozen"));
    let old_key = stored(h.first(), &old).await;
    hold(h.first(), &old_key, h.long_lease()).await;
    let predecessor = Predecessor::Update(&frozen);
    let replaced = replace(h.first(), &old_key, old.version, predecessor, &key(), &record("new")).await;
    assert_eq!(replaced, Replaced::Stored);
    hold(h.second(), &old_key, h.long_lease()).await;
}

pub(crate) async fn a_refused_replacement_leaves_the_lease_of_the_old_record(h: Harness) {
    let old = record("old");
    let old_key = stored(h.first(), &old).await;
    let lease = h.long_lease();
    hold(h.first(), &old_key, lease).await;
    let (key, new) = (key(), record("new"));
    let replaced = replace(h.second(), &old_key, Version::fresh(), Predecessor::Delete, &key, &new).await;
    assert_eq!(replaced, Replaced::Stale);
    assert_busy(h.second(), &old_key, h.long_lease()).await;
}

pub(crate) async fn the_new_record_of_a_replacement_is_not_leased(h: Harness) {
    let (old, new) = (record("old"), record("new"));
    let (old_key, new_key) = (stored(h.first(), &old).await, key());
    hold(h.first(), &old_key, h.long_lease()).await;
    let replaced = replace(h.first(), &old_key, old.version, Predecessor::Delete, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    assert_same(&hold(h.second(), &new_key, h.long_lease()).await, &new);
}

pub(crate) async fn replace_works_between_keys_that_differ_in_one_bit(h: Harness) {
    // Neighbours are where a driver keeps two records in one place, under one lock.
    for bit in [0, 7, 64, 127] {
        let old_key = key();
        let new_key = flipped(&old_key, bit);
        let (old, new) = (record("old"), record("new"));
        create(h.first(), &old_key, &old).await;
        let replaced = replace(h.first(), &old_key, old.version, Predecessor::Delete, &new_key, &new).await;
        assert_eq!(replaced, Replaced::Stored);
        assert_missing(h.second(), &old_key).await;
        assert_same(&load(h.second(), &new_key).await, &new);
    }
}
