//! What can be wrong with a directory or a file in it, and what an operator finds there.

use std::fs::{self, FileTimes, OpenOptions, Permissions};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use steadfast::store::files::FilesStore;
use steadfast::store::{Deleted, LeaseEnd, Loaded, Record, Store, StoreKey, Updated, UserKey};
use steadfast::{Error, ErrorKind, Timestamp};
use tempfile::TempDir;

use super::fixture::{self, file_of, find, key, number, numbered};

/// A user and a group without rights, as on every Unix.
const NOBODY: u32 = 65_534;

/// A store with one record, number 7 under key 1.
async fn store_with_a_record() -> (TempDir, PathBuf, FilesStore) {
    let (temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    fixture::create(&store, &key(1), &numbered(7)).await;
    (temp, dir, store)
}

async fn kind_of_load(store: &FilesStore) -> ErrorKind {
    store.load(&key(1)).await.expect_err("it fails").kind()
}

async fn assert_set_aside(store: &FilesStore, dir: &Path) {
    store.set_aside(&key(1)).await.expect("set_aside works");
    assert_eq!(store.load(&key(1)).await.expect("load works"), Loaded::Missing);
    let kept = fs::read_dir(dir.join("corrupt")).expect("it can be listed").count();
    assert_eq!(kept, 1, "the operator can look at it");
    fixture::create(store, &key(1), &numbered(8)).await;
}

#[tokio::test]
async fn files_are_0600_and_directories_0700() {
    let (_temp, dir, store) = store_with_a_record().await;
    let bound = Record { user: Some(UserKey::from_bytes([9; 16])), ..numbered(1) };
    fixture::create(&store, &key(2), &bound).await;
    let mut unseen = vec![dir];
    let mut files = 0;
    while let Some(path) = unseen.pop() {
        let found = fs::symlink_metadata(&path).expect("it is there");
        let mode = found.permissions().mode() & 0o7777;
        if found.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            unseen.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("one").path()));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert_eq!(files, 3, "two records and an index entry");
}

#[tokio::test]
async fn a_truncated_file_is_corrupt_until_it_is_set_aside() {
    for len in [0, 10, 256, 300] {
        let (_temp, dir, store) = store_with_a_record().await;
        let file = OpenOptions::new().write(true).open(file_of(&dir, &key(1))).expect("it opens");
        file.set_len(len).expect("it can be cut");
        assert_eq!(kind_of_load(&store).await, ErrorKind::Corrupt);
        let update = store.update(&key(1), numbered(7).version, &numbered(8), LeaseEnd::None).await;
        assert_eq!(update.expect_err("it fails").kind(), ErrorKind::Corrupt);
        assert_set_aside(&store, &dir).await;
    }
}

#[tokio::test]
async fn a_directory_in_place_of_a_file_is_corrupt_until_it_is_set_aside() {
    let (_temp, dir, store) = store_with_a_record().await;
    let path = file_of(&dir, &key(1));
    fs::remove_file(&path).expect("it can be removed");
    fs::create_dir(&path).expect("it can be made");
    assert_eq!(kind_of_load(&store).await, ErrorKind::Corrupt);
    assert_set_aside(&store, &dir).await;
}

#[tokio::test]
async fn a_link_in_place_of_a_file_is_not_followed() {
    let (temp, dir, store) = store_with_a_record().await;
    let path = file_of(&dir, &key(1));
    let elsewhere = temp.path().join("elsewhere");
    fs::rename(&path, &elsewhere).expect("it can be moved");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("it can be linked");
    assert_eq!(kind_of_load(&store).await, ErrorKind::Corrupt);
    assert_set_aside(&store, &dir).await;
    assert!(elsewhere.exists(), "what it pointed to is as it was");
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_never_touched() {
    let (_temp, dir, store) = store_with_a_record().await;
    let path = file_of(&dir, &key(1));
    let file = OpenOptions::new().write(true).open(&path).expect("it opens");
    file.write_all_at(&[2], 8).expect("it can be written");
    let expired = FileTimes::new().set_accessed(UNIX_EPOCH);
    file.set_times(expired).expect("it can be stamped");
    let before = fs::read(&path).expect("it can be read");

    assert_eq!(kind_of_load(&store).await, ErrorKind::NewerFormat);
    let delete = store.delete(&key(1), None).await;
    assert_eq!(delete.expect_err("it fails").kind(), ErrorKind::NewerFormat);
    assert_eq!(store.purge(NonZeroUsize::MAX).await.expect("purge works"), 0);
    store.set_aside(&key(1)).await.expect("set_aside works");
    assert!(fs::read(&path).expect("it is still there") == before);
}

#[tokio::test]
async fn a_directory_that_vanished_is_an_outage_and_not_a_missing_session() {
    let (_temp, dir, store) = store_with_a_record().await;
    fs::rename(&dir, dir.with_extension("unmounted")).expect("it can be moved");
    assert_eq!(kind_of_load(&store).await, ErrorKind::Unavailable);
    let create = store.create(&key(2), &numbered(1)).await;
    assert_eq!(create.expect_err("it fails").kind(), ErrorKind::Unavailable);
    assert!(!dir.exists(), "it is not made again");
}

#[tokio::test]
async fn a_live_record_is_not_looked_into_by_the_purge() {
    let (_temp, dir, store) = store_with_a_record().await;
    let path = file_of(&dir, &key(1));
    let file = OpenOptions::new().write(true).open(&path).expect("it opens");
    file.write_all_at(b"damage", 0).expect("it can be written");
    assert_eq!(store.purge(NonZeroUsize::MAX).await.expect("purge works"), 0);
    assert!(path.exists(), "a look inside would have set it aside");
}

#[tokio::test]
async fn a_stamp_that_is_too_early_costs_a_look_and_no_record() {
    let (_temp, dir, store) = store_with_a_record().await;
    let path = file_of(&dir, &key(1));
    let file = OpenOptions::new().write(true).open(&path).expect("it opens");
    file.set_times(FileTimes::new().set_accessed(UNIX_EPOCH)).expect("it can be stamped");
    assert_eq!(store.purge(NonZeroUsize::MAX).await.expect("purge works"), 0);
    assert_eq!(number(&find(&store, &key(1)).await), 7);
    let stamp = fs::metadata(&path).and_then(|found| found.accessed()).expect("it has one");
    assert_eq!(stamp, UNIX_EPOCH + Duration::from_micros(fixture::LATER.as_micros()));
}

#[tokio::test]
async fn the_purge_follows_a_deadline_that_was_moved_to_an_earlier_time() {
    let (_temp, _dir, store) = store_with_a_record().await;
    let _ = store.touch(&key(1), Timestamp::from_micros(1)).await.expect("touch works");
    assert_eq!(store.purge(NonZeroUsize::MIN).await.expect("purge works"), 1);
    assert_eq!(store.delete(&key(1), None).await.expect("delete works"), Deleted::Missing);
}

#[tokio::test]
async fn small_batches_come_round_to_every_record() {
    let (_temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    for number in 0..=u8::MAX {
        let record = numbered(number.into());
        let expires_at = if number % 2 == 0 { Timestamp::from_micros(1) } else { record.expires_at };
        // All in one directory, and some before, after and beside a live one.
        let mut key = [0xab; 16];
        key[15] = number;
        fixture::create(&store, &StoreKey::from_bytes(key), &Record { expires_at, ..record }).await;
    }
    let batch = NonZeroUsize::new(5).expect("not zero");
    let mut batches = Vec::new();
    while batches.last() != Some(&0) {
        batches.push(store.purge(batch).await.expect("purge works"));
    }
    assert!(batches.iter().all(|purged| *purged <= 5), "{batches:?}");
    assert_eq!(batches.iter().sum::<usize>(), 128);
    assert_eq!(store.count().await.expect("count works"), 128);
}

#[tokio::test]
async fn what_a_crash_left_of_a_new_file_is_purged_and_one_in_work_is_not() {
    let (_temp, dir, store) = store_with_a_record().await;
    let beside = |name: &str| file_of(&dir, &key(1)).with_file_name(format!(".{}.{name}", key(1).to_hex()));
    let (left, in_work) = (beside("1"), beside("2"));
    fs::write(&left, b"half a file").expect("it can be written");
    fs::write(&in_work, b"half a file").expect("it can be written");
    let writer = OpenOptions::new().write(true).open(&in_work).expect("it opens");
    writer.try_lock().expect("nobody else has it");
    assert_eq!(store.purge(NonZeroUsize::MAX).await.expect("purge works"), 0);
    assert!(!left.exists() && in_work.exists());
    assert_eq!(store.count().await.expect("count works"), 1, "neither is a record");
}

/// A limit on the size of files stands in for the full disk: a write fails after its first bytes.
#[test]
fn a_record_that_finds_no_room_is_an_error_and_the_old_one_stays() {
    let test = "files::directory::a_record_that_finds_no_room_is_an_error_and_the_old_one_stays";
    if let Some(dir) = fixture::child_dir() {
        return fixture::block_on(async {
            let store = FilesStore::open(&dir).expect("it opens");
            let found = find(&store, &key(1)).await;
            let large = fixture::record(vec![1; 1 << 20]);
            let grown = store.update(&key(1), found.version, &large, LeaseEnd::None).await;
            assert_is_outage(&grown.expect_err("there is no room"), "ulimit -f");
            let created = store.create(&key(2), &large).await;
            assert_is_outage(&created.expect_err("there is no room"), "ulimit -f");
            assert_eq!(store.load(&key(2)).await.expect("load works"), Loaded::Missing);
            assert_eq!(number(&find(&store, &key(1)).await), 7);
            let updated = fixture::update(&store, &key(1), found.version, &fixture::record(vec![8; 9])).await;
            assert_eq!(updated, Updated::Stored, "what has room can be written");
        });
    }
    let (_temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    fixture::block_on(fixture::create(&store, &key(1), &numbered(7)));
    let child = fixture::child(test, &dir);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; ulimit -f 100; exec "$0" "$@""#]).arg(child.get_program());
    shell.args(child.get_args()).envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // Its output goes through a pipe: the limit would count for a file that the tests' output is kept in, too.
    let child = shell.output().expect("a shell starts");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let left = fs::read_dir(file_of(&dir, &key(1)).with_file_name("")).expect("a directory").count();
    assert_eq!(left, 1, "nothing is left of the new files");
}

#[test]
fn a_directory_without_permission_is_an_error_that_says_who_must_own_it() {
    let test = "files::directory::a_directory_without_permission_is_an_error_that_says_who_must_own_it";
    if let Some(dir) = fixture::child_dir() {
        return fixture::block_on(async {
            let store = FilesStore::open(&dir).expect("it opens");
            let load = store.load(&key(1)).await;
            assert_is_outage(&load.expect_err("it may not be read"), "must belong to the user");
            let create = store.create(&key(2), &numbered(1)).await;
            assert_is_outage(&create.expect_err("it may not be written"), "must belong to the user");
        });
    }
    let (temp, dir) = fixture::directory();
    let store = FilesStore::open(&dir).expect("it opens");
    fixture::block_on(fixture::create(&store, &key(1), &numbered(7)));
    fs::set_permissions(file_of(&dir, &key(1)), Permissions::from_mode(0o000)).expect("chmod works");
    fs::set_permissions(dir.join("records"), Permissions::from_mode(0o500)).expect("chmod works");
    let child = fixture::child(test, &dir);
    let owner = fs::metadata(&dir).expect("it is there").uid();
    let mut child = if owner == 0 { as_nobody(&child, temp.path()) } else { child };
    assert!(child.status().expect("a child starts").success());
    fs::set_permissions(dir.join("records"), Permissions::from_mode(0o700)).expect("chmod works");
}

/// Permissions don't stop the superuser, so it gives the directory away and runs the child as its owner.
fn as_nobody(child: &Command, temp: &Path) -> Command {
    let program = temp.join("program");
    fs::copy(child.get_program(), &program).expect("the program can be copied");
    fs::set_permissions(temp, Permissions::from_mode(0o755)).expect("chmod works");
    let mut unseen = vec![temp.join("sessions")];
    while let Some(path) = unseen.pop() {
        chown(&path, Some(NOBODY), Some(NOBODY)).expect("the superuser may give it away");
        if path.is_dir() {
            unseen.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("one").path()));
        }
    }
    let mut command = Command::new(program);
    command.args(child.get_args()).uid(NOBODY).gid(NOBODY).current_dir(temp);
    command.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[track_caller]
fn assert_is_outage(error: &Error, remedy: &str) {
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(remedy), "{error}");
}
