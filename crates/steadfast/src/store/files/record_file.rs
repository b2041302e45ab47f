//! One session file: made, read and changed in place, or replaced by a larger one.
//!
//! # What is written in which order
//!
//! *A commit* writes the slot that is not in use, then the cell that is not in use, which confirms it. A
//! crash before the slot is whole leaves the old record; after it, the new one. A slot that was confirmed
//! and is not whole later is damage, and is reported as that instead of falling back to the old record.
//!
//! *A new file* is written under a name that no reader looks at, and gets its real name by a hard link,
//! which fails if the name is taken: so nobody ever sees half of it, and two creators can't both succeed.
//! (An exclusive open in place would cost 5 µs less, and an empty file would then mean either a creator that
//! died or a record that was destroyed.) *A record that no longer fits* is written the same way and renamed
//! over the old file. The unborn file is locked while it is written, so the purge can tell one in work from
//! one that a crash left behind.
//!
//! With [`Durability::Fsync`] the slot (or the whole new file) is on the disk before the cell (or the name)
//! that makes it count, and the name before the acknowledgement. Leases are not waited for: their holders
//! don't survive the loss of power either. Both cells are in one sector, which a disk writes whole.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::store::{Durability, Record, StoreKey};

use super::error::{FileError, FileResult};
use super::lock;
use super::root::{self, Access, Root};
use super::snapshot::{self, Head, Position, Snapshot};
use super::stamp;
use super::wire::{self, Cell, Class, Held, Moving, Side};

/// A session file whose lock is held until this is dropped.
#[derive(Debug)]
pub(super) struct LockedRecord<'a> {
    root: &'a Root,
    key: StoreKey,
    path: PathBuf,
    file: File,
}

impl<'a> LockedRecord<'a> {
    /// Locks the file of a record; `None` if there is none.
    pub(super) fn open(root: &'a Root, key: &StoreKey) -> FileResult<Option<Self>> {
        let (_, path) = root.record(key);
        match lock::open(&path)? {
            Some(file) => Ok(Some(Self { root, key: *key, path, file })),
            None => root.check_present().map(|()| None),
        }
    }

    /// Reads the record. Under the lock there is no other writer, so what is torn was left by a crash.
    pub(super) fn read(&self) -> FileResult<Snapshot> {
        Head::read(&self.file)?.read_record(&self.file)
    }

    /// Finds the present deadline and lease, without the payload if it can be done.
    pub(super) fn position(&self) -> FileResult<Position> {
        let head = Head::read(&self.file)?;
        match head.confirmed() {
            Some(at) => Ok(at),
            None => head.read_record(&self.file).map(|snapshot| snapshot.at),
        }
    }

    /// Stores a record in place of the one at `at`.
    pub(super) fn write(&self, at: &Position, record: &Record, lease: Option<Held>) -> FileResult<()> {
        let slot_seq = at.slot_seq.saturating_add(1);
        let needed = Class::for_payload(record.payload.len())?;
        if at.class.is_outgrown_by(needed) {
            return self.replace_file(needed, slot_seq, record, lease);
        }
        let slot = wire::encode_slot(slot_seq, record, lease)?;
        self.stamp_earlier(at, record)?;
        self.write_at(&slot, at.class.slot_offset(at.slot.other()))?;
        self.sync_data()?;
        let moving = Moving { expires_at: record.expires_at, lease };
        self.write_cell(at, slot_seq, moving)?;
        self.stamp_later(at, &moving)
    }

    /// Changes the lease of the record at `at`.
    pub(super) fn write_lease(&self, at: &Position, lease: Option<Held>) -> FileResult<()> {
        self.write_cell(at, at.slot_seq, Moving { lease, ..at.moving })
    }

    /// Changes the deadline of the record at `at`.
    pub(super) fn write_deadline(&self, at: &Position, moving: Moving) -> FileResult<()> {
        if moving.expires_at < at.moving.expires_at {
            self.stamp(&moving)?;
        }
        self.write_cell(at, at.slot_seq, moving)?;
        self.sync_data()?;
        self.stamp_later(at, &moving)
    }

    /// Removes the file, and with it the record and its lease.
    pub(super) fn remove(&self) -> FileResult<()> {
        fs::remove_file(&self.path).map_err(FileError::io("remove a session file"))?;
        self.root.sync_dir(directory(&self.path))
    }

    /// Moves the file somewhere else.
    pub(super) fn move_to(&self, path: &Path) -> FileResult<()> {
        fs::rename(&self.path, path).map_err(FileError::io("set a damaged session file aside"))?;
        self.root.sync_dir(directory(&self.path))
    }

    /// Stamps the file with the deadline that it has.
    pub(super) fn stamp(&self, moving: &Moving) -> FileResult<()> {
        stamp::set(&self.file, moving.expires_at).map_err(FileError::io("stamp a session file"))
    }

    // The stamp is never later than the deadline: an earlier one is set before the write, a later one after.
    fn stamp_earlier(&self, at: &Position, record: &Record) -> FileResult<()> {
        let moving = Moving { expires_at: record.expires_at, ..at.moving };
        if moving.expires_at < at.moving.expires_at { self.stamp(&moving) } else { Ok(()) }
    }

    fn stamp_later(&self, at: &Position, moving: &Moving) -> FileResult<()> {
        if moving.expires_at > at.moving.expires_at { self.stamp(moving) } else { Ok(()) }
    }

    fn write_cell(&self, at: &Position, slot_seq: u64, moving: Moving) -> FileResult<()> {
        let (side, seq) = match at.cell {
            Some((side, seq)) => (side.other(), seq.saturating_add(1)),
            None => (Side::A, 1),
        };
        self.write_at(&wire::encode_cell(&Cell { seq, slot_seq, moving }), side.cell_offset())
    }

    fn write_at(&self, bytes: &[u8], offset: usize) -> FileResult<()> {
        self.file.write_all_at(bytes, offset as u64).map_err(FileError::io("write a session file"))
    }

    fn sync_data(&self) -> FileResult<()> {
        match self.root.durability {
            Durability::Process => Ok(()),
            Durability::Fsync => {
                self.file.sync_data().map_err(FileError::io("write a session file to the disk"))
            }
        }
    }

    fn replace_file(&self, class: Class, seq: u64, record: &Record, lease: Option<Held>) -> FileResult<()> {
        let image = wire::encode_file(class, seq, record, lease)?;
        let unborn = Unborn::write(self.root, &self.key, &image, record)?;
        unborn.rename_over(&self.path)?;
        self.root.sync_dir(directory(&self.path))
    }
}

/// Reads a record; `None` if there is none.
pub(super) fn load(root: &Root, key: &StoreKey) -> FileResult<Option<Snapshot>> {
    let (_, path) = root.record(key);
    let Some(file) = lock::existing(root::open_file(&path, Access::Read))? else {
        return root.check_present().map(|()| None);
    };
    match snapshot::read_unlocked(&file) {
        Err(FileError::Damaged) => match LockedRecord::open(root, key)? {
            Some(locked) => locked.read().map(Some),
            None => Ok(None),
        },
        read => read.map(Some),
    }
}

/// Reads who holds the lease of a record, roughly: what is being written just now may be missed.
pub(super) fn peek_lease(root: &Root, key: &StoreKey) -> FileResult<Option<Held>> {
    let (_, path) = root.record(key);
    let Some(file) = lock::existing(root::open_file(&path, Access::Read))? else { return Ok(None) };
    let head = Head::read(&file)?;
    match head.confirmed() {
        Some(at) => Ok(at.moving.lease),
        None => head.read_record(&file).map(|snapshot| snapshot.at.moving.lease),
    }
}

/// Stores a record under a key that has none; `false` if there is one.
pub(super) fn create(root: &Root, key: &StoreKey, record: &Record) -> FileResult<bool> {
    let (dir, path) = root.record(key);
    let image = wire::encode_file(Class::for_payload(record.payload.len())?, 1, record, None)?;
    let unborn = match Unborn::write(root, key, &image, record) {
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            root.make_below(&dir)?;
            Unborn::write(root, key, &image, record)?
        }
        written => written?,
    };
    let created = unborn.link_to(&path)?;
    root.sync_dir(&dir)?;
    Ok(created)
}

/// A file that has all its bytes but not yet its name. Dropped before it gets one, it is removed.
struct Unborn {
    path: PathBuf,
    // Holds the lock, which tells the purge that somebody is at work here.
    file: File,
}

impl Unborn {
    fn write(root: &Root, key: &StoreKey, image: &[u8], record: &Record) -> FileResult<Self> {
        let path = root.unborn(key);
        let file = root::new_file(&path).map_err(FileError::io("make a session file"))?;
        let unborn = Self { path, file };
        let file = &unborn.file;
        lock::try_lock(file)?;
        file.write_all_at(image, 0).map_err(FileError::io("write a session file"))?;
        stamp::set(file, record.expires_at).map_err(FileError::io("stamp a session file"))?;
        if root.durability == Durability::Fsync {
            file.sync_all().map_err(FileError::io("write a session file to the disk"))?;
        }
        Ok(unborn)
    }

    fn link_to(self, path: &Path) -> FileResult<bool> {
        match fs::hard_link(&self.path, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(naming_failed(error)),
        }
    }

    fn rename_over(self, path: &Path) -> FileResult<()> {
        fs::rename(&self.path, path).map_err(naming_failed)
    }
}

impl Drop for Unborn {
    fn drop(&mut self) {
        // If this fails the purge removes it. After a rename there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A purge that came between making the file and locking it has removed it: begin again.
fn naming_failed(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::Contended,
        _ => FileError::io("name a session file")(error),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
