//! Several processes on one directory.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use steadfast::ErrorKind;
use steadfast::store::files::FilesStore;
use steadfast::store::{Acquired, Lease, LeaseEnd, LeaseToken, Store, Updated};

use super::fixture::{self, key, number, numbered};

const PROCESSES: u64 = 2;
const INCREMENTS: u64 = 1_000;

/// Lets processes count up one record together, each by `increment`, and checks the sum.
fn check_sum(test: &str, increment: &impl AsyncFn(&FilesStore)) {
    if let Some(dir) = fixture::child_dir() {
        return fixture::block_on(async {
            let store = FilesStore::open(&dir).expect("it opens");
            for _ in 0..INCREMENTS {
                increment(&store).await;
            }
        });
    }
    let (_temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    fixture::block_on(fixture::create(&store, &key(1), &numbered(0)));
    run_together(test, &dir);
    let counted = number(&fixture::block_on(fixture::find(&store, &key(1))));
    assert_eq!(counted, PROCESSES * INCREMENTS);
}

fn run_together(test: &str, dir: &Path) {
    let start = |_| fixture::child(test, dir).spawn().expect("a child starts");
    let mut children: Vec<_> = (0..PROCESSES).map(start).collect();
    for child in &mut children {
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn conditional_increments_of_two_processes_are_all_counted() {
    let test = "files::processes::conditional_increments_of_two_processes_are_all_counted";
    check_sum(test, &async |store: &FilesStore| {
        loop {
            let found = fixture::find(store, &key(1)).await;
            let next = numbered(number(&found) + 1);
            if fixture::update(store, &key(1), found.version, &next).await == Updated::Stored {
                break;
            }
        }
    });
}

#[test]
fn increments_under_a_lease_never_meet_a_stale_version() {
    let test = "files::processes::increments_under_a_lease_never_meet_a_stale_version";
    check_sum(test, &async |store: &FilesStore| {
        let lease = Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(30) };
        let found = loop {
            match store.acquire(&key(1), lease).await.expect("acquire works") {
                Acquired::Held(found) => break found.record,
                Acquired::Busy => store.released(&key(1), Duration::from_secs(1)).await,
                Acquired::Missing => panic!("the record is there"),
            }
        };
        let next = numbered(number(&found) + 1);
        let release = LeaseEnd::Release(lease.token);
        let updated = store.update(&key(1), found.version, &next, release).await.expect("update works");
        assert_eq!(updated, Updated::Stored);
    });
}

#[test]
fn a_reader_beside_a_writer_never_sees_a_torn_record_or_the_past() {
    let test = "files::processes::a_reader_beside_a_writer_never_sees_a_torn_record_or_the_past";
    if let Some(dir) = fixture::child_dir() {
        return fixture::block_on(async {
            let store = FilesStore::open(&dir).expect("it opens");
            let mut found = fixture::find(&store, &key(1)).await;
            for next in 1..=4 * INCREMENTS {
                let record = numbered(next);
                let updated = fixture::update(&store, &key(1), found.version, &record).await;
                assert_eq!(updated, Updated::Stored);
                found = record;
            }
        });
    }
    let (_temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    fixture::block_on(async {
        fixture::create(&store, &key(1), &numbered(0)).await;
        let mut writer = fixture::child(test, &dir).spawn().expect("a child starts");
        let mut seen = 0;
        while writer.try_wait().expect("it can be asked").is_none() {
            let now = number(&fixture::find(&store, &key(1)).await);
            assert!(now >= seen, "{now} was read after {seen}");
            seen = now;
        }
        assert!(writer.wait().expect("it has ended").success());
        assert_eq!(number(&fixture::find(&store, &key(1)).await), 4 * INCREMENTS);
    });
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_process_never_lets_go_of_ends_in_a_time_out() {
    let (_temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    fixture::create(&store, &key(1), &numbered(1)).await;
    // A lock belongs to an opened file, so this one is as foreign as another process's.
    let file = File::open(fixture::file_of(&dir, &key(1))).expect("it opens");
    file.try_lock().expect("nobody else has it");
    let touched = store.touch(&key(1), fixture::LATER).await;
    assert_eq!(touched.expect_err("it is locked").kind(), ErrorKind::TimedOut);
    assert_eq!(number(&fixture::find(&store, &key(1)).await), 1, "a reader needs no lock");
}
