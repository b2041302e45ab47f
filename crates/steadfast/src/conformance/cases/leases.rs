//! Leases: who holds one, for how long, and what it does not do.

use std::time::{Duration, Instant};

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_busy, assert_missing, assert_same, create, delete, hold, key, load, now, record, stored, update,
    update_ending,
};
use crate::store::{
    Acquired, Found, Lease, LeaseEnd, LeaseToken, Record, Renewed, Store, StoreKey, Updated, Version,
};

pub(crate) async fn acquire_never_creates_a_missing_record(h: Harness) {
    let key = key();
    let acquired = h.first().acquire(&key, h.long_lease()).await.expect("acquire works");
    assert_eq!(acquired, Acquired::Missing);
    assert_missing(h.second(), &key).await;
    // Nor does it leave a lease for whoever creates the record.
    create(h.second(), &key, &record("new")).await;
    hold(h.second(), &key, h.long_lease()).await;
}

pub(crate) async fn acquire_returns_the_record_and_the_time(h: Harness) {
    let written = record("written");
    let key = stored(h.first(), &written).await;
    let before = now(h.first(), &key).await;
    match h.second().acquire(&key, h.long_lease()).await.expect("acquire works") {
        Acquired::Held(Found { record, now }) => {
            assert_same(&record, &written);
            // A store may tell whole seconds only, and each handle guesses at what is between them.
            let tolerance = Duration::from_secs(1);
            assert!(now + tolerance >= before, "the time of the store does not go back");
        }
        other => panic!("a free lease is held after acquire, not {other:?}"),
    }
}

pub(crate) async fn a_held_lease_is_busy_for_everybody_else(h: Harness) {
    let held = leased(&h, "").await;
    assert_busy(h.first(), &held.key, h.long_lease()).await;
    assert_busy(h.second(), &held.key, h.long_lease()).await;
}

pub(crate) async fn the_holder_acquires_again_with_its_token(h: Harness) {
    let held = leased(&h, "written").await;
    for store in [h.first(), h.second()] {
        assert_same(&hold(store, &held.key, held.lease).await, &held.record);
    }
    assert_busy(h.second(), &held.key, h.long_lease()).await;
}

/// The calls that start a lease's time anew.
enum By {
    Acquire,
    Renew,
    Update,
}

impl By {
    /// Makes the call, and reports whether it says that the lease goes on.
    async fn renew(&self, h: &Harness, key: &StoreKey, written: &Record, lease: Lease) -> bool {
        match self {
            Self::Acquire => {
                assert_same(&hold(h.first(), key, lease).await, written);
                true
            }
            Self::Renew => h.second().renew(key, lease).await.expect("renew works") == Renewed::Extended,
            Self::Update => {
                let end = LeaseEnd::Renew(lease);
                update_ending(h.first(), key, written.version, &record("two"), end).await == Updated::Stored
            }
        }
    }
}

/// Lets the first handle hold a short lease, starts its time anew in the middle, and checks that it is held for longer.
///
/// Where the machine was so busy that a lease was over before the next step, nothing is learned, and it is tried again.
async fn lasts_anew(h: &Harness, by: By) -> StoreKey {
    loop {
        let (written, lease) = (record("one"), h.short_lease());
        let key = stored(h.first(), &written).await;
        let taken = Instant::now();
        hold(h.first(), &key, lease).await;
        h.pass(lease.ttl * 3 / 5).await;
        let renewed = Instant::now();
        let is_told = by.renew(h, &key, &written, lease).await;
        let in_time = taken.elapsed() < lease.ttl;
        assert!(is_told || !in_time, "the holder is told that it goes on");
        h.pass(lease.ttl * 3 / 5).await;
        if h.second().acquire(&key, h.long_lease()).await.expect("acquire works") == Acquired::Busy {
            return key;
        }
        assert!(!in_time || renewed.elapsed() >= lease.ttl, "the lease is held");
    }
}

pub(crate) async fn acquiring_again_starts_the_time_anew(h: Harness) {
    lasts_anew(&h, By::Acquire).await;
}

pub(crate) async fn an_expired_lease_is_taken_over(h: Harness) {
    let written = record("written");
    let key = stored(h.first(), &written).await;
    hold(h.first(), &key, h.short_lease()).await;
    h.outlast().await;
    assert_same(&hold(h.second(), &key, h.long_lease()).await, &written);
    assert_busy(h.first(), &key, h.long_lease()).await;
}

pub(crate) async fn a_lapsed_holder_is_busy_once_somebody_followed(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    let lapsed = h.short_lease();
    hold(h.first(), &key, lapsed).await;
    h.outlast().await;
    hold(h.second(), &key, h.long_lease()).await;
    assert_busy(h.first(), &key, lapsed).await;
}

pub(crate) async fn a_lapsed_holder_may_write_over_the_right_version(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    let lapsed = h.short_lease();
    hold(h.first(), &key, lapsed).await;
    h.outlast().await;
    let follower = h.long_lease();
    hold(h.second(), &key, follower).await;
    let two = record("two");
    let end = LeaseEnd::Release(lapsed.token);
    assert_eq!(update_ending(h.first(), &key, one.version, &two, end).await, Updated::Stored);
    assert_same(&load(h.second(), &key).await, &two);
    assert_busy(h.first(), &key, h.long_lease()).await;
}

pub(crate) async fn a_lapsed_holder_with_a_wrong_version_is_stale(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    let lapsed = h.short_lease();
    hold(h.first(), &key, lapsed).await;
    h.outlast().await;
    let follower = h.long_lease();
    hold(h.second(), &key, follower).await;
    let two = record("two");
    let end = LeaseEnd::Release(follower.token);
    assert_eq!(update_ending(h.second(), &key, one.version, &two, end).await, Updated::Stored);
    let end = LeaseEnd::Release(lapsed.token);
    assert_eq!(update_ending(h.first(), &key, one.version, &record("late"), end).await, Updated::Stale);
    assert_same(&load(h.first(), &key).await, &two);
}

pub(crate) async fn a_lease_keeps_nobody_from_reading_writing_and_deleting(h: Harness) {
    let held = leased(&h, "one").await;
    assert_same(&load(h.second(), &held.key).await, &held.record);
    let two = record("two");
    update(h.second(), &held.key, held.record.version, &two).await;
    assert_same(&load(h.first(), &held.key).await, &two);
    assert_busy(h.second(), &held.key, h.long_lease()).await;
    delete(h.second(), &held.key).await;
    assert_missing(h.first(), &held.key).await;
}

pub(crate) async fn release_frees_the_lease(h: Harness) {
    let held = leased(&h, "").await;
    h.first().release(&held.key, held.lease.token).await.expect("release works");
    hold(h.second(), &held.key, h.long_lease()).await;
    assert_busy(h.first(), &held.key, held.lease).await;
}

pub(crate) async fn release_of_a_foreign_token_is_nothing(h: Harness) {
    let held = leased(&h, "").await;
    for store in [h.first(), h.second()] {
        store.release(&held.key, LeaseToken::fresh()).await.expect("release works");
        assert_busy(store, &held.key, h.long_lease()).await;
    }
}

pub(crate) async fn release_of_a_missing_record_is_nothing(h: Harness) {
    let key = key();
    h.first().release(&key, LeaseToken::fresh()).await.expect("release works");
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn renew_starts_the_time_anew(h: Harness) {
    let key = lasts_anew(&h, By::Renew).await;
    h.outlast().await;
    hold(h.second(), &key, h.long_lease()).await;
}

pub(crate) async fn renew_of_a_foreign_token_is_lost(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    hold(h.first(), &key, h.short_lease()).await;
    assert_eq!(h.second().renew(&key, h.long_lease()).await.expect("renew works"), Renewed::Lost);
    // The holder's time was not extended either.
    h.outlast().await;
    hold(h.second(), &key, h.long_lease()).await;
}

pub(crate) async fn renew_of_a_lapsed_lease_is_lost(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    let lease = h.short_lease();
    hold(h.first(), &key, lease).await;
    h.outlast().await;
    assert_eq!(h.first().renew(&key, lease).await.expect("renew works"), Renewed::Lost);
    hold(h.second(), &key, h.long_lease()).await;
    assert_eq!(h.first().renew(&key, lease).await.expect("renew works"), Renewed::Lost);
}

pub(crate) async fn renew_of_a_released_lease_is_lost(h: Harness) {
    let held = leased(&h, "").await;
    h.first().release(&held.key, held.lease.token).await.expect("release works");
    assert_eq!(h.first().renew(&held.key, held.lease).await.expect("renew works"), Renewed::Lost);
    hold(h.second(), &held.key, h.long_lease()).await;
}

pub(crate) async fn renew_of_a_missing_record_is_lost(h: Harness) {
    let key = key();
    assert_eq!(h.first().renew(&key, h.long_lease()).await.expect("renew works"), Renewed::Lost);
    assert_missing(h.second(), &key).await;
}

pub(crate) async fn an_update_releases_the_lease_of_its_writer(h: Harness) {
    let held = leased(&h, "one").await;
    let two = record("two");
    let end = LeaseEnd::Release(held.lease.token);
    assert_eq!(held.update(&h, &two, end).await, Updated::Stored);
    assert_same(&hold(h.second(), &held.key, h.long_lease()).await, &two);
}

pub(crate) async fn an_update_releases_nobody_elses_lease(h: Harness) {
    let held = leased(&h, "one").await;
    let end = LeaseEnd::Release(LeaseToken::fresh());
    assert_eq!(held.update(&h, &record("two"), end).await, Updated::Stored);
    assert_busy(h.second(), &held.key, h.long_lease()).await;
}

pub(crate) async fn an_update_without_a_lease_leaves_it_to_its_holder(h: Harness) {
    let held = leased(&h, "one").await;
    assert_eq!(held.update(&h, &record("two"), LeaseEnd::None).await, Updated::Stored);
    assert_busy(h.second(), &held.key, h.long_lease()).await;
    assert_eq!(h.first().renew(&held.key, held.lease).await.expect("renew works"), Renewed::Extended);
}

pub(crate) async fn an_update_renews_the_lease_of_its_writer(h: Harness) {
    lasts_anew(&h, By::Update).await;
}

pub(crate) async fn an_update_renews_nobody_elses_lease(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    hold(h.first(), &key, h.short_lease()).await;
    let end = LeaseEnd::Renew(h.long_lease());
    assert_eq!(update_ending(h.second(), &key, one.version, &record("two"), end).await, Updated::Stored);
    h.outlast().await;
    hold(h.second(), &key, h.long_lease()).await;
}

pub(crate) async fn an_update_takes_no_lease_for_a_writer_that_held_none(h: Harness) {
    let one = record("one");
    let key = stored(h.first(), &one).await;
    let end = LeaseEnd::Renew(h.long_lease());
    assert_eq!(update_ending(h.first(), &key, one.version, &record("two"), end).await, Updated::Stored);
    hold(h.second(), &key, h.long_lease()).await;
}

pub(crate) async fn a_stale_update_leaves_the_lease_as_it_is(h: Harness) {
    let held = leased(&h, "one").await;
    for end in [LeaseEnd::None, LeaseEnd::Release(held.lease.token), LeaseEnd::Renew(held.lease)] {
        let late = record("late");
        assert_eq!(update_ending(h.first(), &held.key, Version::fresh(), &late, end).await, Updated::Stale);
        assert_busy(h.second(), &held.key, h.long_lease()).await;
    }
}

pub(crate) async fn leases_leave_the_record_and_its_version_alone(h: Harness) {
    let held = leased(&h, "written").await;
    assert_same(&load(h.second(), &held.key).await, &held.record);
    assert_eq!(h.first().renew(&held.key, held.lease).await.expect("renew works"), Renewed::Extended);
    assert_same(&load(h.second(), &held.key).await, &held.record);
    h.first().release(&held.key, held.lease.token).await.expect("release works");
    assert_same(&load(h.second(), &held.key).await, &held.record);
    update(h.second(), &held.key, held.record.version, &record("two")).await;
}

pub(crate) async fn each_record_has_a_lease_of_its_own(h: Harness) {
    let held = leased(&h, "one").await;
    let other = stored(h.first(), &record("other")).await;
    let lease = h.long_lease();
    hold(h.second(), &other, lease).await;
    h.second().release(&other, lease.token).await.expect("release works");
    assert_busy(h.second(), &held.key, h.long_lease()).await;
}

pub(crate) async fn a_deletion_ends_the_lease(h: Harness) {
    let held = leased(&h, "one").await;
    delete(h.second(), &held.key).await;
    create(h.second(), &held.key, &record("new")).await;
    assert_eq!(h.first().renew(&held.key, held.lease).await.expect("renew works"), Renewed::Lost);
    hold(h.second(), &held.key, h.long_lease()).await;
}

pub(crate) async fn a_token_may_be_any_number(h: Harness) {
    for token in [1, i64::MAX as u64, 1 << 63, u64::MAX].map(LeaseToken::from_u64) {
        let key = stored(h.first(), &record("")).await;
        let lease = Lease { token, ..h.long_lease() };
        hold(h.first(), &key, lease).await;
        assert_busy(h.second(), &key, h.long_lease()).await;
        assert_eq!(h.second().renew(&key, lease).await.expect("renew works"), Renewed::Extended);
        h.second().release(&key, token).await.expect("release works");
        hold(h.second(), &key, h.long_lease()).await;
    }
}

/// A record whose lease is held through the first handle.
struct Leased {
    key: StoreKey,
    record: Record,
    lease: Lease,
}

impl Leased {
    async fn update(&self, h: &Harness, record: &Record, end: LeaseEnd) -> Updated {
        update_ending(h.first(), &self.key, self.record.version, record, end).await
    }
}

async fn leased(h: &Harness, payload: &'static str) -> Leased {
    let record = record(payload);
    let key = stored(h.first(), &record).await;
    let lease = h.long_lease();
    hold(h.first(), &key, lease).await;
    Leased { key, record, lease }
}
