//! The index of users: one empty file for each record that is bound to a user.
//!
//! An entry is made *before* its record is bound and removed *after* the record is unbound or deleted, so
//! that a crash can leave an entry too many but never one too few. An entry too many is harmless: whoever
//! lists a user loads each record and leaves out those that say otherwise.
//!
//! Removing needs care: between making an entry and binding the record, the entry looks stale. So who
//! binds shares the lock of the user's directory until the record is written, and who removes has it
//! alone. Nobody waits to remove: a stale entry can stay until the next look.

use std::fs::{self, File};
use std::io;

use crate::store::{Listed, StoreKey, UserKey};

use super::error::{FileError, FileResult};
use super::record_file;
use super::root::{self, Root};
use super::{lock, walk};

/// How often a directory may vanish while an entry is made in it.
const VANISHES_AT_MOST: u32 = 16;

/// Keeps the index entry of a record from being removed, until its record is written.
#[derive(Debug)]
#[must_use]
pub(super) struct Binding {
    _shared: File,
}

/// Makes the entry of a record that is about to be bound to a user.
pub(super) fn bind(root: &Root, user: &UserKey, key: &StoreKey) -> FileResult<Binding> {
    let dir = root.user(user);
    for _ in 0..VANISHES_AT_MOST {
        let Some(open) = open_dir(root, user)? else {
            root.make_below(&dir)?;
            continue;
        };
        lock::try_lock_shared(&open)?;
        if !root::names(&dir, &open).map_err(FileError::io("look at the index of users"))? {
            continue;
        }
        root::mark_file(&dir.join(key.to_hex())).map_err(FileError::io("write the index of users"))?;
        root.sync_dir(&dir)?;
        return Ok(Binding { _shared: open });
    }
    Err(FileError::Contended)
}

/// Removes an entry if its record is not bound to the user (any more), unless somebody is at work there.
///
/// A failure is not reported: the entry is harmless, and what made it stale has been done.
pub(super) fn clean(root: &Root, user: &UserKey, key: &StoreKey) {
    let dir = root.user(user);
    let Ok(Some(open)) = open_dir(root, user) else { return };
    if lock::try_lock(&open).is_err() || !is_stale(root, user, key) {
        return;
    }
    let _ = fs::remove_file(dir.join(key.to_hex()));
    // Fails, as it should, while the user has other sessions.
    let _ = fs::remove_dir(&dir);
}

/// Lists records of a user after a key, and removes the stale entries it meets.
pub(super) fn list(
    root: &Root,
    user: &UserKey,
    after: Option<&StoreKey>,
    limit: usize,
) -> FileResult<Vec<Listed>> {
    let mut listed = Vec::new();
    for key in walk::keys_in(&root.user(user))? {
        if after.is_some_and(|after| key <= *after) {
            continue;
        }
        match record_file::load(root, &key) {
            Ok(Some(snapshot)) if snapshot.record.user == Some(*user) => {
                listed.push(Listed { key, record: snapshot.record });
            }
            Ok(_) => clean(root, user, &key),
            Err(FileError::Damaged | FileError::NewerFormat) => {}
            Err(error) => return Err(error),
        }
        if listed.len() == limit {
            break;
        }
    }
    if listed.is_empty() {
        root.check_present()?;
    }
    Ok(listed)
}

fn is_stale(root: &Root, user: &UserKey, key: &StoreKey) -> bool {
    match record_file::load(root, key) {
        Ok(Some(snapshot)) => snapshot.record.user != Some(*user),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn open_dir(root: &Root, user: &UserKey) -> FileResult<Option<File>> {
    match File::open(root.user(user)) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::io("open the index of users")(error)),
    }
}
