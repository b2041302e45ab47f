//! A store that is damaged, full, or that may not be written: typed errors, and nothing is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::http::{self, Reply};
use crate::process::{Probe, program};
use crate::site::Site;
use crate::store::{Store, on_embedded_stores};

/// A user without rights, for tests that run as root, whom no permission stops.
const NOBODY: u32 = 65_534;

on_embedded_stores! {
    a_full_disk_is_a_typed_error_and_nothing_is_lost
    a_directory_that_may_not_be_written_is_a_typed_error_and_nothing_is_lost
}

fn get(probe: &Probe, path: &str, cookie: &str) -> Reply {
    http::send(probe.address, path, &[("cookie", cookie)]).unwrap().reply().unwrap()
}

/// Files may grow up to a limit: what is beyond it fails as a full disk does.
fn a_full_disk_is_a_typed_error_and_nothing_is_lost(store: Store) {
    let dir = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    // In blocks of 512 bytes; the signal that tells a process of it is ignored, so that the write fails.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$@\"", "sh"]).arg(program());
    limited.args(["--store", &store.dsn(dir.path())]);
    let probe = Probe::spawn(&dir.path().join("node"), limited);
    let begun = http::send(probe.address, "/set?k=a&v=1", &[]).unwrap().reply().unwrap();
    let cookie = begun.cookie().unwrap().to_owned();
    for _ in 0..3 {
        let full = get(&probe, "/set?k=large&v=0123456789&rep=300000", &cookie);
        assert_eq!((full.status, full.error().as_str()), (503, "unavailable"), "{}", full.text());
        assert_eq!(full.cookie(), None);
        assert_eq!(get(&probe, "/get", &cookie).json()["v"], json!({ "a": "1" }));
    }
    let small = get(&probe, "/set?k=b&v=2", &cookie);
    assert_eq!(small.status, 200, "{}", small.text());
    assert_eq!(get(&probe, "/get", &cookie).json()["v"], json!({ "a": "1", "b": "2" }));
}

fn a_directory_that_may_not_be_written_is_a_typed_error_and_nothing_is_lost(store: Store) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    let probe = start_as_nobody(dir.path(), &home, &store.dsn(&home));
    let begun = http::send(probe.address, "/set?k=a&v=1", &[]).unwrap().reply().unwrap();
    let cookie = begun.cookie().unwrap().to_owned();

    let modes = lock(&home);
    let refused = get(&probe, "/none", &cookie);
    assert_eq!(refused.status, 200, "routes without a session go on");
    let created = http::send(probe.address, "/set?k=b&v=2", &[]).unwrap().reply().unwrap();
    if created.status != 200 {
        // SQLite keeps its file open, and goes on writing to it.
        assert_eq!((created.status, created.error().as_str()), (503, "unavailable"));
        assert_eq!(created.cookie(), None);
    }
    assert_eq!(get(&probe, "/view?k=a", &cookie).json()["v"], "1");
    for (path, mode) in modes {
        fs::set_permissions(path, mode).unwrap();
    }
    assert_eq!(get(&probe, "/set?k=c&v=3", &cookie).status, 200);
    assert_eq!(get(&probe, "/get", &cookie).json()["v"], json!({ "a": "1", "c": "3" }));
}

#[test]
fn a_session_file_that_may_not_be_opened_is_a_typed_error_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    let probe = start_as_nobody(dir.path(), &home, &Store::FILES.dsn(&home));
    let begun = http::send(probe.address, "/set?k=a&v=1", &[]).unwrap().reply().unwrap();
    let cookie = begun.cookie().unwrap().to_owned();
    let raw = get(&probe, "/raw", &cookie).body;
    let file = files_with(&home, &raw).remove(0);
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    for path in ["/get", "/view", "/incr", "/set?k=a&v=2", "/destroy"] {
        let refused = get(&probe, path, &cookie);
        assert_eq!((refused.status, refused.error().as_str()), (503, "unavailable"), "{path}");
        assert_eq!((refused.cookie(), refused.header("retry-after")), (None, Some("1")), "{path}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(get(&probe, "/get", &cookie).json()["v"], json!({ "a": "1" }));
}

/// Starts a probe whom permissions mean something, from a copy that it can read.
fn start_as_nobody(outputs: &Path, home: &Path, dsn: &str) -> Probe {
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) != 0) {
        return Probe::start(&outputs.join("node"), &["--store".to_owned(), dsn.to_owned()]);
    }
    fs::set_permissions(outputs, Permissions::from_mode(0o777)).unwrap();
    let copy = outputs.join("probe");
    // By a process of its own: a file that this one writes could not be run while another thread forks.
    assert!(Command::new("cp").arg(program()).arg(&copy).status().unwrap().success());
    chown(home, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new(copy);
    command.args(["--store", dsn]).uid(NOBODY).gid(NOBODY);
    Probe::spawn(&outputs.join("node"), command)
}

/// Takes the right to write from every directory below, and returns what the rights were.
fn lock(dir: &Path) -> Vec<(PathBuf, Permissions)> {
    let mut before = Vec::new();
    let mut next = vec![dir.to_owned()];
    while let Some(path) = next.pop() {
        let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        next.extend(entries.filter(|entry| entry.is_dir()));
        before.push((path.clone(), fs::metadata(&path).unwrap().permissions()));
        fs::set_permissions(path, Permissions::from_mode(0o500)).unwrap();
    }
    before
}

#[test]
fn a_damaged_session_file_is_kept_aside_and_the_visitor_begins_anew() {
    let site = Site::start(Store::FILES, "");
    let (mut browser, mut other) = (site.browser(), site.browser());
    browser.visit("/set?k=a&v=1");
    other.visit("/set?k=a&v=2");
    let raw = browser.ask("/raw").body;
    let files = files_with(&site.dir.path().join("sessions"), &raw);
    assert_eq!(files.len(), 1, "one file holds the record");
    damage(&files[0], &raw);
    let reply = browser.open("/get?k=a");
    assert_eq!((reply.status, reply.json()["v"].clone()), (200, Value::Null), "{}", reply.text());
    assert_eq!(site.count("damaged_record"), 1);
    browser.visit("/set?k=a&v=3");
    assert_eq!(browser.visit("/get?k=a")["v"], "3");
    assert_eq!(other.visit("/get?k=a")["v"], "2", "others are not concerned");
}

/// Returns the files that hold a record.
fn files_with(dir: &Path, record: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, record));
        } else if position(&fs::read(&path).unwrap(), record).is_some() {
            found.push(path);
        }
    }
    found
}

/// Changes a bit in the middle of a record.
fn damage(file: &Path, record: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let at = position(&bytes, record).unwrap();
    bytes[at + record.len() / 2] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[test]
fn a_directory_that_others_can_enter_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = dir.path().join("sessions");
    fs::create_dir(&sessions).unwrap();
    fs::set_permissions(&sessions, Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(program()).args(["--store", &Store::FILES.dsn(dir.path())]).output().unwrap();
    assert!(!output.status.success());
    assert!(!String::from_utf8(output.stderr).unwrap().is_empty());
}

#[test]
fn a_file_that_is_no_database_is_refused_at_the_start_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    fs::write(&path, "a shopping list, not a database, and long enough to be looked at as one".repeat(20))
        .unwrap();
    let before = fs::read(&path).unwrap();
    let output = Command::new(program()).args(["--store", &Store::SQLITE.dsn(dir.path())]).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(fs::read(&path).unwrap(), before);
}
