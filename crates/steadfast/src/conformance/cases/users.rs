//! The index of users.

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_same, at_most, create, delete, key, load, record, record_of, replace, stored, update, user,
    users_keys, users_pages,
};
use crate::store::{Created, LeaseEnd, Predecessor, Replaced, Store, Updated, Version};

pub(crate) async fn a_user_without_records_has_none(h: Harness) {
    stored(h.first(), &record("nobody's")).await;
    assert_eq!(users_keys(h.first(), &user()).await, []);
}

pub(crate) async fn a_created_record_is_listed_with_its_user(h: Harness) {
    let user = user();
    let written = record_of(user, "bound");
    let key = stored(h.first(), &written).await;
    let listed = h.second().of_user(&user, None, at_most(10)).await.expect("of_user works");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key, key);
    assert_same(&listed[0].record, &written);
    assert_same(&load(h.second(), &key).await, &written);
}

pub(crate) async fn records_are_listed_in_the_order_of_their_keys(h: Harness) {
    let user = user();
    let mut keys = Vec::new();
    for store in [h.first(), h.second()].into_iter().cycle().take(20) {
        keys.push(stored(store, &record_of(user, "bound")).await);
    }
    keys.sort_unstable();
    assert_eq!(users_keys(h.first(), &user).await, keys);
    assert_eq!(users_keys(h.second(), &user).await, keys);
}

pub(crate) async fn records_of_a_user_are_listed_page_by_page(h: Harness) {
    let user = user();
    let mut keys = Vec::new();
    for _ in 0..11 {
        keys.push(stored(h.first(), &record_of(user, "bound")).await);
    }
    keys.sort_unstable();
    for limit in [1, 2, 5, 11, 12] {
        let listed = users_pages(h.second(), &user, limit).await;
        let seen: Vec<_> = listed.into_iter().map(|listed| listed.key).collect();
        assert_eq!(seen, keys, "in pages of {limit}");
    }
}

pub(crate) async fn a_page_of_a_user_may_begin_after_a_key_that_is_gone(h: Harness) {
    let user = user();
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(stored(h.first(), &record_of(user, "bound")).await);
    }
    keys.sort_unstable();
    delete(h.second(), &keys[2]).await;
    let rest = h.first().of_user(&user, Some(&keys[2]), at_most(10)).await.expect("of_user works");
    assert_eq!(rest.iter().map(|listed| listed.key).collect::<Vec<_>>(), keys[3..]);
}

pub(crate) async fn nobody_elses_records_are_listed(h: Harness) {
    let (one, two) = (user(), user());
    let mine = stored(h.first(), &record_of(one, "mine")).await;
    let theirs = stored(h.first(), &record_of(two, "theirs")).await;
    stored(h.first(), &record("nobody's")).await;
    assert_eq!(users_keys(h.second(), &one).await, [mine]);
    assert_eq!(users_keys(h.second(), &two).await, [theirs]);
}

pub(crate) async fn an_update_binds_a_record_to_a_user(h: Harness) {
    let (user, one) = (user(), record("one"));
    let key = stored(h.first(), &one).await;
    let two = record_of(user, "two");
    update(h.first(), &key, one.version, &two).await;
    let listed = h.second().of_user(&user, None, at_most(10)).await.expect("of_user works");
    assert_eq!(listed.len(), 1);
    assert_same(&listed[0].record, &two);
}

pub(crate) async fn an_update_moves_a_record_to_another_user(h: Harness) {
    let (before, after) = (user(), user());
    let one = record_of(before, "one");
    let key = stored(h.first(), &one).await;
    update(h.second(), &key, one.version, &record_of(after, "two")).await;
    assert_eq!(users_keys(h.first(), &before).await, []);
    assert_eq!(users_keys(h.first(), &after).await, [key]);
}

pub(crate) async fn an_update_unbinds_a_record(h: Harness) {
    let user = user();
    let one = record_of(user, "one");
    let key = stored(h.first(), &one).await;
    update(h.second(), &key, one.version, &record("two")).await;
    assert_eq!(users_keys(h.first(), &user).await, []);
    assert_eq!(load(h.first(), &key).await.user, None);
}

pub(crate) async fn an_update_for_the_same_user_keeps_the_record_listed_once(h: Harness) {
    let user = user();
    let one = record_of(user, "one");
    let key = stored(h.first(), &one).await;
    let two = record_of(user, "two");
    update(h.first(), &key, one.version, &two).await;
    let listed = h.second().of_user(&user, None, at_most(10)).await.expect("of_user works");
    assert_eq!(listed.len(), 1);
    assert_same(&listed[0].record, &two);
}

pub(crate) async fn a_stale_update_leaves_the_index_alone(h: Harness) {
    let (owner, other) = (user(), user());
    let key = stored(h.first(), &record_of(owner, "one")).await;
    let late = record_of(other, "late");
    let updated = h.second().update(&key, Version::fresh(), &late, LeaseEnd::None).await;
    assert_eq!(updated.expect("update works"), Updated::Stale);
    assert_eq!(users_keys(h.first(), &owner).await, [key]);
    assert_eq!(users_keys(h.first(), &other).await, []);
}

pub(crate) async fn a_refused_create_leaves_the_index_alone(h: Harness) {
    let (owner, other) = (user(), user());
    let key = stored(h.first(), &record_of(owner, "one")).await;
    let created = h.second().create(&key, &record_of(other, "late")).await.expect("create works");
    assert_eq!(created, Created::IdTaken);
    assert_eq!(users_keys(h.first(), &owner).await, [key]);
    assert_eq!(users_keys(h.first(), &other).await, []);
}

pub(crate) async fn a_deletion_removes_the_index_entry(h: Harness) {
    let user = user();
    let key = stored(h.first(), &record_of(user, "one")).await;
    let other = stored(h.first(), &record_of(user, "other")).await;
    delete(h.second(), &key).await;
    assert_eq!(users_keys(h.first(), &user).await, [other]);
}

pub(crate) async fn a_key_that_is_created_again_belongs_to_its_new_user_only(h: Harness) {
    let (before, after) = (user(), user());
    let key = stored(h.first(), &record_of(before, "one")).await;
    delete(h.first(), &key).await;
    create(h.second(), &key, &record_of(after, "two")).await;
    assert_eq!(users_keys(h.first(), &before).await, []);
    assert_eq!(users_keys(h.first(), &after).await, [key]);
}

pub(crate) async fn a_replacement_with_a_deletion_moves_the_index_entry(h: Harness) {
    let (before, after) = (user(), user());
    let old = record_of(before, "old");
    let (old_key, new_key) = (stored(h.first(), &old).await, key());
    let new = record_of(after, "new");
    let replaced = replace(h.first(), &old_key, old.version, Predecessor::Delete, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!(users_keys(h.second(), &before).await, []);
    assert_eq!(users_keys(h.second(), &after).await, [new_key]);
}

pub(crate) async fn a_replacement_with_an_update_indexes_both_records(h: Harness) {
    let (before, after) = (user(), user());
    let old = record("old");
    let (old_key, new_key) = (stored(h.first(), &old).await, key());
    let (frozen, new) = (record_of(before, "frozen"), record_of(after, "new"));
    let predecessor = Predecessor::Update(&frozen);
    let replaced = replace(h.first(), &old_key, old.version, predecessor, &new_key, &new).await;
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!(users_keys(h.second(), &before).await, [old_key]);
    assert_eq!(users_keys(h.second(), &after).await, [new_key]);
}

pub(crate) async fn a_refused_replacement_leaves_the_index_alone(h: Harness) {
    let (owner, other) = (user(), user());
    let old_key = stored(h.first(), &record_of(owner, "old")).await;
    let (key, new) = (key(), record_of(other, "new"));
    let replaced = replace(h.second(), &old_key, Version::fresh(), Predecessor::Delete, &key, &new).await;
    assert_eq!(replaced, Replaced::Stale);
    assert_eq!(users_keys(h.first(), &owner).await, [old_key]);
    assert_eq!(users_keys(h.first(), &other).await, []);
}
