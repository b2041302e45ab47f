//! Counts of one session by PHP and Rust together.

use serde_json::json;
use steadfast::Layout;
use steadfast::store::files::Io;
use steadfast::store::php::files::PhpFiles;
use steadfast::store::{LeaseEnd, Store, Updated};

use super::super::peer::{Peer, id};
use super::fixture::{LOCK_WAIT, Place, counting, create, find, key, lease, next, text, wait_and_hold};

const PHP: u64 = 3;
const RUST: u64 = 3;
const EACH: u64 = 40;
/// How many turns of PHP may come before ours. The kernel keeps the lock for nobody, so it is chance who of those that
/// wait has it next; fifty turns lost in a row against three are no chance.
const UNFAIR: u64 = 50;

fn count(payload: &str) -> u64 {
    payload.rsplit_once("n|i:").unwrap().1.trim_end_matches(';').parse().unwrap()
}

async fn count_in_php(mut php: Peer, id: String) {
    for _ in 0..EACH {
        php.results(Some(&id), json!([{ "op": "incr", "key": "n", "sleep_ms": 1 }])).await;
    }
}

/// Counts, and returns how many turns of others the longest wait took.
async fn count_in_rust(store: PhpFiles, id: String) -> u64 {
    let mut longest = 0;
    for _ in 0..EACH {
        let before = count(&text(&find(&store, &id).await.unwrap()));
        let lease = lease();
        let found = wait_and_hold(&store, &id, lease).await.unwrap();
        longest = longest.max(count(&text(&found)) - before);
        let release = LeaseEnd::Release(lease.token);
        let updated = store.update(&key(&id), found.version, &next(&found), release).await.unwrap();
        assert_eq!(updated, Updated::Stored, "nobody writes under our lock");
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact() {
    for layout in [Layout::CodeIgniter4, Layout::Php] {
        let (place, id) = (Place::new(layout), id(1));
        let pooled = place.options(LOCK_WAIT).io(Io::Pool).open(place.save_path()).unwrap();
        let handles = [place.store(), pooled];
        create(&handles[0], &id, &counting(0)).await;
        let php: Vec<_> = (0..PHP).map(|_| tokio::spawn(count_in_php(place.php(), id.clone()))).collect();
        let rust: Vec<_> = (0..RUST as usize)
            .map(|n| tokio::spawn(count_in_rust(handles[n % 2].clone(), id.clone())))
            .collect();
        for task in rust {
            task.await.unwrap();
        }
        for task in php {
            task.await.unwrap();
        }
        assert_eq!(count(&place.stored(&id)), (PHP + RUST) * EACH, "{}", layout.as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phps_processes_do_not_starve_us() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let store = place.store();
    create(&store, &id, &counting(0)).await;
    let php: Vec<_> = (0..PHP).map(|_| tokio::spawn(count_in_php(place.php(), id.clone()))).collect();
    let longest = count_in_rust(store, id).await;
    assert!(longest <= UNFAIR, "PHP had {longest} turns");
    for task in php {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_ours_that_never_pauses_does_not_starve_php() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(0)).await;
    let busy = tokio::spawn({
        let id = id.clone();
        async move {
            loop {
                count_in_rust(store.clone(), id.clone()).await;
            }
        }
    });
    for _ in 0..EACH {
        php.results(Some(&id), json!([{ "op": "incr", "key": "n" }])).await;
    }
    busy.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_without_a_lease_are_counted_too() {
    let (place, id) = (Place::new(Layout::CodeIgniter4), id(1));
    let (store, php) = (place.store(), place.php());
    create(&store, &id, &counting(0)).await;
    let php = tokio::spawn(count_in_php(php, id.clone()));
    let mut done = 0;
    while done < EACH {
        let found = find(&store, &id).await.unwrap();
        match store.update(&key(&id), found.version, &next(&found), LeaseEnd::None).await.unwrap() {
            Updated::Stored => done += 1,
            Updated::Stale => {}
            Updated::Missing => panic!("nobody deletes it"),
        }
    }
    php.await.unwrap();
    assert_eq!(count(&place.stored(&id)), 2 * EACH);
}
