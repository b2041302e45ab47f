//! Where damaged files go: out of the way of their key, for an operator to look at.

use std::fs;
use std::io;
use std::path::Path;

use crate::store::StoreKey;
use crate::time::Timestamp;

use super::error::{FileError, FileResult};
use super::record_file::LockedRecord;
use super::root::Root;
use super::walk;

/// How many damaged files are kept, the newest. A disk that goes bad must not fill itself with them.
const KEPT: usize = 1_000;

/// Moves the file of a record away if it is damaged, and does nothing to one that is not.
pub(super) fn set_aside(root: &Root, key: &StoreKey, now: Timestamp) -> FileResult<()> {
    let away = root.corrupt().join(format!("{:020}-{}", now.as_micros(), key.to_hex()));
    match LockedRecord::open(root, key) {
        Ok(Some(locked)) => match locked.read() {
            Err(FileError::Damaged) => locked.move_to(&away)?,
            Ok(_) | Err(FileError::NewerFormat) => return Ok(()),
            Err(error) => return Err(error),
        },
        Ok(None) => return Ok(()),
        // No file at all, so there is nothing to lock either.
        Err(FileError::Damaged) => move_what_is_no_file(root, key, &away)?,
        Err(error) => return Err(error),
    }
    forget_oldest(root)
}

fn move_what_is_no_file(root: &Root, key: &StoreKey, away: &Path) -> FileResult<()> {
    let (_, path) = root.record(key);
    let moved = match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => fs::rename(&path, away),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.map_err(FileError::io("set aside what is in place of a session file")),
    }
}

/// Removes the oldest files beyond the number that is kept. Their names begin with the time.
fn forget_oldest(root: &Root) -> FileResult<()> {
    let entries = walk::entries(&root.corrupt())?.unwrap_or_default();
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    let Some(excess) = paths.len().checked_sub(KEPT) else { return Ok(()) };
    paths.sort_unstable();
    for path in &paths[..excess] {
        // A directory that an operator put here stays.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::store::{Durability, Record, Version};

    use super::super::record_file;
    use super::*;

    #[test]
    fn the_newest_damaged_files_are_kept_up_to_a_bound() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(&temp.path().join("sessions"), Durability::Process).expect("it opens");
        for old in 0..KEPT {
            fs::write(root.corrupt().join(format!("{old:020}-old")), b"").expect("it can be written");
        }
        let key = StoreKey::from_bytes([7; 16]);
        let (dir, path) = root.record(&key);
        root.make_below(&dir).expect("it can be made");
        fs::write(&path, b"damage").expect("it can be written");

        let now = Timestamp::from_micros(1_767_225_600_000_000);
        set_aside(&root, &key, now).expect("it can be moved");
        let kept = fs::read_dir(root.corrupt()).expect("it can be listed").count();
        assert_eq!(kept, KEPT);
        assert!(!root.corrupt().join(format!("{:020}-old", 0)).exists(), "the oldest made room");
        let newest = root.corrupt().join(format!("{:020}-{}", now.as_micros(), key.to_hex()));
        assert_eq!(fs::read(newest).expect("it is kept"), b"damage");
    }

    #[test]
    fn a_sound_record_is_not_set_aside() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(&temp.path().join("sessions"), Durability::Process).expect("it opens");
        let key = StoreKey::from_bytes([7; 16]);
        let record = Record {
            payload: Bytes::from_static(b"sound"),
            version: Version::fresh(),
            expires_at: Timestamp::EPOCH,
            user: None,
        };
        assert!(record_file::create(&root, &key, &record).expect("it is made"));
        set_aside(&root, &key, Timestamp::MAX).expect("it does nothing");
        assert!(root.record(&key).1.exists());
    }
}
