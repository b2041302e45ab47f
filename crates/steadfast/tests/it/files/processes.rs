//! Several processes on one directory.

use std::path::Path;
use std::time::Duration;

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
