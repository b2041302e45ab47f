//! Purging, counting and listing.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::json;
use steadfast::store::{SharedName, Store};
use steadfast::{Clock, ErrorKind, Layout, SystemClock};

use super::super::peer::id;
use super::fixture::{LIFETIME, Place, counting, create, hold, key, lease, record};

const MANY: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// An id of CodeIgniter before 4.6, on a host with Debian's settings.
const OLD_ID: &str = "1f5o06b43phsnnf8if6bo33b635e4p2o";

fn names(place: &Place) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place.dir()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Fills a directory with sessions that are over, sessions that are not, and what is neither.
async fn fill(place: &Place) {
    let store = place.store();
    for (number, age) in [(1, LIFETIME), (2, LIFETIME * 100), (3, LIFETIME - Duration::from_secs(60))] {
        let mut stored = counting(1);
        stored.expires_at = SystemClock.now() + LIFETIME - age;
        create(&store, &id(number), &stored).await;
    }
    for other in ["index.html", "ci_sessionshort", "sess_other"] {
        let path = place.dir().join(other);
        std::fs::write(&path, "").unwrap();
        let long_ago = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        std::fs::File::options().write(true).open(path).unwrap().set_times(long_ago).unwrap();
    }
}

#[tokio::test]
async fn a_purge_removes_what_phps_collection_removes() {
    let (ours, theirs) = (Place::new(Layout::CodeIgniter4), Place::new(Layout::CodeIgniter4));
    fill(&ours).await;
    fill(&theirs).await;
    let collected = theirs.php().run(json!({ "cookie": id(3), "ops": [{ "op": "gc" }] })).await;
    assert_eq!(collected.results, [json!(2)]);
    assert_eq!(ours.store().purge(MANY).await.unwrap(), 2);
    assert_eq!(names(&ours), names(&theirs));
}

#[tokio::test]
async fn a_purge_knows_ids_of_all_ages_and_leaves_what_is_worked_on() {
    let place = Place::new(Layout::CodeIgniter4);
    let (store, mut php) = (place.store(), place.php());
    let mut over = counting(1);
    over.expires_at = SystemClock.now() - Duration::from_secs(1);
    for id in [OLD_ID, &id(1), &id(2)] {
        create(&store, id, &over).await;
    }
    let holder = place.store();
    let mine = lease();
    hold(&holder, &id(1), mine).await;
    php.send(&json!({ "cookie": id(2), "ops": [{ "op": "set", "key": "n", "value": 2 }, { "op": "wait" }] }));
    php.event("waiting").await;
    assert_eq!(store.purge(MANY).await.unwrap(), 1);
    assert!(!place.file(OLD_ID).exists() && place.file(&id(1)).exists() && place.file(&id(2)).exists());
    holder.release(&key(&id(1)), mine.token).await.unwrap();
    php.go_on();
    php.answer().await;
    assert_eq!(store.purge(MANY).await.unwrap(), 1, "what PHP used meanwhile stays");
    assert_eq!(names(&place), BTreeSet::from([format!("ci_session{}", id(2))]));
}

#[tokio::test]
async fn a_purge_does_bounded_work_and_goes_on_where_it_stopped() {
    let place = Place::new(Layout::CodeIgniter4);
    let store = place.store();
    let mut over = counting(1);
    over.expires_at = SystemClock.now() - Duration::from_secs(1);
    for number in 0..5 {
        create(&store, &id(number), &over).await;
    }
    let mut left = Vec::new();
    for _ in 0..3 {
        assert!(store.purge(TWO).await.unwrap() <= 2);
        left.push(names(&place).len());
    }
    assert_eq!(left, [3, 1, 0]);
}

#[tokio::test]
async fn leftovers_of_a_crash_and_old_damage_go_too() {
    let place = Place::new(Layout::CodeIgniter4);
    let store = place.store();
    let aged = |name: String, age: Duration| {
        let path = place.dir().join(name);
        std::fs::write(&path, "x").unwrap();
        let at = std::time::SystemTime::now() - age;
        let times = std::fs::FileTimes::new().set_modified(at);
        std::fs::File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    };
    aged(format!(".ci_session{}.0123456789abcdef.new", id(1)), LIFETIME * 2);
    aged(format!(".ci_session{}.damaged", id(1)), Duration::from_secs(31 * 86_400));
    let kept = format!(".ci_session{}.damaged", id(2));
    aged(kept.clone(), Duration::from_secs(29 * 86_400));
    assert_eq!(store.purge(MANY).await.unwrap(), 0, "none of them is a record");
    assert_eq!(names(&place), BTreeSet::from([kept]));
}

#[tokio::test]
async fn pages_list_every_session_once_with_its_name() {
    let place = Place::new(Layout::CodeIgniter4);
    let store = place.store();
    let mut ids: BTreeSet<String> = (0..7).map(id).collect();
    ids.insert(OLD_ID.to_owned());
    for id in &ids {
        create(&store, id, &record(id.as_bytes())).await;
    }
    std::fs::write(place.dir().join("index.html"), "").unwrap();
    std::os::unix::fs::symlink("elsewhere", place.file(&id(99))).unwrap();
    let (mut seen, mut after) = (BTreeSet::new(), None);
    loop {
        let page = store.page(after.as_ref(), TWO).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2 && after.is_none_or(|after| page[0].key > after));
        after = Some(last.key);
        for listed in page {
            let name = listed.key.shared().unwrap().id().to_owned();
            assert_eq!(listed.record.payload, name.as_bytes());
            assert!(seen.insert(name), "listed once");
        }
    }
    assert_eq!(seen, ids);
    assert_eq!(store.count().await.unwrap(), 9, "a count opens nothing, so it counts the link");
}

#[tokio::test]
async fn with_addresses_in_their_names_sessions_are_counted_and_purged_but_not_listed() {
    let place = Place::new(Layout::CodeIgniter4);
    let store = place.options(Duration::ZERO).match_ip(true).open(place.save_path()).unwrap();
    let named = SharedName::new(id(1).as_bytes(), Some("127.0.0.1".parse().unwrap())).unwrap();
    let mut over = counting(1);
    over.expires_at = SystemClock.now() - Duration::from_secs(1);
    let _ = store.create(&named.key(), &over).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1);
    assert_eq!(store.page(None, TWO).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(store.purge(MANY).await.unwrap(), 1);
}
