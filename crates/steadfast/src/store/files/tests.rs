//! Crashes at every byte, and damage at every byte, of one session file.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use crate::store::{Durability, LeaseToken, Record, StoreKey, UserKey, Version};
use crate::time::Timestamp;

use super::error::FileError;
use super::record_file::{self, LockedRecord};
use super::root::Root;
use super::snapshot::{Position, Snapshot};
use super::wire::{self, Cell, Held, Moving, Side};

const KEY: StoreKey = StoreKey::from_bytes([0x5a; 16]);
const DEADLINE: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

struct Fixture {
    root: Root,
    path: PathBuf,
    _temp: TempDir,
}

impl Fixture {
    fn with(record: &Record) -> Self {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(&temp.path().join("sessions"), Durability::Process).expect("it opens");
        assert!(record_file::create(&root, &KEY, record).expect("it is made"));
        let (_, path) = root.record(&KEY);
        Self { root, path, _temp: temp }
    }

    fn load(&self) -> Result<Option<Snapshot>, FileError> {
        record_file::load(&self.root, &KEY)
    }

    fn read(&self) -> Snapshot {
        self.load().expect("it can be read").expect("it is there")
    }

    fn locked(&self) -> LockedRecord<'_> {
        LockedRecord::open(&self.root, &KEY).expect("it can be locked").expect("it is there")
    }

    fn commit(&self, record: &Record) {
        let locked = self.locked();
        let at = locked.read().expect("it can be read").at;
        locked.write(&at, record, None).expect("it can be written");
    }

    /// Writes bytes into the file as a writer would that was cut short.
    fn overwrite(&self, bytes: &[u8], offset: usize) {
        let file = OpenOptions::new().write(true).open(&self.path).expect("it opens");
        file.write_all_at(bytes, offset as u64).expect("it can be written");
    }

    /// Gives the file these bytes. Truncating it to nothing first would make some file systems wait.
    fn restore(&self, image: &[u8]) {
        let file = OpenOptions::new().write(true).open(&self.path).expect("it opens");
        file.set_len(image.len() as u64).expect("it can be cut");
        file.write_all_at(image, 0).expect("it can be written");
    }

    fn holds(&self, bytes: &[u8], offset: usize) -> bool {
        let file = fs::read(&self.path).expect("it can be read");
        file.get(offset..offset + bytes.len()) == Some(bytes)
    }
}

fn record(fill: u8, len: usize) -> Record {
    Record {
        payload: Bytes::from(vec![fill; len]),
        version: Version::fresh(),
        expires_at: DEADLINE + Duration::from_secs(fill.into()),
        user: (fill % 2 == 1).then(|| UserKey::from_bytes([fill; 16])),
    }
}

fn slot_after(at: &Position, record: &Record) -> (Vec<u8>, usize) {
    let slot = wire::encode_slot(at.slot_seq + 1, record, None).expect("it fits");
    (slot, at.class.slot_offset(at.slot.other()))
}

/// Cuts the write of `new` at every byte.
#[track_caller]
fn check_every_cut(before: &[Record], new: &Record) {
    let fixture = Fixture::with(&before[0]);
    before[1..].iter().for_each(|record| fixture.commit(record));
    let old = before.last().expect("there is one");
    let image = fs::read(&fixture.path).expect("it can be read");
    let (slot, offset) = slot_after(&fixture.read().at, new);
    for cut in 0..=slot.len() {
        fixture.restore(&image);
        fixture.overwrite(&slot[..cut], offset);
        // The last bytes can be there already: then the cut write is whole.
        let expected = if fixture.holds(&slot, offset) { new } else { old };
        let unlocked = fixture.read().record;
        let locked = fixture.locked().read().expect("it can be read").record;
        assert!(unlocked == *expected, "cut at {cut}: {unlocked:?}");
        assert!(locked == *expected, "cut at {cut}: {locked:?}");
    }
}

#[test]
fn a_write_into_the_empty_slot_that_is_cut_at_any_byte_leaves_the_old_record() {
    check_every_cut(&[record(1, 100)], &record(2, 300));
}

#[test]
fn a_write_over_an_older_record_that_is_cut_at_any_byte_leaves_the_old_record() {
    check_every_cut(&[record(1, 400), record(2, 300), record(3, 100)], &record(4, 200));
    check_every_cut(&[record(1, 100), record(2, 100)], &record(1, 100));
}

#[test]
fn a_write_into_a_large_file_that_is_cut_at_any_byte_leaves_the_old_record() {
    check_every_cut(&[record(1, 5_000), record(2, 200)], &record(3, 150));
}

#[test]
fn a_deadline_that_is_cut_at_any_byte_leaves_the_old_deadline() {
    let fixture = Fixture::with(&record(1, 10));
    let at = fixture.read().at;
    let moving = Moving { expires_at: Timestamp::MAX, lease: None };
    let cell = wire::encode_cell(&Cell { seq: 2, slot_seq: at.slot_seq, moving });
    for cut in 0..=cell.len() {
        fixture.overwrite(&[0; wire::CELL], Side::B.cell_offset());
        fixture.overwrite(&cell[..cut], Side::B.cell_offset());
        let found = fixture.read().record.expires_at;
        let whole = fixture.holds(&cell, Side::B.cell_offset());
        let expected = if whole { Timestamp::MAX } else { at.moving.expires_at };
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn a_record_that_was_acknowledged_and_is_damaged_is_never_the_record_before_it() {
    let fixture = Fixture::with(&record(1, 50));
    let present = record(2, 60);
    fixture.commit(&present);
    let image = fs::read(&fixture.path).expect("it can be read");
    for at in 0..image.len() {
        let mut damaged = image.clone();
        damaged[at] ^= 0x10;
        fixture.restore(&damaged);
        match fixture.load() {
            Ok(Some(found)) => assert!(found.record == present, "byte {at}: {found:?}"),
            Err(FileError::Damaged | FileError::NewerFormat) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
    for len in 0..wire::SLOTS {
        fixture.restore(&image[..len]);
        assert!(matches!(fixture.load(), Err(FileError::Damaged)), "{len} bytes left");
    }
}

#[test]
fn the_first_write_after_a_crash_heals_the_file() {
    let fixture = Fixture::with(&record(1, 100));
    let (slot, offset) = slot_after(&fixture.read().at, &record(2, 300));
    fixture.overwrite(&slot[..200], offset);
    assert!(!fixture.read().settled);
    let healed = record(3, 30);
    fixture.commit(&healed);
    let found = fixture.read();
    assert!(found.settled && found.record == healed);
}

#[test]
fn a_lease_and_a_deadline_move_without_the_record() {
    let fixture = Fixture::with(&record(1, 100));
    let before = fixture.read().record;
    let held = Held { token: LeaseToken::fresh(), until: DEADLINE };
    let locked = fixture.locked();
    locked.write_lease(&locked.position().expect("readable"), Some(held)).expect("writable");
    let at = locked.position().expect("readable");
    locked.write_deadline(&at, Moving { expires_at: Timestamp::MAX, ..at.moving }).expect("writable");
    drop(locked);
    let found = fixture.read();
    assert_eq!(found.at.moving, Moving { expires_at: Timestamp::MAX, lease: Some(held) });
    assert!(found.record == Record { expires_at: Timestamp::MAX, ..before });
}

#[test]
fn a_record_grows_into_a_larger_file_and_shrinks_into_a_smaller_one() {
    let fixture = Fixture::with(&record(1, 100));
    for len in [2_000, 50_000, 3 << 20, 100, 0] {
        let next = record(2, len);
        fixture.commit(&next);
        assert!(fixture.read().record == next, "{len}");
        assert_eq!(fs::metadata(&fixture.path).expect("it is there").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&fixture.path).expect("it is there").len(), wire::SMALLEST as u64);
    let left = fs::read_dir(fixture.path.parent().expect("a parent")).expect("it can be listed").count();
    assert_eq!(left, 1, "no unborn file is left");
}

#[test]
fn a_writer_that_was_overtaken_by_a_deletion_finds_the_record_missing() {
    let fixture = Fixture::with(&record(1, 100));
    let locked = fixture.locked();
    assert!(matches!(LockedRecord::open(&fixture.root, &KEY), Err(FileError::Contended)));
    locked.remove().expect("it can be removed");
    drop(locked);
    assert!(LockedRecord::open(&fixture.root, &KEY).expect("it can be looked for").is_none());
    assert!(fixture.load().expect("it can be looked for").is_none());
}
