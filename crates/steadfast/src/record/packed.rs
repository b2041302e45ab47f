//! The values as they lie in a record, one entry after another: the length of the key, that of the value, the
//! mark, the key, the value.

use std::ops::Range;

use super::values::{Entry, Mark};
use super::wire::{Reader, Writer};
use crate::time::Timestamp;

/// Bytes of an entry before its key, but for the deadline of a temp value.
const OVERHEAD: usize = 7;

/// The entries of a record, whose bounds were checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    /// Where they begin; they end with the record.
    start: usize,
    /// Some of them have a mark.
    pub(super) any_marked: bool,
}

impl Packed {
    /// Checks the bounds of so many entries, which are all that is left to be read.
    pub(super) fn read(reader: &mut Reader<'_>, count: usize) -> Option<Self> {
        let (start, mut rest) = (reader.position(), reader.rest());
        let mut any_marked = false;
        for _ in 0..count {
            any_marked |= entry(&mut rest)?.mark != Mark::None;
        }
        rest.is_empty().then_some(Self { start, any_marked })
    }

    /// Returns the bytes of all entries.
    pub(super) fn bytes(self, base: &[u8]) -> &[u8] {
        &base[self.start..]
    }

    /// Walks through the entries: where in the record key and value lie, and the mark.
    pub(super) fn ranges(
        self,
        base: &[u8],
    ) -> impl Iterator<Item = (Range<u32>, Range<u32>, Mark)> + use<'_> {
        let mut at = self.start;
        self.iter(base).map(move |entry| {
            let end = at + len(&entry);
            let value = end - entry.value.len();
            let range = |from, to| narrow(from)..narrow(to);
            at = end;
            (range(value - entry.key.len(), value), range(value, end), entry.mark)
        })
    }

    /// Walks through the entries.
    pub(super) fn iter(self, base: &[u8]) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        entries(self.bytes(base))
    }

    /// Finds where in the record the entry of a key lies, and the key itself.
    pub(super) fn find(self, base: &[u8], key: &[u8]) -> Option<(Range<usize>, Range<u32>)> {
        let mut rest = self.bytes(base);
        loop {
            let start = base.len() - rest.len();
            let found = entry(&mut rest)?;
            if found.key == key {
                let end = base.len() - rest.len();
                let value = end - found.value.len();
                return Some((start..end, narrow(value - key.len())..narrow(value)));
            }
        }
    }
}

/// Walks through entries that follow one another.
pub(super) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    std::iter::from_fn(move || entry(&mut bytes))
}

/// Takes the first entry off; `None` at the end, and for bytes that are none.
fn entry<'a>(bytes: &mut &'a [u8]) -> Option<Entry<'a>> {
    let ([k0, k1, v0, v1, v2, v3, mark], mut rest) = bytes.split_first_chunk::<OVERHEAD>()?;
    let mark = match mark {
        0 => Mark::None,
        1 => Mark::FlashNew,
        2 => Mark::FlashOld,
        3 => {
            let (until, after) = rest.split_first_chunk()?;
            rest = after;
            Mark::Temp(Timestamp::from_micros(u64::from_le_bytes(*until)))
        }
        _ => return None,
    };
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*k0, *k1])))?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes([*v0, *v1, *v2, *v3]) as usize)?;
    *bytes = rest;
    Some(Entry { key, value, mark })
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("records are limited far below 4 GiB")
}

/// Writes an entry.
pub(super) fn encode(Entry { key, value, mark }: &Entry<'_>, writer: &mut Writer) {
    writer.u16(u16::try_from(key.len()).expect("keys are limited below 64 KiB"));
    writer.u32(u32::try_from(value.len()).expect("values are limited far below 4 GiB"));
    match mark {
        Mark::None => writer.u8(0),
        Mark::FlashNew => writer.u8(1),
        Mark::FlashOld => writer.u8(2),
        Mark::Temp(until) => {
            writer.u8(3);
            writer.u64(until.as_micros());
        }
    }
    writer.bytes(key);
    writer.bytes(value);
}

/// Returns the bytes of an entry.
pub(super) fn len(Entry { key, value, mark }: &Entry<'_>) -> usize {
    OVERHEAD + if mark.is_temp() { 8 } else { 0 } + key.len() + value.len()
}

/// Returns where an entry without a mark lies, by its key and its value.
pub(super) fn unmarked(key: &Range<u32>, value: &Range<u32>) -> Range<usize> {
    key.start as usize - OVERHEAD..value.end as usize
}
