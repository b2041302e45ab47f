//! One lock for both sides: `flock` on the file itself.

use std::time::Duration;

use serde_json::json;
use steadfast::store::{Acquired, Deleted, Lease, LeaseEnd, LeaseToken, Renewed, Store, Updated};
use steadfast::{ErrorKind, Layout};

use super::super::peer::id;
use super::fixture::{
    COUNT, LONG, Place, acquire, counting, create, find, hold, key, lease, locks, next, ops, queued, record,
    text, wait_and_hold,
};

const LAYOUTS: [Layout; 3] = [Layout::CodeIgniter4, Layout::CodeIgniter3, Layout::Php];

#[tokio::test]
async fn what_php_holds_is_busy_and_its_end_wakes_us_in_the_kernels_own_queue() {
    for layout in LAYOUTS {
        let (place, id) = (Place::new(layout), id(1));
        let (store, mut php) = (place.store(), place.php());
        create(&store, &id, &counting(1)).await;
        php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
        php.event("waiting").await;
        assert_eq!(acquire(&store, &id, lease()).await, Acquired::Busy);

        let (waiting, waited_for) = (store.clone(), key(&id));
        let released = tokio::spawn(async move { waiting.released(&waited_for, LONG).await });
        queued(&place.file(&id), 1).await;
        php.go_on();
        released.await.unwrap();
        let found = hold(&store, &id, lease()).await;
        assert!(text(&found).ends_with("n|i:2;"), "{}", layout.as_str());
        assert_eq!(php.answer().await.status, 200);
    }
}

#[tokio::test]
async fn php_waits_for_us_and_sees_what_we_wrote() {
    for layout in LAYOUTS {
        let (place, id) = (Place::new(layout), id(1));
        let (store, mut php) = (place.store(), place.php());
        create(&store, &id, &counting(1)).await;
        let lease = lease();
        let found = hold(&store, &id, lease).await;
        let held = locks(&place.file(&id));
        assert!(
            matches!(&held[..], [line] if line.contains("FLOCK  ADVISORY  WRITE")),
            "as recorded: {held:?}"
        );
        php.send(&json!({ "cookie": id, "events": true, "ops": ops(COUNT) }));
        php.event("starting").await;
        queued(&place.file(&id), 1).await;
        let release = LeaseEnd::Release(lease.token);
        let updated = store.update(&key(&id), found.version, &next(&found), release).await.unwrap();
        assert_eq!(updated, Updated::Stored);
        php.event("started").await;
        assert_eq!(php.answer().await.results, [json!(3)]);
        assert!(place.stored(&id).ends_with("n|i:3;"), "{}", layout.as_str());
    }
}

#[tokio::test]
async fn a_lock_is_for_one_lease_whichever_handle_asks() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, other) = (place.store(), place.store());
    create(&store, &id, &counting(1)).await;
    let mine = lease();
    hold(&store, &id, mine).await;
    assert_eq!(acquire(&store, &id, lease()).await, Acquired::Busy);
    assert_eq!(acquire(&other, &id, lease()).await, Acquired::Busy);
    hold(&store, &id, mine).await;
    store.release(&key(&id), LeaseToken::fresh()).await.unwrap();
    assert_eq!(acquire(&other, &id, lease()).await, Acquired::Busy, "somebody else's token frees nothing");
    store.release(&key(&id), mine.token).await.unwrap();
    hold(&other, &id, lease()).await;
}

#[tokio::test]
async fn acquiring_what_is_not_there_makes_nothing() {
    let place = Place::new(Layout::CodeIgniter4);
    assert_eq!(acquire(&place.store(), &id(1), lease()).await, Acquired::Missing);
    assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_won_and_not_taken_goes_back_to_php() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let mine = lease();
    hold(&store, &id, mine).await;
    let (waiting, waited_for) = (place.store(), key(&id));
    let released = tokio::spawn(async move { waiting.released(&waited_for, LONG).await });
    queued(&place.file(&id), 1).await;
    store.release(&key(&id), mine.token).await.unwrap();
    released.await.unwrap();
    assert_eq!(php.results(Some(&id), ops(COUNT)).await, [json!(2)]);
}

#[tokio::test]
async fn whoever_gave_up_waiting_keeps_nobody_out() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let mine = lease();
    hold(&store, &id, mine).await;
    let other = place.store();
    other.released(&key(&id), Duration::from_millis(1)).await;
    store.release(&key(&id), mine.token).await.unwrap();
    assert_eq!(php.results(Some(&id), ops(COUNT)).await, [json!(2)]);
}

#[tokio::test]
async fn a_lock_whose_lease_ran_out_goes_to_php_and_the_late_write_is_stale() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let short = Lease { token: LeaseToken::fresh(), ttl: Duration::from_millis(1) };
    let found = hold(&store, &id, short).await;
    assert_eq!(php.results(Some(&id), ops(COUNT)).await, [json!(2)]);
    assert_eq!(store.renew(&key(&id), short).await.unwrap(), Renewed::Lost);
    let release = LeaseEnd::Release(short.token);
    let late = store.update(&key(&id), found.version, &next(&next(&found)), release).await.unwrap();
    assert_eq!(late, Updated::Stale);
    assert!(place.stored(&id).ends_with("n|i:2;"));
}

#[tokio::test]
async fn a_renewed_lease_goes_on_and_a_write_may_renew_it() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let store = place.store();
    create(&store, &id, &counting(1)).await;
    let mine = lease();
    let found = hold(&store, &id, mine).await;
    assert_eq!(store.renew(&key(&id), mine).await.unwrap(), Renewed::Extended);
    let renew = LeaseEnd::Renew(mine);
    assert_eq!(store.update(&key(&id), found.version, &next(&found), renew).await.unwrap(), Updated::Stored);
    assert_eq!(acquire(&place.store(), &id, lease()).await, Acquired::Busy);
}

#[tokio::test]
async fn without_a_lease_a_write_takes_phps_lock_and_waits_no_longer_than_it_may() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let found = find(&store, &id).await.unwrap();
    php.send(&json!({ "cookie": id, "ops": [{ "op": "wait" }] }));
    php.event("waiting").await;
    let impatient = place.options(Duration::from_millis(50)).open(place.save_path()).unwrap();
    let refused = impatient.update(&key(&id), found.version, &next(&found), LeaseEnd::None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(impatient.delete(&key(&id), None).await.unwrap_err().kind(), ErrorKind::Busy);

    let (waiting, changed) = (store.clone(), next(&found));
    let stored = key(&id);
    let updated = tokio::spawn(async move {
        waiting.update(&stored, found.version, &changed, LeaseEnd::None).await.unwrap()
    });
    // The impatient one's thread is in the queue as well, until PHP lets go.
    queued(&place.file(&id), 2).await;
    php.go_on();
    assert_eq!(php.answer().await.status, 200);
    assert_eq!(updated.await.unwrap(), Updated::Stored);
    assert!(place.stored(&id).ends_with("n|i:2;"));
}

#[tokio::test]
async fn a_sign_out_in_php_while_we_wait_is_missing_and_nothing_comes_back() {
    let place = Place::new(Layout::CodeIgniter4);
    let (store, mut php) = (place.store(), place.php());
    // PHP lets go of the lock before it deletes, so each round may go either way.
    for round in 1..=20 {
        let id = id(round);
        create(&store, &id, &counting(1)).await;
        php.send(&json!({ "cookie": id, "ops": [{ "op": "wait" }, { "op": "destroy" }] }));
        php.event("waiting").await;
        let waiting = store.clone();
        let waited_for = id.clone();
        let waiter = tokio::spawn(async move {
            let mine = lease();
            (mine, wait_and_hold(&waiting, &waited_for, mine).await)
        });
        queued(&place.file(&id), 1).await;
        php.go_on();
        assert_eq!(php.answer().await.status, 200);
        let (mine, found) = waiter.await.unwrap();
        if let Some(found) = found {
            let release = LeaseEnd::Release(mine.token);
            let late = store.update(&key(&id), found.version, &next(&found), release).await.unwrap();
            assert_eq!(late, Updated::Missing);
        }
        assert_eq!(find(&store, &id).await, None);
        assert!(!place.file(&id).exists());
    }
}

#[tokio::test]
async fn what_phps_collection_deletes_under_our_lock_stays_deleted() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let store = place.store();
    create(&store, &id, &counting(1)).await;
    for by_renewal in [true, false] {
        let _ = store.create(&key(&id), &counting(1)).await.unwrap();
        let mine = lease();
        let found = hold(&store, &id, mine).await;
        std::fs::remove_file(place.file(&id)).unwrap();
        if by_renewal {
            assert_eq!(store.renew(&key(&id), mine).await.unwrap(), Renewed::Lost);
        }
        let release = LeaseEnd::Release(mine.token);
        let late = store.update(&key(&id), found.version, &next(&found), release).await.unwrap();
        assert_eq!(late, Updated::Missing);
        assert!(!place.file(&id).exists());
    }
}

#[tokio::test]
async fn a_session_that_php_makes_again_is_another_one_for_whoever_held_the_first() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &record("first|b:1;")).await;
    let mine = lease();
    let found = hold(&store, &id, mine).await;
    std::fs::remove_file(place.file(&id)).unwrap();
    assert_eq!(php.results(Some(&id), ops(COUNT)).await, [json!(1)], "CodeIgniter 4 adopts the id");
    let release = LeaseEnd::Release(mine.token);
    let late = store.update(&key(&id), found.version, &record("mine|b:1;"), release).await.unwrap();
    assert_eq!(late, Updated::Missing);
    assert!(place.stored(&id).ends_with("n|i:1;"));
    assert_eq!(store.delete(&key(&id), Some(found.version)).await.unwrap(), Deleted::Stale);
}

#[tokio::test]
async fn a_view_waits_for_nobody() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    php.event("waiting").await;
    let seen = find(&store, &id).await.unwrap();
    assert!(text(&seen).ends_with("n|i:1;"), "PHP writes at the end of its request");
    php.go_on();
    php.answer().await;
    assert!(text(&find(&store, &id).await.unwrap()).ends_with("n|i:2;"));
}

#[tokio::test]
async fn more_waiters_than_there_are_threads_for_get_their_turn_too() {
    let place = Place::new(Layout::CodeIgniter4);
    let (holder, waiting) = (place.store(), place.store());
    let sessions: Vec<_> = (0..65).map(|number| (id(number), lease())).collect();
    for (id, lease) in &sessions {
        create(&holder, id, &counting(1)).await;
        hold(&holder, id, *lease).await;
    }
    let wait = |id: &str| {
        let (waiting, key) = (waiting.clone(), key(id));
        tokio::spawn(async move { waiting.released(&key, LONG).await })
    };
    let (last, others) = sessions.split_last().unwrap();
    let others: Vec<_> = others.iter().map(|(id, _)| wait(id)).collect();
    for (id, _) in &sessions[..others.len()] {
        queued(&place.file(id), 1).await;
    }
    let polling = wait(&last.0);
    assert!(locks(&place.file(&last.0)).iter().all(|line| !line.contains("->")), "it has no thread");
    holder.release(&key(&last.0), last.1.token).await.unwrap();
    polling.await.unwrap();
    hold(&waiting, &last.0, lease()).await;
    drop(holder);
    for other in others {
        other.await.unwrap();
    }
}
