//! The bytes of a session file, format 1. No I/O here; `docs/wire-format.md` is the specification.
//!
//! A file is a *prelude* that never changes, two *cells* and two *slots*. A slot holds a whole record;
//! a cell holds what changes without the record (its deadline and its lease) and confirms the slot that
//! it names. Each has a sequence number and a checksum, and the one that is *not* in use is overwritten,
//! so a write that is cut anywhere leaves what was there before.

use crate::store::{LeaseToken, Record, UserKey, Version};
use crate::time::Timestamp;

use super::error::{FileError, FileResult};

/// The first bytes of every session file.
const MAGIC: [u8; 8] = *b"stdfast\n";
/// The format that this code writes.
const FORMAT: u16 = 1;

/// Length of the prelude.
const PRELUDE: usize = 32;
/// Length of a cell.
pub(super) const CELL: usize = 48;
/// Where the cells begin. All within one sector of a disk, which is written as a whole.
const CELL_OFFSETS: [usize; 2] = [64, 128];
/// Where the first slot begins.
pub(super) const SLOTS: usize = 256;
/// Length of what precedes the payload in a slot.
pub(super) const SLOT_HEADER: usize = 72;

/// The smallest file: one page, which one read fetches whole.
pub(super) const SMALLEST: usize = 4096;
/// The largest file is `SMALLEST << LARGEST_CLASS`, 1 GiB.
const LARGEST_CLASS: u32 = 18;
/// Files of this class (64 KiB) and above shrink again when the record does.
const SHRINKING_CLASS: u32 = 4;
/// How many classes too large a file must be before it shrinks: eight times too large.
const SHRINK_BY: u32 = 3;

/// Bit of a slot's flags: the record is bound to a user.
const HAS_USER: u32 = 1;

/// The size class of a file: it has `4096 << class` bytes, half of them (less the head) for each slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Class(u32);

impl Class {
    /// Returns the smallest class whose slots hold a payload of this length.
    pub(super) fn for_payload(len: usize) -> FileResult<Self> {
        (0..=LARGEST_CLASS)
            .map(Self)
            .find(|class| class.capacity() - SLOT_HEADER >= len)
            .ok_or(FileError::TooLarge)
    }

    /// Returns the length of a slot.
    pub(super) const fn capacity(self) -> usize {
        ((SMALLEST << self.0) - SLOTS) / 2
    }

    /// Returns where a slot begins.
    pub(super) const fn slot_offset(self, slot: Side) -> usize {
        SLOTS + slot.index() * self.capacity()
    }

    /// Reports whether a record that needs `needed` should move to a file of that class.
    pub(super) const fn is_outgrown_by(self, needed: Self) -> bool {
        needed.0 > self.0 || (self.0 >= SHRINKING_CLASS && needed.0 + SHRINK_BY <= self.0)
    }
}

/// One of the two cells or slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// Returns where the cell of this side begins.
    pub(super) const fn cell_offset(self) -> usize {
        CELL_OFFSETS[self.index()]
    }
}

/// A lease as it is stored: who holds it and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) token: LeaseToken,
    pub(super) until: Timestamp,
}

/// What changes without the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moving {
    pub(super) expires_at: Timestamp,
    pub(super) lease: Option<Held>,
}

/// A cell: the present deadline and lease of the record in the slot with the number `slot_seq`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    pub(super) seq: u64,
    pub(super) slot_seq: u64,
    pub(super) moving: Moving,
}

/// What a slot says about its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlotHeader {
    checksum: u32,
    pub(super) len: usize,
    pub(super) seq: u64,
    pub(super) version: Version,
    pub(super) user: Option<UserKey>,
    pub(super) moving: Moving,
}

/// The outcome of decoding a cell or the header of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decoded<T> {
    Valid(T),
    /// Never written: all zero.
    Empty,
    /// Half written, or damaged.
    Torn,
}

/// Returns the prelude of a file.
fn encode_prelude(class: Class) -> [u8; PRELUDE] {
    let mut bytes = [0; PRELUDE];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&class.0.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..28]);
    bytes[28..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the prelude at the beginning of a file.
///
/// # Errors
///
/// [`FileError::NewerFormat`] if a later version of this library wrote it, of which nothing but the
/// magic and the number is looked at; [`FileError::Damaged`] if it is not a session file.
pub(super) fn decode_prelude(file: &[u8]) -> FileResult<Class> {
    let bytes = file.get(..PRELUDE).ok_or(FileError::Damaged)?;
    if bytes[..8] != MAGIC {
        return Err(FileError::Damaged);
    }
    if u16::from_le_bytes([bytes[8], bytes[9]]) > FORMAT {
        return Err(FileError::NewerFormat);
    }
    let class = Class(u32_at(bytes, 12));
    if u32_at(bytes, 28) != crc32fast::hash(&bytes[..28]) || class.0 > LARGEST_CLASS {
        return Err(FileError::Damaged);
    }
    Ok(class)
}

/// Returns the bytes of a cell.
pub(super) fn encode_cell(cell: &Cell) -> [u8; CELL] {
    let Cell { seq, slot_seq, moving } = *cell;
    let mut bytes = [0; CELL];
    bytes[8..16].copy_from_slice(&seq.to_le_bytes());
    bytes[16..24].copy_from_slice(&slot_seq.to_le_bytes());
    put_moving(&mut bytes[24..48], moving);
    let checksum = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads a cell.
pub(super) fn decode_cell(bytes: &[u8; CELL]) -> Decoded<Cell> {
    if *bytes == [0; CELL] {
        return Decoded::Empty;
    }
    if u32_at(bytes, 0) != crc32fast::hash(&bytes[4..]) {
        return Decoded::Torn;
    }
    Decoded::Valid(Cell {
        seq: u64_at(bytes, 8),
        slot_seq: u64_at(bytes, 16),
        moving: moving_at(&bytes[24..48]),
    })
}

/// Returns the bytes of a slot: the header and the payload behind it.
pub(super) fn encode_slot(seq: u64, record: &Record, lease: Option<Held>) -> FileResult<Vec<u8>> {
    let Record { payload, version, expires_at, user } = record;
    let len = u32::try_from(payload.len()).map_err(|_| FileError::TooLarge)?;
    let mut bytes = vec![0; SLOT_HEADER + payload.len()];
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    bytes[8..16].copy_from_slice(&seq.to_le_bytes());
    bytes[16..24].copy_from_slice(&version.as_u64().to_le_bytes());
    put_moving(&mut bytes[24..48], Moving { expires_at: *expires_at, lease });
    if let Some(user) = user {
        bytes[48..64].copy_from_slice(user.as_bytes());
        bytes[64..68].copy_from_slice(&HAS_USER.to_le_bytes());
    }
    bytes[SLOT_HEADER..].copy_from_slice(payload);
    let checksum = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Reads the header of a slot. Whether it is true is known once [`is_intact`] has seen the payload.
pub(super) fn decode_slot_header(bytes: &[u8; SLOT_HEADER], class: Class) -> Decoded<SlotHeader> {
    if *bytes == [0; SLOT_HEADER] {
        return Decoded::Empty;
    }
    let len = u32_at(bytes, 4) as usize;
    if len > class.capacity() - SLOT_HEADER {
        return Decoded::Torn;
    }
    let user: [u8; 16] = bytes[48..64].try_into().expect("a user is 16 bytes");
    Decoded::Valid(SlotHeader {
        checksum: u32_at(bytes, 0),
        len,
        seq: u64_at(bytes, 8),
        version: Version::from_u64(u64_at(bytes, 16)),
        user: (u32_at(bytes, 64) & HAS_USER != 0).then(|| UserKey::from_bytes(user)),
        moving: moving_at(&bytes[24..48]),
    })
}

/// Reports whether the bytes of a slot are those that its writer wrote.
pub(super) fn is_intact(header: &SlotHeader, header_bytes: &[u8; SLOT_HEADER], payload: &[u8]) -> bool {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header_bytes[4..]);
    hasher.update(payload);
    payload.len() == header.len && hasher.finalize() == header.checksum
}

/// Returns a new file with one record in slot A, confirmed by cell A.
///
/// The smallest file is written whole; of a larger one the second slot is left for the write that uses it.
pub(super) fn encode_file(
    class: Class,
    seq: u64,
    record: &Record,
    lease: Option<Held>,
) -> FileResult<Vec<u8>> {
    let slot = encode_slot(seq, record, lease)?;
    let moving = Moving { expires_at: record.expires_at, lease };
    let mut file = vec![0; (SLOTS + slot.len()).max(SMALLEST)];
    file[..PRELUDE].copy_from_slice(&encode_prelude(class));
    let cell = encode_cell(&Cell { seq: 1, slot_seq: seq, moving });
    file[CELL_OFFSETS[0]..][..CELL].copy_from_slice(&cell);
    file[SLOTS..][..slot.len()].copy_from_slice(&slot);
    Ok(file)
}

fn put_moving(bytes: &mut [u8], moving: Moving) {
    let Moving { expires_at, lease } = moving;
    bytes[..8].copy_from_slice(&expires_at.as_micros().to_le_bytes());
    if let Some(Held { token, until }) = lease {
        bytes[8..16].copy_from_slice(&token.as_u64().to_le_bytes());
        bytes[16..24].copy_from_slice(&until.as_micros().to_le_bytes());
    }
}

fn moving_at(bytes: &[u8]) -> Moving {
    let token = u64_at(bytes, 8);
    let until = Timestamp::from_micros(u64_at(bytes, 16));
    Moving {
        expires_at: Timestamp::from_micros(u64_at(bytes, 0)),
        lease: (token != 0).then(|| Held { token: LeaseToken::from_u64(token), until }),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight bytes"))
}

/// Reads a file as a store does, after mending its checksums, and holds what it read against what it would
/// write.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_for_fuzzing(file: &mut [u8]) {
    if let Some(prelude) = file.get_mut(..PRELUDE) {
        let checksum = crc32fast::hash(&prelude[..28]);
        prelude[28..].copy_from_slice(&checksum.to_le_bytes());
    }
    let Ok(class) = decode_prelude(file) else { return };
    for side in Side::BOTH {
        let at = side.cell_offset();
        if let Some(bytes) = file.get(at..at + CELL) {
            let mut bytes: [u8; CELL] = bytes.try_into().expect("the length of a cell");
            let checksum = crc32fast::hash(&bytes[4..]);
            bytes[..4].copy_from_slice(&checksum.to_le_bytes());
            if let Decoded::Valid(cell) = decode_cell(&bytes) {
                let again = decode_cell(&encode_cell(&cell));
                assert!(matches!(again, Decoded::Valid(again) if again == cell));
            }
        }
        let slot = file.get(class.slot_offset(side)..).unwrap_or_default();
        if let Some((header, payload)) = slot.split_first_chunk::<SLOT_HEADER>()
            && let Decoded::Valid(read) = decode_slot_header(header, class)
        {
            assert!(!is_intact(&read, header, payload) || read.len == payload.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record() -> Record {
        Record {
            payload: Bytes::from_static(b"payload"),
            version: Version::from_u64(0x1122_3344_5566_7788),
            expires_at: Timestamp::from_micros(1_767_225_600_000_000),
            user: Some(UserKey::from_bytes([0xab; 16])),
        }
    }

    fn lease() -> Held {
        Held { token: LeaseToken::from_u64(42), until: Timestamp::from_micros(1_767_225_630_000_000) }
    }

    #[test]
    fn the_bytes_of_format_1_are_those_of_the_golden_file() {
        let class = Class::for_payload(7).expect("it fits");
        let mut file = encode_file(class, 1, &record(), None).expect("it fits");
        let second = Record { payload: Bytes::from_static(b"second"), user: None, ..record() };
        let slot = encode_slot(2, &second, Some(lease())).expect("it fits");
        file[class.slot_offset(Side::B)..][..slot.len()].copy_from_slice(&slot);
        let moving = Moving { expires_at: second.expires_at, lease: Some(lease()) };
        let cell = encode_cell(&Cell { seq: 2, slot_seq: 2, moving });
        file[Side::B.cell_offset()..][..CELL].copy_from_slice(&cell);
        let golden = include_bytes!("../../../tests/golden/files-v1.bin");
        assert!(file == golden, "format 1 must never change: make a format 2");
    }

    #[test]
    fn cells_and_slots_are_read_back() {
        let moving = Moving { expires_at: record().expires_at, lease: Some(lease()) };
        let cell = Cell { seq: 3, slot_seq: 9, moving };
        assert_eq!(decode_cell(&encode_cell(&cell)), Decoded::Valid(cell));

        let class = Class::for_payload(7).expect("it fits");
        let slot = encode_slot(9, &record(), Some(lease())).expect("it fits");
        let (head, payload) = slot.split_first_chunk::<SLOT_HEADER>().expect("a slot has a header");
        let Decoded::Valid(header) = decode_slot_header(head, class) else { panic!("the header is valid") };
        assert!(is_intact(&header, head, payload));
        assert_eq!((header.seq, header.len, header.moving), (9, 7, moving));
        assert_eq!((header.version, header.user), (record().version, record().user));
    }

    #[test]
    fn every_flipped_byte_of_a_cell_or_slot_is_noticed() {
        let cell = Cell { seq: 3, slot_seq: 9, moving: Moving { expires_at: Timestamp::MAX, lease: None } };
        for at in 0..CELL {
            let mut bytes = encode_cell(&cell);
            bytes[at] ^= 0x40;
            assert_eq!(decode_cell(&bytes), Decoded::Torn, "byte {at}");
        }
        let class = Class::for_payload(7).expect("it fits");
        let whole = encode_slot(9, &record(), None).expect("it fits");
        for at in 0..whole.len() {
            let mut slot = whole.clone();
            slot[at] ^= 0x40;
            let (head, payload) = slot.split_first_chunk::<SLOT_HEADER>().expect("a slot has a header");
            let noticed = match decode_slot_header(head, class) {
                Decoded::Valid(header) => !is_intact(&header, head, payload),
                Decoded::Empty | Decoded::Torn => true,
            };
            assert!(noticed, "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage_whatever_else_it_changed() {
        let class = Class::for_payload(0).expect("it fits");
        let mut prelude = encode_prelude(class);
        assert_eq!(decode_prelude(&prelude).expect("it is ours"), class);
        prelude[8] = 2;
        assert!(matches!(decode_prelude(&prelude), Err(FileError::NewerFormat)));
        prelude[0] = b'S';
        assert!(matches!(decode_prelude(&prelude), Err(FileError::Damaged)));
        assert!(matches!(decode_prelude(&[]), Err(FileError::Damaged)));
    }

    #[test]
    fn a_class_has_room_for_its_payload_and_the_largest_is_bounded() {
        for len in [0, 1, 1_848, 1_849, 3_896, 3_897, 10 << 20] {
            let class = Class::for_payload(len).expect("it fits");
            assert!(class.capacity() - SLOT_HEADER >= len);
            assert!(class.0 == 0 || Class(class.0 - 1).capacity() - SLOT_HEADER < len, "{len}");
        }
        assert!(matches!(Class::for_payload(1 << 30), Err(FileError::TooLarge)));
    }

    #[test]
    fn a_file_is_outgrown_by_a_larger_record_and_by_a_much_smaller_one() {
        assert!(Class(0).is_outgrown_by(Class(1)));
        assert!(!Class(3).is_outgrown_by(Class(0)), "small files don't shrink");
        assert!(!Class(6).is_outgrown_by(Class(4)), "a quarter is not much smaller");
        assert!(Class(6).is_outgrown_by(Class(3)));
    }
}
