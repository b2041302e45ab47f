//! Reading a session file: which of its two slots and cells count, and whether the bytes are whole.
//!
//! A reader takes no lock. It reads while writers write, so it may meet a slot that is half written; the
//! other slot then has the record. But that one may have been read before it was written twice more, and
//! returning it would be reading the past. So a snapshot with a torn part is [unsettled](Snapshot::settled)
//! and counts only if a second one finds the same valid slot: in between, that slot was the newest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::store::{Record, UserKey};

use super::error::{FileError, FileResult};
use super::wire::{self, Cell, Class, Decoded, Moving, SLOT_HEADER, SMALLEST, Side, SlotHeader};

/// A record as it was read, and where.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) at: Position,
    pub(super) record: Record,
    /// No part was torn, so this is the present state even without a lock.
    pub(super) settled: bool,
}

/// Where the present state of a file is, which says where the next write goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) class: Class,
    pub(super) slot: Side,
    pub(super) slot_seq: u64,
    pub(super) cell: Option<(Side, u64)>,
    pub(super) moving: Moving,
    pub(super) user: Option<UserKey>,
}

/// Everything but the payloads: one read of one page, two for a larger file.
pub(super) struct Head {
    page: [u8; SMALLEST],
    class: Class,
    cells: [Decoded<Cell>; 2],
    slots: [RawSlot; 2],
}

struct RawSlot {
    side: Side,
    bytes: [u8; SLOT_HEADER],
    header: Decoded<SlotHeader>,
}

impl Head {
    pub(super) fn read(file: &File) -> FileResult<Self> {
        let mut page = [0; SMALLEST];
        let len = fill(file, &mut page, 0)?;
        let class = wire::decode_prelude(&page[..len])?;
        let cells = Side::BOTH.map(|side| wire::decode_cell(array_at(&page, side.cell_offset())));
        let slots =
            [RawSlot::read(file, &page, class, Side::A)?, RawSlot::read(file, &page, class, Side::B)?];
        Ok(Self { page, class, cells, slots })
    }

    /// Returns the position if a cell confirms the newest slot, which tells without reading its payload.
    ///
    /// To be trusted only under the file's lock.
    pub(super) fn confirmed(&self) -> Option<Position> {
        let (slot, header) = self.newest_first()[0]?;
        self.position(slot.side, header).filter(|at| at.cell.is_some())
    }

    /// Reads the newest record that is whole.
    pub(super) fn read_record(&self, file: &File) -> FileResult<Snapshot> {
        let [newest, older] = self.newest_first();
        let cells_are_whole = !self.cells.iter().any(|cell| matches!(cell, Decoded::Torn));
        let slots_are_whole = !self.slots.iter().any(|slot| matches!(slot.header, Decoded::Torn));
        if let Some(found) = self.read_slot(file, newest)? {
            return Ok(Snapshot { settled: cells_are_whole && slots_are_whole, ..found });
        }
        self.read_slot(file, older)?.ok_or(FileError::Damaged)
    }

    fn read_slot(&self, file: &File, slot: Option<(&RawSlot, SlotHeader)>) -> FileResult<Option<Snapshot>> {
        let Some((slot, header)) = slot else { return Ok(None) };
        let Some(at) = self.position(slot.side, header) else { return Ok(None) };
        let payload = self.payload(file, slot.side, header.len)?;
        if !wire::is_intact(&header, &slot.bytes, &payload) {
            return Ok(None);
        }
        let SlotHeader { version, user, .. } = header;
        let record = Record { payload, version, expires_at: at.moving.expires_at, user };
        Ok(Some(Snapshot { at, record, settled: false }))
    }

    /// Returns the position of a slot, unless a later one was confirmed: falling back to the record
    /// before it would lose a write that was acknowledged.
    fn position(&self, slot: Side, header: SlotHeader) -> Option<Position> {
        let cells = Side::BOTH.map(|side| (side, self.cells[side.index()]));
        let valid = cells.into_iter().filter_map(|(side, cell)| match cell {
            Decoded::Valid(cell) => Some((side, cell)),
            Decoded::Empty | Decoded::Torn => None,
        });
        if valid.clone().any(|(_, cell)| cell.slot_seq > header.seq) {
            return None;
        }
        let present = valid.filter(|(_, cell)| cell.slot_seq == header.seq).max_by_key(|(_, cell)| cell.seq);
        Some(Position {
            class: self.class,
            slot,
            slot_seq: header.seq,
            cell: present.map(|(side, cell)| (side, cell.seq)),
            moving: present.map_or(header.moving, |(_, cell)| cell.moving),
            user: header.user,
        })
    }

    fn newest_first(&self) -> [Option<(&RawSlot, SlotHeader)>; 2] {
        let [a, b] = self.slots.each_ref().map(|slot| match slot.header {
            Decoded::Valid(header) => Some((slot, header)),
            Decoded::Empty | Decoded::Torn => None,
        });
        let seq = |slot: &Option<(&RawSlot, SlotHeader)>| slot.as_ref().map(|(_, header)| header.seq);
        if seq(&a) >= seq(&b) { [a, b] } else { [b, a] }
    }

    fn payload(&self, file: &File, side: Side, len: usize) -> FileResult<Bytes> {
        let start = self.class.slot_offset(side) + SLOT_HEADER;
        if let Some(payload) = self.page.get(start..start + len) {
            return Ok(Bytes::copy_from_slice(payload));
        }
        let mut payload = vec![0; len];
        fill(file, &mut payload, start)?;
        Ok(Bytes::from(payload))
    }
}

impl RawSlot {
    fn read(file: &File, page: &[u8; SMALLEST], class: Class, side: Side) -> FileResult<Self> {
        let offset = class.slot_offset(side);
        let bytes = if offset + SLOT_HEADER <= SMALLEST {
            *array_at(page, offset)
        } else {
            let mut bytes = [0; SLOT_HEADER];
            fill(file, &mut bytes, offset)?;
            bytes
        };
        Ok(Self { side, bytes, header: wire::decode_slot_header(&bytes, class) })
    }
}

/// Reads a record without a lock.
///
/// # Errors
///
/// [`FileError::Damaged`] if the file could not be read as a whole a few times in a row. Whether it is
/// damaged or was being written is then for a reader under the lock to decide.
pub(super) fn read_unlocked(file: &File) -> FileResult<Snapshot> {
    const TRIES: u32 = 8;
    let mut before: Option<(u64, Option<u64>)> = None;
    for _ in 0..TRIES {
        let snapshot = match Head::read(file).and_then(|head| head.read_record(file)) {
            Ok(snapshot) => snapshot,
            Err(FileError::Damaged) => {
                before = None;
                continue;
            }
            Err(error) => return Err(error),
        };
        let seen = (snapshot.at.slot_seq, snapshot.at.cell.map(|(_, seq)| seq));
        if snapshot.settled || before == Some(seen) {
            return Ok(snapshot);
        }
        before = Some(seen);
    }
    Err(FileError::Damaged)
}

/// Reads as many bytes as there are; what is behind the end of the file stays as it was.
fn fill(file: &File, buffer: &mut [u8], offset: usize) -> FileResult<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], (offset + len) as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A directory or a pipe in place of the file.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EISDIR | libc::ESPIPE)) => {
                return Err(FileError::Damaged);
            }
            Err(error) => return Err(FileError::io("read a session file")(error)),
        }
    }
    Ok(len)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}
