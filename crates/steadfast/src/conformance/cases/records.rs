//! One record: load, create, update, delete.

use std::time::Duration;

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_missing, assert_same, create, key, load, now, record, stored, update,
};
use crate::store::{Created, Deleted, LeaseEnd, Record, Store, Updated, Version};

pub(crate) async fn a_missing_record_is_missing(h: Harness) {
    assert_missing(h.first(), &key()).await;
    stored(h.second(), &record("another")).await;
    assert_missing(h.first(), &key()).await;
}

pub(crate) async fn a_created_record_is_loaded_as_it_was_written(h: Harness) {
    let written = record("hello");
    let key = stored(h.first(), &written).await;
    assert_same(&load(h.first(), &key).await, &written);
}

pub(crate) async fn a_write_through_one_handle_is_seen_through_the_other(h: Harness) {
    let (one, two) = (record("one"), record("two"));
    let key = stored(h.first(), &one).await;
    assert_same(&load(h.second(), &key).await, &one);
    update(h.second(), &key, one.version, &two).await;
    assert_same(&load(h.first(), &key).await, &two);
}

pub(crate) async fn a_load_tells_the_time_of_the_store(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    let before = now(h.second(), &key).await;
    h.pass(h.step()).await;
    let passed = now(h.second(), &key).await.saturating_since(before);
    assert!(passed >= h.step(), "the time of the store moved by {passed:?}, not by {:?}", h.step());
}

pub(crate) async fn the_time_of_the_store_passes(h: Harness) {
    let before = h.first().now().await.expect("now works");
    h.outlast().await;
    let after = h.second().now().await.expect("now works");
    // A store may tell whole seconds only.
    assert!(after + Duration::from_secs(1) >= before + h.step(), "time passes for the store");
    let key = stored(h.first(), &record("")).await;
    assert!(now(h.first(), &key).await + Duration::from_secs(1) >= after, "its answers tell the same time");
}

pub(crate) async fn create_leaves_an_existing_record_alone(h: Harness) {
    let written = record("first");
    let key = stored(h.first(), &written).await;
    for store in [h.first(), h.second()] {
        let created = store.create(&key, &record("second")).await.expect("create works");
        assert_eq!(created, Created::IdTaken);
    }
    assert_same(&load(h.first(), &key).await, &written);
}

pub(crate) async fn update_replaces_payload_version_and_deadline(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    let mut two = record("a longer payload than before");
    two.expires_at = two.expires_at - Duration::from_secs(86_400);
    update(h.first(), &key, one.version, &two).await;
    assert_same(&load(h.second(), &key).await, &two);
    let three = record("");
    update(h.second(), &key, two.version, &three).await;
    assert_same(&load(h.first(), &key).await, &three);
}

pub(crate) async fn update_of_a_stale_version_writes_nothing(h: Harness) {
    let written = record("written");
    let key = stored(h.first(), &written).await;
    for store in [h.first(), h.second()] {
        let updated = store.update(&key, Version::fresh(), &record("late"), LeaseEnd::None).await;
        assert_eq!(updated.expect("update works"), Updated::Stale);
        assert_same(&load(h.first(), &key).await, &written);
    }
}

pub(crate) async fn update_never_creates_a_missing_record(h: Harness) {
    let key = key();
    let updated = h.first().update(&key, Version::fresh(), &record("new"), LeaseEnd::None).await;
    assert_eq!(updated.expect("update works"), Updated::Missing);
    assert_missing(h.first(), &key).await;
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn update_never_revives_a_deleted_record(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    // Both handles have seen the record before it goes.
    load(h.second(), &key).await;
    assert_eq!(h.first().delete(&key, None).await.expect("delete works"), Deleted::Gone);
    for store in [h.second(), h.first()] {
        let updated = store.update(&key, one.version, &record("late"), LeaseEnd::None).await;
        assert_eq!(updated.expect("update works"), Updated::Missing);
        assert_missing(h.first(), &key).await;
        assert_missing(h.second(), &key).await;
    }
}

pub(crate) async fn the_version_before_last_is_stale(h: Harness) {
    let (one, two) = (record("same bytes"), record("same bytes"));
    let key = stored(h.first(), &one).await;
    update(h.second(), &key, one.version, &two).await;
    let updated = h.first().update(&key, one.version, &record("late"), LeaseEnd::None).await;
    assert_eq!(updated.expect("update works"), Updated::Stale);
    assert_same(&load(h.first(), &key).await, &two);
}

pub(crate) async fn delete_removes_the_record_whatever_its_version(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    update(h.first(), &key, one.version, &record("two")).await;
    assert_eq!(h.second().delete(&key, None).await.expect("delete works"), Deleted::Gone);
    assert_missing(h.first(), &key).await;
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn delete_over_the_version_seen_removes_the_record(h: Harness) {
    let (one, two) = (record("one"), record("two"));
    let key = stored(h.first(), &one).await;
    update(h.first(), &key, one.version, &two).await;
    let deleted = h.second().delete(&key, Some(two.version)).await;
    assert_eq!(deleted.expect("delete works"), Deleted::Gone);
    assert_missing(h.first(), &key).await;
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn delete_of_a_stale_version_deletes_nothing(h: Harness) {
    let (one, two) = (record("one"), record("two"));
    let key = stored(h.first(), &one).await;
    update(h.first(), &key, one.version, &two).await;
    for store in [h.first(), h.second()] {
        let deleted = store.delete(&key, Some(one.version)).await.expect("delete works");
        assert_eq!(deleted, Deleted::Stale);
        assert_same(&load(h.first(), &key).await, &two);
    }
    let missing = h.first().delete(&self::key(), Some(two.version)).await;
    assert_eq!(missing.expect("delete works"), Deleted::Missing);
}

pub(crate) async fn delete_of_a_missing_record_is_missing(h: Harness) {
    assert_eq!(h.first().delete(&key(), None).await.expect("delete works"), Deleted::Missing);
    let key = stored(h.first(), &record("")).await;
    assert_eq!(h.first().delete(&key, None).await.expect("delete works"), Deleted::Gone);
    assert_eq!(h.second().delete(&key, None).await.expect("delete works"), Deleted::Missing);
}

pub(crate) async fn a_key_can_be_created_again_after_its_deletion(h: Harness) {
    let key = stored(h.first(), &record("one")).await;
    assert_eq!(h.first().delete(&key, None).await.expect("delete works"), Deleted::Gone);
    let two = record("two");
    create(h.second(), &key, &two).await;
    assert_same(&load(h.first(), &key).await, &two);
}

pub(crate) async fn a_version_may_be_any_number(h: Harness) {
    for version in [1, i64::MAX as u64, 1 << 63, u64::MAX].map(Version::from_u64) {
        let written = Record { version, ..record("one") };
        let key = stored(h.first(), &written).await;
        assert_same(&load(h.second(), &key).await, &written);
        update(h.second(), &key, version, &record("two")).await;
    }
}

pub(crate) async fn set_aside_of_a_missing_record_is_nothing(h: Harness) {
    let key = key();
    h.first().set_aside(&key).await.expect("set_aside works");
    assert_missing(h.second(), &key).await;
    create(h.second(), &key, &record("new")).await;
}
