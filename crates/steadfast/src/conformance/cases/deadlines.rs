//! Deadlines: touch and purge.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    EARLIER, LATER, assert_busy, assert_missing, assert_same, at_most, expired, hold, key, load, now,
    purge_all, record, record_of, stored, update, user, users_keys,
};
use crate::store::{LeaseEnd, Record, SharedStore, Store, StoreKey, Touched, Updated};
use crate::time::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) async fn touch_moves_the_deadline_later(h: Harness) {
    let written = record("written");
    let key = stored(h.first(), &written).await;
    touch(&h, &key, LATER + DAY).await;
    assert_same(&load(h.first(), &key).await, &Record { expires_at: LATER + DAY, ..written });
}

pub(crate) async fn touch_moves_the_deadline_earlier(h: Harness) {
    let written = record("written");
    let key = stored(h.first(), &written).await;
    touch(&h, &key, LATER - DAY).await;
    assert_same(&load(h.first(), &key).await, &Record { expires_at: LATER - DAY, ..written });
}

pub(crate) async fn touch_leaves_payload_version_and_user_alone(h: Harness) {
    let user = user();
    let written = record_of(user, "written");
    let key = stored(h.first(), &written).await;
    touch(&h, &key, LATER + DAY).await;
    assert_same(&load(h.first(), &key).await, &Record { expires_at: LATER + DAY, ..written.clone() });
    assert_eq!(users_keys(h.second(), &user).await, [key]);
    update(h.first(), &key, written.version, &record("two")).await;
}

pub(crate) async fn touch_leaves_the_lease_alone(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    hold(h.first(), &key, h.long_lease()).await;
    touch(&h, &key, LATER + DAY).await;
    assert_busy(h.second(), &key, h.long_lease()).await;
}

pub(crate) async fn touch_never_creates_a_missing_record(h: Harness) {
    let key = key();
    assert_eq!(h.first().touch(&key, LATER).await.expect("touch works"), Touched::Missing);
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn an_update_after_a_touch_sets_the_deadline(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    touch(&h, &key, LATER + DAY).await;
    let two = record("two");
    update(h.first(), &key, one.version, &two).await;
    assert_same(&load(h.second(), &key).await, &two);
}

pub(crate) async fn purge_of_an_empty_store_deletes_nothing(h: Harness) {
    assert_eq!(h.first().purge(at_most(10)).await.expect("purge works"), 0);
}

pub(crate) async fn purge_deletes_only_what_has_expired(h: Harness) {
    let mut live = Vec::new();
    let mut dead = Vec::new();
    for _ in 0..20 {
        let written = record("live");
        live.push((stored(h.first(), &written).await, written));
        dead.push(stored(h.second(), &expired("dead")).await);
    }
    purge_all(h.first(), 20).await;
    for (key, written) in &live {
        assert_same(&load(h.second(), key).await, written);
    }
    for key in &dead {
        assert_missing(h.second(), key).await;
    }
}

pub(crate) async fn a_call_of_purge_deletes_at_most_its_limit(h: Harness) {
    for _ in 0..30 {
        stored(h.first(), &expired("dead")).await;
    }
    for limit in [1, 7] {
        let before = h.first().count().await.expect("count works");
        let purged = h.first().purge(at_most(limit)).await.expect("purge works");
        let after = h.second().count().await.expect("count works");
        assert!(purged <= limit, "a purge of at most {limit} said that it deleted {purged}");
        if h.expires_by_purge_only() {
            assert_eq!(before - after, purged as u64, "a purge returns how many records it deleted");
        }
    }
}

pub(crate) async fn purge_gets_at_everything_in_the_end(h: Harness) {
    for _ in 0..100 {
        stored(h.first(), &expired("dead")).await;
    }
    purge_all(h.second(), 0).await;
}

pub(crate) async fn purge_goes_by_the_time_of_the_store(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    let deadline = now(h.first(), &key).await + 3 * h.step();
    touch(&h, &key, deadline).await;
    assert_eq!(h.first().purge(at_most(10)).await.expect("purge works"), 0);
    load(h.first(), &key).await;
    h.pass(4 * h.step()).await;
    purge_all(h.first(), 0).await;
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn purge_spares_what_was_touched(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    let soon = now(h.first(), &key).await + 3 * h.step();
    touch(&h, &key, soon).await;
    touch(&h, &key, LATER).await;
    h.pass(4 * h.step()).await;
    let dead = stored(h.first(), &expired("dead")).await;
    purge_all(h.first(), 1).await;
    load(h.second(), &key).await;
    assert_missing(h.second(), &dead).await;
}

pub(crate) async fn purge_takes_what_an_update_made_expire(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    update(h.second(), &key, one.version, &expired("two")).await;
    purge_all(h.first(), 0).await;
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn purge_takes_what_a_touch_made_expire(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    touch(&h, &key, EARLIER).await;
    purge_all(h.first(), 0).await;
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn purge_removes_index_entries(h: Harness) {
    let user = user();
    let live = stored(h.first(), &record_of(user, "live")).await;
    stored(h.first(), &Record { user: Some(user), ..expired("dead") }).await;
    purge_all(h.second(), 1).await;
    assert_eq!(users_keys(h.first(), &user).await, [live]);
}

pub(crate) async fn a_purged_record_is_never_revived(h: Harness) {
    let dead = expired("dead");
    let key = stored(h.first(), &dead).await;
    purge_all(h.second(), 0).await;
    let updated = h.first().update(&key, dead.version, &record("late"), LeaseEnd::None).await;
    assert_eq!(updated.expect("update works"), Updated::Missing);
    assert_eq!(h.first().touch(&key, LATER).await.expect("touch works"), Touched::Missing);
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn two_purges_at_once_delete_each_record_once(h: Harness) {
    let records = 60;
    for _ in 0..records {
        stored(h.first(), &expired("dead")).await;
    }
    let purge = |store: SharedStore| {
        tokio::spawn(async move {
            let mut purged = 0;
            for _ in 0..100 {
                purged += store.purge(NonZeroUsize::MIN).await.expect("purge works");
            }
            purged
        })
    };
    let (one, two) = (purge(h.first().clone()), purge(h.second().clone()));
    let purged = one.await.expect("it does not panic") + two.await.expect("it does not panic");
    assert!(purged <= records, "{purged} deletions were counted of {records} records");
    purge_all(h.first(), 0).await;
}

/// Moves the deadline of a record that is there, through the second handle.
async fn touch(h: &Harness, key: &StoreKey, expires_at: Timestamp) {
    let touched = h.second().touch(key, expires_at).await.expect("touch works");
    assert_eq!(touched, Touched::Moved, "the deadline of a record that is there is moved");
}
