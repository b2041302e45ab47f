//! The values of a session: a map from key to encoded bytes, in the order in which keys came.
//!
//! Reading a record only checks its bounds: a session that is only read is searched where it lies, and so is one in
//! which one value was set; a list of its values is made once more changes. Untouched values are copied to the next record byte for byte,
//! whatever they are.

mod patch;
#[cfg(feature = "php")]
mod php;

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::packed::{self, Packed};
use super::wire::{Reader, Writer};
use crate::time::Timestamp;

use patch::Patch;
#[cfg(feature = "php")]
pub(crate) use php::ForPhp;

/// Up to how many keys a walk through them is faster than a hash table.
const WALK: usize = 24;

/// How long a value lasts. The set is closed: it is what a record can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As long as the session.
    None,
    /// A flash value, set by the present request or kept by it: lasts through the next one.
    FlashNew,
    /// A flash value that lasts through the present request.
    FlashOld,
    /// A temp value: lasts through this instant.
    Temp(Timestamp),
}

impl Mark {
    pub(crate) const fn is_flash(self) -> bool {
        matches!(self, Self::FlashNew | Self::FlashOld)
    }

    pub(crate) const fn is_temp(self) -> bool {
        matches!(self, Self::Temp(_))
    }

    /// Reports whether a value with this mark is there now.
    pub(crate) fn lasts(self, now: impl FnOnce() -> Timestamp) -> bool {
        !matches!(self, Self::Temp(until) if until < now())
    }
}

/// A map from key to encoded value and mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    /// The record that was read; parts of it are values.
    base: Bytes,
    /// Where the values lie in the record, as long as at most one of them was set. There are no slots then.
    packed: Option<Packed>,
    /// The one value that was set since. There are no slots then.
    patch: Option<Box<Patch>>,
    slots: Vec<Slot>,
    /// Values that are there.
    live: usize,
    /// Where each key lies, once there are many.
    index: Option<Box<Index>>,
    /// How PHP's format divides the base, if it is PHP's.
    #[cfg(feature = "php")]
    split: Option<std::sync::Arc<crate::codec::php::Split>>,
}

/// Finds the slot of a key.
type Index = HashMap<Box<[u8]>, usize>;

#[derive(Debug, Clone)]
struct Slot {
    key: Part,
    /// `None` once the key was removed; the slot stays, so that the index does.
    value: Option<Part>,
    mark: Mark,
    /// It lies in the record, and has no mark there.
    was_unmarked: bool,
    /// A key of the layout's own, out of the application's sight.
    #[cfg(feature = "php")]
    hidden: bool,
}

/// Bytes that lie in the record that was read, or that this request brought.
#[derive(Debug, Clone)]
enum Part {
    Base(Range<u32>),
    Own(Vec<u8>),
    /// Lies in the record, too, but refers to other values there; this is what it reads as.
    #[cfg(feature = "php")]
    Linked(Box<[u8]>),
}

impl Part {
    fn of<'a>(&'a self, base: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Base(range) => &base[range.start as usize..range.end as usize],
            Self::Own(bytes) => bytes,
            #[cfg(feature = "php")]
            Self::Linked(bytes) => bytes,
        }
    }
}

impl Slot {
    fn new(key: Part, value: Option<Part>, mark: Mark) -> Self {
        Self {
            key,
            value,
            mark,
            was_unmarked: false,
            #[cfg(feature = "php")]
            hidden: false,
        }
    }

    /// Returns where the entry lies in the record, if it is to be written as it is there.
    fn unchanged(&self) -> Option<Range<usize>> {
        match (&self.key, &self.value, self.mark) {
            (Part::Base(key), Some(Part::Base(value)), Mark::None) if self.was_unmarked => {
                Some(packed::unmarked(key, value))
            }
            _ => None,
        }
    }

    fn is_visible(&self) -> bool {
        #[cfg(feature = "php")]
        return !self.hidden;
        #[cfg(not(feature = "php"))]
        true
    }
}

/// A value with its key and mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) mark: Mark,
}

impl Values {
    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Finds a value.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        match (self.packed, &self.patch) {
            (Some(_), Some(patch)) if patch.is_of(&self.base, key) => Some(patch.entry(&self.base)),
            (Some(packed), _) => packed.iter(&self.base).find(|entry| entry.key == key),
            (None, _) => self.entry(&self.slots[self.find(key)?]),
        }
    }

    /// Walks through all of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let [before, after] = match (self.packed, &self.patch) {
            (None, _) => [&[][..]; 2],
            (Some(packed), None) => [packed.bytes(&self.base), &[]],
            (Some(packed), Some(patch)) => patch.around(packed, &self.base),
        };
        let patch = self.patch.iter().map(|patch| patch.entry(&self.base));
        let packed = packed::entries(before).chain(patch).chain(packed::entries(after));
        let slots = self.slots.iter().filter(|slot| slot.is_visible()).filter_map(|slot| self.entry(slot));
        packed.chain(slots)
    }

    /// Stores a value; an existing key keeps its place.
    pub(crate) fn set(&mut self, key: &[u8], value: Vec<u8>, mark: Mark) {
        match (self.packed, &mut self.patch) {
            (Some(packed), None) => {
                let patch = Patch::new(packed, &self.base, key, value, mark);
                self.live += usize::from(patch.is_new());
                self.patch = Some(Box::new(patch));
            }
            (Some(_), Some(patch)) if patch.is_of(&self.base, key) => {
                (patch.value, patch.mark) = (value, mark);
            }
            _ => {
                self.unpack();
                self.set_slot(key, value, mark);
            }
        }
    }

    fn set_slot(&mut self, key: &[u8], value: Vec<u8>, mark: Mark) {
        let value = Some(Part::Own(value));
        if let Some(at) = self.find(key) {
            let slot = &mut self.slots[at];
            self.live += usize::from(slot.value.is_none());
            (slot.value, slot.mark) = (value, mark);
            return;
        }
        if let Some(index) = &mut self.index {
            index.insert(key.into(), self.slots.len());
        }
        self.slots.push(Slot::new(Part::Own(key.into()), value, mark));
        self.live += 1;
        self.index_if_many();
    }

    /// Removes a value with its mark, and reports whether there was one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        self.unpack();
        let Some(at) = self.find(key) else { return false };
        let slot = &mut self.slots[at];
        slot.mark = Mark::None;
        let was = slot.value.take().is_some();
        self.live -= usize::from(was);
        was
    }

    /// Changes the mark of a value, and reports whether there is one.
    pub(crate) fn set_mark(&mut self, key: &[u8], mark: Mark) -> bool {
        self.unpack();
        let Some(at) = self.find(key) else { return false };
        let slot = &mut self.slots[at];
        if slot.value.is_none() {
            return false;
        }
        slot.mark = mark;
        true
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes the values with a mark for which `stays` says no; it may change the mark of the others.
    pub(crate) fn retain_marked(&mut self, mut stays: impl FnMut(&mut Mark) -> bool) {
        if self.is_unmarked() {
            return;
        }
        self.unpack();
        for slot in self.slots.iter_mut().filter(|slot| slot.is_visible() && slot.mark != Mark::None) {
            if slot.value.is_some() && !stays(&mut slot.mark) {
                (slot.value, slot.mark) = (None, Mark::None);
                self.live -= 1;
            }
        }
    }

    /// Reports whether there are flash values.
    pub(crate) fn any_flash(&self) -> bool {
        !self.is_unmarked() && self.iter().any(|entry| entry.mark.is_flash())
    }

    /// Reports whether it is known without a look at them that no value has a mark.
    fn is_unmarked(&self) -> bool {
        let patch = self.patch.as_ref();
        self.packed.is_some_and(|packed| !packed.any_marked) && patch.is_none_or(|p| p.mark == Mark::None)
    }

    /// Returns the bytes that [`encode`](Self::encode) will write.
    pub(crate) fn encoded_len(&self) -> usize {
        let of_slot = |slot: &Slot| match slot.unchanged() {
            Some(entry) => entry.len(),
            None => self.entry(slot).map_or(0, |entry| packed::len(&entry)),
        };
        let packed = match (self.packed, &self.patch) {
            (None, _) => 0,
            (Some(packed), None) => packed.bytes(&self.base).len(),
            (Some(packed), Some(patch)) => patch.encoded_len(packed, &self.base),
        };
        let slots = self.slots.iter().filter(|slot| slot.is_visible());
        4 + packed + slots.map(of_slot).sum::<usize>()
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(u32::try_from(self.live).expect("the number of keys is limited far below 2³²"));
        match (self.packed, &self.patch) {
            (None, _) => {}
            (Some(packed), None) => return writer.bytes(packed.bytes(&self.base)),
            (Some(packed), Some(patch)) => return patch.encode(packed, &self.base, writer),
        }
        // Neighbours that stay what they were are copied at once.
        let mut run = 0..0;
        for slot in self.slots.iter().filter(|slot| slot.is_visible()) {
            if let Some(entry) = slot.unchanged() {
                if run.end != entry.start {
                    writer.bytes(&self.base[run]);
                    run = entry.start..entry.start;
                }
                run.end = entry.end;
            } else if let Some(entry) = self.entry(slot) {
                writer.bytes(&self.base[std::mem::take(&mut run)]);
                packed::encode(&entry, writer);
            }
        }
        writer.bytes(&self.base[run]);
    }

    pub(super) fn decode(reader: &mut Reader<'_>, base: &Bytes) -> Option<Self> {
        let count = reader.u32()? as usize;
        let packed = Packed::read(reader, count)?;
        let mut values = Self { base: base.clone(), packed: Some(packed), live: count, ..Self::default() };
        if count > WALK {
            values.unpack();
        }
        let no_key_twice = values.index.as_ref().is_none_or(|index| index.len() == count);
        no_key_twice.then_some(values)
    }

    /// Makes the list of values, before more than one of them changes.
    fn unpack(&mut self) {
        let Some(packed) = self.packed.take() else { return };
        // One more, for a value that is about to come.
        self.slots.reserve_exact(self.live + 1);
        let patch = self.patch.take();
        self.live -= usize::from(patch.as_ref().is_some_and(|patch| patch.is_new()));
        for (key, value, mark) in packed.ranges(&self.base) {
            let slot = Slot::new(Part::Base(key), Some(Part::Base(value)), mark);
            self.slots.push(Slot { was_unmarked: mark == Mark::None, ..slot });
        }
        self.index_if_many();
        if let Some(Patch { key, value, mark, .. }) = patch.map(|patch| *patch) {
            let base = self.base.clone();
            self.set_slot(key.of(&base), value, mark);
        }
    }

    fn entry<'a>(&'a self, slot: &'a Slot) -> Option<Entry<'a>> {
        let value = slot.value.as_ref()?.of(&self.base);
        Some(Entry { key: slot.key.of(&self.base), value, mark: slot.mark })
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.slots.iter().position(|slot| slot.is_visible() && slot.key.of(&self.base) == key),
        }
    }

    fn index_if_many(&mut self) {
        if self.index.is_none() && self.slots.len() > WALK {
            let visible = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_visible());
            let keys = visible.map(|(at, slot)| (slot.key.of(&self.base).into(), at));
            self.index = Some(Box::new(keys.collect()));
        }
    }
}
