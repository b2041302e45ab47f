//! Many at once, through two handles.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Barrier, Notify};
use tokio::task::yield_now;

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_missing, assert_same, count, delete, key, load, promptly, record, record_of, stored, update,
    update_ending, user, users_keys,
};
use crate::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Loaded, Predecessor, Record, Replaced,
    SharedStore, Store, StoreKey, Updated,
};

/// How many take part in a race.
const RUNNERS: usize = 64;

pub(crate) async fn of_many_writers_one_wins_each_version(h: Harness) {
    let mut last = record("start");
    let key = stored(h.first(), &last).await;
    for _ in 0..4 {
        let seen = last.version;
        let outcomes = race(&h, move |store| async move {
            let next = record("next");
            (update_ending(&store, &key, seen, &next, LeaseEnd::None).await, next)
        })
        .await;
        let lost = outcomes.iter().filter(|(updated, _)| *updated == Updated::Stale).count();
        assert_eq!(lost, RUNNERS - 1, "all but one of {RUNNERS} writers are stale");
        last = winner(outcomes, |updated| *updated == Updated::Stored);
        assert_same(&load(h.second(), &key).await, &last);
    }
}

pub(crate) async fn of_many_that_acquire_one_holds_the_lease(h: Harness) {
    let key = stored(h.first(), &record("")).await;
    let ttl = h.long_lease().ttl;
    let outcomes = race(&h, move |store| async move {
        let lease = Lease { token: LeaseToken::fresh(), ttl };
        store.acquire(&key, lease).await.expect("acquire works")
    })
    .await;
    let held = outcomes.iter().filter(|acquired| matches!(acquired, Acquired::Held(_))).count();
    let busy = outcomes.iter().filter(|acquired| matches!(acquired, Acquired::Busy)).count();
    assert_eq!((held, busy), (1, RUNNERS - 1), "one holds the lease and the others are told so");
}

pub(crate) async fn of_many_that_create_one_is_stored(h: Harness) {
    let key = key();
    let outcomes = race(&h, move |store| async move {
        let record = record("mine");
        (store.create(&key, &record).await.expect("create works"), record)
    })
    .await;
    let lost = outcomes.iter().filter(|(created, _)| *created == Created::IdTaken).count();
    assert_eq!(lost, RUNNERS - 1, "all but one of {RUNNERS} keys are taken");
    let written = winner(outcomes, |created| *created == Created::Stored);
    assert_same(&load(h.second(), &key).await, &written);
}

pub(crate) async fn of_many_replacements_one_is_stored(h: Harness) {
    let user = user();
    let old = record_of(user, "old");
    let (old_key, seen) = (stored(h.first(), &old).await, old.version);
    let outcomes = race(&h, move |store| async move {
        let (new_key, new) = (key(), record_of(user, "new"));
        let replaced = store.replace(&old_key, seen, Predecessor::Delete, &new_key, &new).await;
        (replaced.expect("replace works"), new_key)
    })
    .await;
    let new_key = winner(outcomes, |replaced| *replaced == Replaced::Stored);
    assert_eq!(count(h.first()).await, 1, "nothing is left of the others");
    assert_eq!(users_keys(h.second(), &user).await, [new_key]);
    assert_missing(h.first(), &old_key).await;
}

pub(crate) async fn a_counter_under_leases_counts_every_increment(h: Harness) {
    const EACH: usize = 4;
    let key = stored(h.first(), &record("0")).await;
    let lease = h.long_lease();
    promptly(
        "every turn",
        race(&h, move |store| async move {
            for _ in 0..EACH {
                let lease = Lease { token: LeaseToken::fresh(), ..lease };
                increment(&store, &key, lease).await;
            }
        }),
    )
    .await;
    assert!(load(h.first(), &key).await.payload == (EACH * RUNNERS).to_string(), "every increment is there");
}

async fn increment(store: &SharedStore, key: &StoreKey, lease: Lease) {
    loop {
        match store.acquire(key, lease).await.expect("acquire works") {
            Acquired::Held(found) => {
                let next = record((number(&found.record) + 1).to_string());
                let end = LeaseEnd::Release(lease.token);
                let updated = update_ending(store, key, found.record.version, &next, end).await;
                assert_eq!(updated, Updated::Stored, "nobody else writes while the lease is held");
                return;
            }
            Acquired::Busy => store.released(key, Duration::from_secs(1)).await,
            Acquired::Missing => panic!("the record is there"),
        }
    }
}

fn number(record: &Record) -> usize {
    str::from_utf8(&record.payload).expect("digits are UTF-8").parse().expect("the payload is a number")
}

pub(crate) async fn no_writer_revives_what_is_deleted_meanwhile(h: Harness) {
    let key = stored(h.first(), &record("start")).await;
    let under_way = Arc::new(Notify::new());
    let writing = Arc::clone(&under_way);
    let writers = race(&h, move |store| {
        let writing = Arc::clone(&writing);
        async move {
            while let Loaded::Found(found) = store.load(&key).await.expect("load works") {
                let next = record("again");
                match update_ending(&store, &key, found.record.version, &next, LeaseEnd::None).await {
                    Updated::Stored => writing.notify_one(),
                    Updated::Stale | Updated::Missing => {}
                }
                // A store that never waits would keep the deletion from its turn.
                yield_now().await;
            }
        }
    });
    let other = h.second().clone();
    let deletion = tokio::spawn(async move {
        under_way.notified().await;
        delete(&other, &key).await;
    });
    promptly("every writer's notice", writers).await;
    deletion.await.expect("the record is there to be deleted");
    assert_missing(h.first(), &key).await;
    assert_missing(h.second(), &key).await;
    assert_eq!(count(h.first()).await, 0);
}

pub(crate) async fn a_reader_sees_the_old_record_or_the_new_one(h: Harness) {
    const WRITES: u8 = 100;
    // Large enough that it can't be written at one go, and of one byte each, so that a mixture shows.
    let payload = |n: u8| Bytes::from(vec![n; 20_000 + usize::from(n) * 37]);
    let mut last = record(payload(0));
    let key = stored(h.first(), &last).await;
    let whole = move |record: &Record| {
        let n = record.payload[0];
        record.payload == payload(n)
    };
    let readers: Vec<_> = [h.first(), h.second(), h.second(), h.first()]
        .map(|store| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    let record = load(&store, &key).await;
                    assert!(whole(&record), "a reader sees a whole payload");
                    if record.payload[0] == WRITES {
                        return;
                    }
                    yield_now().await;
                }
            })
        })
        .into();
    for n in 1..=WRITES {
        let next = record(payload(n));
        update(h.first(), &key, last.version, &next).await;
        last = next;
    }
    for reader in readers {
        promptly("the last write's arrival", reader).await.expect("every reader sees whole records");
    }
}

pub(crate) async fn of_a_deletion_and_an_update_one_wins(h: Harness) {
    for turn in 0..16 {
        let seen = record("seen");
        let key = stored(h.first(), &seen).await;
        let next = record("next");
        let delete = h.first().delete(&key, Some(seen.version));
        let update = h.second().update(&key, seen.version, &next, LeaseEnd::None);
        // Each is polled first as often as the other.
        let (deleted, updated) = if turn % 2 == 0 {
            tokio::join!(delete, update)
        } else {
            let (updated, deleted) = tokio::join!(update, delete);
            (deleted, updated)
        };
        match (deleted.expect("delete works"), updated.expect("update works")) {
            (Deleted::Gone, Updated::Missing) => assert_missing(h.second(), &key).await,
            (Deleted::Stale, Updated::Stored) => assert_same(&load(h.first(), &key).await, &next),
            both => panic!("one of them wins, and the other is told so: {both:?}"),
        }
    }
}

/// Lets many do the same at once, half of them through each handle.
async fn race<T, F>(h: &Harness, run: impl Fn(SharedStore) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RUNNERS));
    let runners: Vec<_> = (0..RUNNERS)
        .map(|n| {
            let (start, store) = (Arc::clone(&start), if n % 2 == 0 { h.first() } else { h.second() });
            let run = run(store.clone());
            tokio::spawn(async move {
                start.wait().await;
                run.await
            })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(RUNNERS);
    for runner in runners {
        outcomes.push(runner.await.expect("no runner panics"));
    }
    outcomes
}

/// Returns what the only winner of a race has.
fn winner<O, T>(outcomes: Vec<(O, T)>, won: impl Fn(&O) -> bool) -> T {
    let mut winners = outcomes.into_iter().filter(|(outcome, _)| won(outcome));
    let (_, winner) = winners.next().expect("one of them wins");
    assert!(winners.next().is_none(), "only one of them wins");
    winner
}
