//! `kill -9` in the middle of the work.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use steadfast::store::files::FilesStore;
use steadfast::store::{Acquired, Lease, LeaseToken, Store, Touched, Updated};
use steadfast::testing::ManualClock;

use super::fixture::{self, LATER, key, number, numbered};

const RECORDS: u8 = 16;
/// Of records that come and go.
const GUEST: u8 = 100;
const ROUNDS: usize = 10;
const COMMITS_PER_ROUND: usize = 110;

#[test]
fn a_process_killed_during_a_thousand_commits_leaves_every_record_old_or_new() {
    if let Some(dir) = fixture::child_dir() {
        return fixture::block_on(commit_forever(&dir));
    }
    let (_temp, dir) = fixture::directory();
    fixture::block_on(async {
        let store = FilesStore::open(&dir).expect("it opens");
        for record in 0..RECORDS {
            fixture::create(&store, &key(record), &numbered(0)).await;
        }
    });
    let mut acknowledged = [0; RECORDS as usize];
    for round in 0..ROUNDS {
        kill_after(COMMITS_PER_ROUND + round, &dir, &mut acknowledged);
        fixture::block_on(check_all(&dir, &mut acknowledged));
    }
}

/// Starts a child, kills it when it has acknowledged so many commits, and notes them all.
fn kill_after(commits: usize, dir: &Path, acknowledged: &mut [u64]) {
    let test = "files::crash::a_process_killed_during_a_thousand_commits_leaves_every_record_old_or_new";
    let mut child = fixture::child(test, dir).stdout(Stdio::piped()).spawn().expect("a child starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut seen = 0;
    for line in lines {
        let Some(commit) = line.strip_prefix("committed ") else { continue };
        let (record, number) = commit.split_once(' ').expect("two numbers");
        // The last line may be cut. What it would say is checked as a commit of unknown effect.
        if let (Ok(record), Ok(number)) = (record.parse::<usize>(), number.parse()) {
            acknowledged[record] = number;
        }
        seen += 1;
        if seen == commits {
            child.kill().expect("it can be killed");
        }
    }
    let status = child.wait().expect("it has ended");
    assert!(!status.success() && seen >= commits, "killed after {seen} commits: {status}");
}

async fn check_all(dir: &Path, acknowledged: &mut [u64]) {
    let store = FilesStore::open(dir).expect("it opens");
    for (record, acknowledged) in acknowledged.iter_mut().enumerate() {
        let found = number(&fixture::find(&store, &key(u8::try_from(record).expect("few records"))).await);
        assert!(
            found == *acknowledged || found == *acknowledged + 1,
            "the record has {found} after {acknowledged} was acknowledged"
        );
        *acknowledged = found;
    }
    let all = store.page(None, NonZeroUsize::MAX).await.expect("page works");
    assert_eq!(all.len() as u64, store.count().await.expect("count works"), "none is damaged");
    all.iter().for_each(|listed| assert!(number(&listed.record) < u64::MAX));
    store.purge(NonZeroUsize::MAX).await.expect("purge works");
    assert_eq!(unborn_files(dir), 0, "the purge has cleared what was begun");
}

async fn commit_forever(dir: &Path) {
    let store = FilesStore::open(dir).expect("it opens");
    let mut out = std::io::stdout();
    for turn in 0.. {
        let record = key(turn % RECORDS);
        let found = fixture::find(&store, &record).await;
        let next = number(&found) + 1;
        assert_eq!(fixture::update(&store, &record, found.version, &numbered(next)).await, Updated::Stored);
        writeln!(out, "committed {} {next}", turn % RECORDS).expect("the parent reads");
        assert_eq!(store.touch(&record, LATER).await.expect("touch works"), Touched::Moved);
        come_and_go(&store, turn).await;
    }
}

/// Deletes a record that an earlier life of this process may have left, and makes it anew.
async fn come_and_go(store: &FilesStore, turn: u8) {
    let guest = key(GUEST + turn % RECORDS);
    let _ = store.delete(&guest, None).await.expect("delete works");
    fixture::create(store, &guest, &numbered(turn.into())).await;
}

fn unborn_files(dir: &Path) -> usize {
    let records = std::fs::read_dir(dir.join("records")).expect("it can be listed");
    let files =
        records.flat_map(|sub| std::fs::read_dir(sub.expect("an entry").path()).expect("a directory"));
    files.filter(|file| file.as_ref().expect("an entry").file_name().as_encoded_bytes()[0] == b'.').count()
}

#[test]
fn the_lease_of_a_killed_process_ends_by_its_time() {
    let lease = Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(10) };
    let clock = ManualClock::new();
    let open = |dir: &Path| FilesStore::options().clock(Arc::new(clock.clone())).open(dir).expect("it opens");
    if let Some(dir) = fixture::child_dir() {
        return fixture::block_on(async {
            let held = open(&dir).acquire(&key(1), lease).await.expect("acquire works");
            assert!(matches!(held, Acquired::Held(_)));
            writeln!(std::io::stdout(), "held").expect("the parent reads");
            std::future::pending::<()>().await;
        });
    }
    let (_temp, dir) = fixture::directory();
    fixture::block_on(async {
        let store = open(&dir);
        fixture::create(&store, &key(1), &numbered(1)).await;
        kill_when_held(&dir);
        assert_eq!(store.acquire(&key(1), lease).await.expect("acquire works"), Acquired::Busy);
        clock.advance(lease.ttl);
        let held = store.acquire(&key(1), lease).await.expect("acquire works");
        assert!(matches!(held, Acquired::Held(_)));
    });
}

fn kill_when_held(dir: &Path) {
    let test = "files::crash::the_lease_of_a_killed_process_ends_by_its_time";
    let mut child = fixture::child(test, dir).stdout(Stdio::piped()).spawn().expect("a child starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("held")), "the child holds the lease");
    child.kill().expect("it can be killed");
    child.wait().expect("it has ended");
}
