//! Files that a real CodeIgniter left, and ours in their place: `tests/golden/codeigniter4-files.json`.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use steadfast::Layout;
use steadfast::store::php::Site;
use steadfast::store::php::files::PhpFiles;
use steadfast::store::{Created, Found, LeaseEnd, Loaded, SharedName, Store, Updated};

use super::fixture::{LIFETIME, LOCK_WAIT, record};

/// The last file of a scenario.
#[derive(Deserialize)]
struct Recorded {
    scenario: String,
    cookie_name: String,
    match_ip: Option<IpAddr>,
    id: String,
    name: String,
    mode: String,
    bytes: String,
}

#[tokio::test]
async fn what_we_write_has_the_recorded_name_mode_and_bytes() {
    let text = include_str!("../../../golden/codeigniter4-files.json");
    let all: Vec<Recorded> = serde_json::from_str(text).unwrap();
    assert_eq!(all.len(), 74);
    for recorded in all {
        check(&recorded).await;
    }
}

async fn check(recorded: &Recorded) {
    let Recorded { scenario, cookie_name, match_ip, id, name, mode, bytes } = recorded;
    let temp = tempfile::tempdir().unwrap();
    let site = Site {
        layout: Layout::CodeIgniter4,
        cookie_name: cookie_name.clone(),
        lifetime: LIFETIME,
        lock_wait: LOCK_WAIT,
    };
    let options = PhpFiles::options(site).match_ip(match_ip.is_some());
    let store = options.open(temp.path().to_str().unwrap()).unwrap();
    let key = SharedName::new(id.as_bytes(), *match_ip).unwrap().key();
    let bytes = BASE64_STANDARD.decode(bytes).unwrap();
    assert_eq!(
        store.create(&key, &record("longer than what comes next ".repeat(300))).await.unwrap(),
        Created::Stored
    );
    let Loaded::Found(Found { record: first, .. }) = store.load(&key).await.unwrap() else {
        panic!("{scenario}: it was created");
    };
    let updated = store.update(&key, first.version, &record(bytes.clone()), LeaseEnd::None).await.unwrap();
    assert_eq!(updated, Updated::Stored, "{scenario}");
    let entries: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 1, "{scenario}");
    assert_eq!(entries[0].file_name().to_str(), Some(&**name), "{scenario}");
    let found = entries[0].metadata().unwrap();
    assert_eq!(format!("0o{:o}", found.permissions().mode() & 0o777), *mode, "{scenario}");
    assert_eq!(std::fs::read(entries[0].path()).unwrap(), bytes, "{scenario}");
}
