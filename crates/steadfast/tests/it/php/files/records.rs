//! What is written, and when it counts.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use steadfast::store::{
    Acquired, Created, Deleted, LeaseEnd, Loaded, Predecessor, Replaced, Store, StoreKey, Touched, Updated,
    UserKey, Version,
};
use steadfast::{Clock, ErrorKind, Layout, SystemClock};

use super::super::peer::id;
use super::fixture::{
    LIFETIME, Place, acquire, counting, create, find, hold, key, lease, next, record, text,
};

fn ci4() -> (Place, String) {
    (Place::new(Layout::CodeIgniter4), id(1))
}

#[tokio::test]
async fn php_goes_on_with_a_session_that_rust_began() {
    let (place, id) = ci4();
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let mode = std::fs::metadata(place.file(&id)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(php.results(Some(&id), json!([{ "op": "get", "key": "n" }])).await, [json!(1)]);
    assert_eq!(store.create(&key(&id), &counting(9)).await.unwrap(), Created::IdTaken);
    assert!(text(&find(&store, &id).await.unwrap()).ends_with("n|i:1;"));
}

#[tokio::test]
async fn an_empty_session_is_a_session() {
    let (place, id) = ci4();
    let store = place.store();
    create(&store, &id, &record("")).await;
    assert_eq!(hold(&store, &id, lease()).await.payload, "");
    let held = place.store();
    assert_eq!(find(&held, &id).await.unwrap().version, Version::of_content(b""));
}

#[tokio::test]
async fn a_session_ends_so_long_after_its_last_use() {
    let (place, id) = ci4();
    let (store, mut php) = (place.store(), place.php());
    let stored = counting(1);
    create(&store, &id, &stored).await;
    let used_at = || std::fs::metadata(place.file(&id)).unwrap().modified().unwrap();
    let first = UNIX_EPOCH + Duration::from_micros((stored.expires_at - LIFETIME).as_micros());
    assert_eq!(used_at(), first);
    assert_eq!(find(&store, &id).await.unwrap().expires_at, stored.expires_at);

    let earlier = stored.expires_at - Duration::from_secs(600);
    php.send(&json!({ "cookie": id, "ops": [{ "op": "set", "key": "n", "value": 1 }, { "op": "wait" }] }));
    php.event("waiting").await;
    assert_eq!(store.touch(&key(&id), earlier).await.unwrap(), Touched::Moved, "while PHP holds the lock");
    let found = find(&store, &id).await.unwrap();
    assert_eq!((found.expires_at, found.version), (earlier, Version::of_content(&stored.payload)));
    let before = SystemClock.now();
    php.go_on();
    php.answer().await;
    let renewed = find(&store, &id).await.unwrap().expires_at;
    // PHP's `touch` knows whole seconds.
    assert!(renewed >= before + LIFETIME - Duration::from_secs(1) && renewed <= SystemClock.now() + LIFETIME);
    std::fs::remove_file(place.file(&id)).unwrap();
    assert_eq!(store.touch(&key(&id), earlier).await.unwrap(), Touched::Missing);
}

#[tokio::test]
async fn a_write_over_what_php_changed_is_stale_whatever_the_record_claims() {
    let (place, id) = ci4();
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let found = find(&store, &id).await.unwrap();
    php.results(Some(&id), json!([{ "op": "set", "key": "a", "value": "php" }])).await;
    let update = store.update(&key(&id), found.version, &next(&found), LeaseEnd::None).await.unwrap();
    assert_eq!(update, Updated::Stale);
    assert_eq!(store.delete(&key(&id), Some(found.version)).await.unwrap(), Deleted::Stale);
    assert!(place.stored(&id).ends_with(r#"a|s:3:"php";"#));
}

#[tokio::test]
async fn an_update_never_makes_a_record() {
    let (place, id) = ci4();
    let store = place.store();
    let update = store.update(&key(&id), Version::fresh(), &counting(1), LeaseEnd::None).await.unwrap();
    assert_eq!(update, Updated::Missing);
    assert_eq!(store.delete(&key(&id), None).await.unwrap(), Deleted::Missing);
    let (version, new) = (Version::fresh(), super::super::peer::id(2));
    let replaced =
        store.replace(&key(&id), version, Predecessor::Delete, &key(&new), &counting(2)).await.unwrap();
    assert_eq!(replaced, Replaced::Missing);
    assert_eq!(std::fs::read_dir(place.dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_sign_in_moves_the_session_and_php_sees_both_sides() {
    for (predecessor, stays) in [(None, false), (Some(record("moved|b:1;")), true)] {
        let (place, id) = ci4();
        let new = super::super::peer::id(2);
        let (store, mut php) = (place.store(), place.php());
        create(&store, &id, &counting(1)).await;
        let found = hold(&store, &id, lease()).await;
        let old = predecessor.as_ref().map_or(Predecessor::Delete, Predecessor::Update);
        let replaced = store.replace(&key(&id), found.version, old, &key(&new), &next(&found)).await.unwrap();
        assert_eq!(replaced, Replaced::Stored);
        assert_eq!(php.results(Some(&new), json!([{ "op": "get", "key": "n" }])).await, [json!(2)]);
        assert_eq!(place.file(&id).exists(), stays);
        if stays {
            assert_eq!(php.results(Some(&id), json!([{ "op": "get", "key": "moved" }])).await, [json!(true)]);
        }
    }
}

#[tokio::test]
async fn a_replacement_over_a_stale_version_or_a_taken_id_leaves_all_as_it_was() {
    let (place, id) = ci4();
    let (taken, free) = (super::super::peer::id(2), super::super::peer::id(3));
    let store = place.store();
    create(&store, &id, &counting(1)).await;
    create(&store, &taken, &counting(7)).await;
    let mine = lease();
    let found = hold(&store, &id, mine).await;
    for (seen, new, expected) in
        [(Version::fresh(), &free, Replaced::Stale), (found.version, &taken, Replaced::IdTaken)]
    {
        let replaced = store.replace(&key(&id), seen, Predecessor::Delete, &key(new), &counting(2)).await;
        assert_eq!(replaced.unwrap(), expected);
    }
    assert!(!place.file(&free).exists());
    assert!(place.stored(&taken).ends_with("n|i:7;"));
    assert_eq!(acquire(&place.store(), &id, lease()).await, Acquired::Busy, "the lease goes on");
    store.release(&key(&id), mine.token).await.unwrap();
}

#[tokio::test]
async fn a_session_that_ends_in_rust_is_gone_for_php() {
    let (place, id) = (Place::new(Layout::CodeIgniter3), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    let mine = lease();
    let found = hold(&store, &id, mine).await;
    assert_eq!(store.delete(&key(&id), Some(found.version)).await.unwrap(), Deleted::Gone);
    let answer = php.request(Some(&id), json!([{ "op": "get", "key": "n" }])).await;
    assert_ne!(answer.id.as_deref(), Some(&*id));
    assert_eq!(answer.results, [json!(null)]);
    assert_eq!(acquire(&store, &id, lease()).await, Acquired::Missing, "its lease ended with it");
}

#[tokio::test]
async fn php_that_waits_for_a_session_that_ends_in_codeigniter_4_fails_as_with_its_own_sign_outs() {
    let (place, id) = ci4();
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    hold(&store, &id, lease()).await;
    php.send(&json!({ "cookie": id, "events": true, "ops": [{ "op": "get", "key": "n" }] }));
    php.event("starting").await;
    super::fixture::queued(&place.file(&id), 1).await;
    assert_eq!(store.delete(&key(&id), None).await.unwrap(), Deleted::Gone);
    let answer = php.answer().await;
    assert_eq!(answer.status, 500);
    assert!(answer.errors[0].contains("stat failed"), "{:?}", answer.errors);
    assert!(!place.file(&id).exists(), "and nothing comes back");
}

#[tokio::test]
async fn a_file_in_the_place_of_a_session_is_only_taken_if_it_is_one() {
    let (place, id) = ci4();
    let store = place.store();
    let secret = place.dir().join("secret");
    std::fs::write(&secret, "role|s:5:\"admin\";").unwrap();
    std::os::unix::fs::symlink(&secret, place.file(&id)).unwrap();
    assert_eq!(store.load(&key(&id)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.acquire(&key(&id), lease()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let touched = store.touch(&key(&id), SystemClock.now()).await;
    assert_eq!(touched.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.create(&key(&id), &counting(1)).await.unwrap(), Created::IdTaken);
    store.set_aside(&key(&id)).await.unwrap();
    assert_eq!(store.load(&key(&id)).await.unwrap(), Loaded::Missing);
    assert_eq!(
        std::fs::read_to_string(secret).unwrap(),
        "role|s:5:\"admin\";",
        "what it led to is untouched"
    );
}

#[tokio::test]
async fn damaged_bytes_are_kept_where_php_does_not_look() {
    let (place, id) = (Place::new(Layout::CodeIgniter3), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &record("n|i:1;junk")).await;
    store.set_aside(&key(&id)).await.unwrap();
    assert!(find(&store, &id).await.is_some(), "nobody has looked at it under the lock");
    hold(&store, &id, lease()).await;
    store.set_aside(&key(&id)).await.unwrap();
    assert_eq!(find(&store, &id).await, None);
    let kept = place.dir().join(format!(".ci_session{id}.damaged"));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "n|i:1;junk");
    let collected = php.request(None, json!([{ "op": "gc" }])).await;
    assert_eq!(collected.results, [json!(0)]);
    assert!(kept.exists());
    store.set_aside(&key(&id)).await.unwrap();
}

#[tokio::test]
async fn keys_that_php_has_no_name_for_and_users_are_refused() {
    let (place, id) = ci4();
    let store = place.store();
    let unnamed = store.load(&StoreKey::from_bytes([1; 16])).await.unwrap_err();
    assert_eq!(unnamed.kind(), ErrorKind::InvalidConfig);
    let ten = std::num::NonZeroUsize::new(10).unwrap();
    let users = store.of_user(&UserKey::from_bytes([1; 16]), None, ten).await.unwrap_err();
    assert_eq!(users.kind(), ErrorKind::Unsupported);
    let shown = format!("{store:?} {:?}", key(&id));
    assert!(!shown.contains(&id), "{shown}");
}
