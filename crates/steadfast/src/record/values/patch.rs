//! One value that was set in a record whose values lie where they were read.
//!
//! Most requests that write set one value. Its patch is found and written with two copies of what is around it,
//! where a list of all values would be made, walked through and thrown away.

use std::ops::Range;

use super::{Mark, Part};
use crate::record::packed::{self, Packed};
use crate::record::values::Entry;
use crate::record::wire::Writer;

#[derive(Debug, Clone)]
pub(super) struct Patch {
    /// The entry in the record in whose place it stands; nothing, at the end, for a new key.
    replaces: Range<usize>,
    pub(super) key: Part,
    pub(super) value: Vec<u8>,
    pub(super) mark: Mark,
}

impl Patch {
    pub(super) fn new(packed: Packed, base: &[u8], key: &[u8], value: Vec<u8>, mark: Mark) -> Self {
        match packed.find(base, key) {
            Some((replaces, key)) => Self { replaces, key: Part::Base(key), value, mark },
            None => Self { replaces: base.len()..base.len(), key: Part::Own(key.into()), value, mark },
        }
    }

    /// Reports whether the record does not have the key.
    pub(super) fn is_new(&self) -> bool {
        self.replaces.is_empty()
    }

    pub(super) fn is_of(&self, base: &[u8], key: &[u8]) -> bool {
        self.key.of(base) == key
    }

    pub(super) fn entry<'a>(&'a self, base: &'a [u8]) -> Entry<'a> {
        Entry { key: self.key.of(base), value: &self.value, mark: self.mark }
    }

    /// Returns the entries before it, and those after it.
    pub(super) fn around<'a>(&self, packed: Packed, base: &'a [u8]) -> [&'a [u8]; 2] {
        let start = base.len() - packed.bytes(base).len();
        [&base[start..self.replaces.start], &base[self.replaces.end..]]
    }

    /// Returns the bytes of all entries.
    pub(super) fn encoded_len(&self, packed: Packed, base: &[u8]) -> usize {
        packed.bytes(base).len() - self.replaces.len() + packed::len(&self.entry(base))
    }

    /// Writes all entries.
    pub(super) fn encode(&self, packed: Packed, base: &[u8], writer: &mut Writer) {
        let [before, after] = self.around(packed, base);
        writer.bytes(before);
        packed::encode(&self.entry(base), writer);
        writer.bytes(after);
    }
}
