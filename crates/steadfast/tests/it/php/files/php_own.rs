//! PHP's own files handler: its levels of directories, and what it does with a file that it waited for.

use serde_json::json;
use steadfast::store::php::Site;
use steadfast::store::php::files::PhpFiles;
use steadfast::store::{Created, Deleted, Loaded, SharedName, Store};
use steadfast::{ErrorKind, Layout};

use super::super::peer::{Peer, id};
use super::fixture::{
    COUNT, LIFETIME, LOCK_WAIT, Place, counting, create, find, hold, key, lease, ops, queued, text,
};

fn open(save_path: &str) -> PhpFiles {
    let cookie_name = "PHPSESSID".to_owned();
    let site = Site { layout: Layout::Php, cookie_name, lifetime: LIFETIME, lock_wait: LOCK_WAIT };
    PhpFiles::options(site).open(save_path).unwrap()
}

#[tokio::test]
async fn levels_of_directories_are_phps() {
    let place = Place::new(Layout::Php);
    let id = id(0xab00_0001);
    let save_path = format!("2;0640;{}", place.save_path());
    let store = open(&save_path);
    assert_eq!(store.load(&key(&id)).await.unwrap(), Loaded::Missing);
    let unmade = store.create(&key(&id), &counting(1)).await.unwrap_err();
    assert_eq!(unmade.kind(), ErrorKind::Unavailable);
    assert!(unmade.to_string().contains("never made"), "{unmade}");
    std::fs::create_dir_all(place.dir().join("a/b")).unwrap();
    create(&store, &id, &counting(1)).await;
    let file = place.dir().join(format!("a/b/sess_{id}"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o640);
    let mut php = Peer::start(&json!({ "driver": "native", "layout": "php", "save_path": save_path }));
    assert_eq!(php.results(Some(&id), ops(COUNT)).await, [json!(2)]);
    assert!(text(&find(&store, &id).await.unwrap()).ends_with("n|i:2;"));
    assert_eq!(store.count().await.unwrap(), 1);
    let too_short = SharedName::new(b"a", None).unwrap().key();
    assert_eq!(store.load(&too_short).await.unwrap(), Loaded::Missing);
}

#[tokio::test]
async fn php_that_waits_for_a_session_that_ends_sees_nothing_of_it() {
    let (place, id) = (Place::new(Layout::Php), id(1));
    let (store, mut php) = (place.store(), place.php());
    create(&store, &id, &counting(1)).await;
    hold(&store, &id, lease()).await;
    php.send(&json!({ "cookie": id, "events": true, "ops": [{ "op": "get", "key": "n" }] }));
    php.event("starting").await;
    queued(&place.file(&id), 1).await;
    assert_eq!(store.delete(&key(&id), None).await.unwrap(), Deleted::Gone);
    php.event("started").await;
    assert_eq!(php.answer().await.results, [json!(null)]);
    assert!(!place.file(&id).exists(), "what PHP wrote has no name");
}

#[tokio::test]
async fn a_link_that_php_refuses_is_refused() {
    let (place, id) = (Place::new(Layout::Php), id(1));
    let (store, mut php) = (place.store(), place.php());
    std::os::unix::fs::symlink(place.dir().join("elsewhere"), place.file(&id)).unwrap();
    assert_eq!(php.request(Some(&id), json!([])).await.status, 500);
    assert_eq!(store.acquire(&key(&id), lease()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.create(&key(&id), &counting(1)).await.unwrap(), Created::IdTaken);
}

#[tokio::test]
async fn an_address_has_no_place_in_phps_names() {
    let place = Place::new(Layout::Php);
    let addressed = SharedName::new(id(1).as_bytes(), Some("127.0.0.1".parse().unwrap())).unwrap().key();
    let refused = place.store().load(&addressed).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
}
