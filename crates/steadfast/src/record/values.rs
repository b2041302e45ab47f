//! The values of a session: a map from key to encoded bytes, in the order in which keys came.
//!
//! Reading a record only finds where keys and values lie; untouched values are copied to the next
//! record byte for byte, whatever they are.

#[cfg(feature = "php")]
mod php;

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::wire::{Reader, Writer};
use crate::time::Timestamp;

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
    slots: Vec<Slot>,
    /// Slots that hold something.
    live: usize,
    /// Where each key lies, once there are many.
    index: Option<HashMap<Box<[u8]>, usize>>,
    /// How PHP's format divides the base, if it is PHP's.
    #[cfg(feature = "php")]
    split: Option<std::sync::Arc<crate::codec::php::Split>>,
}

#[derive(Debug, Clone)]
struct Slot {
    key: Part,
    /// `None` once the key was removed; the slot stays, so that the index does.
    value: Option<Part>,
    mark: Mark,
    /// A key of the layout's own, out of the application's sight.
    #[cfg(feature = "php")]
    hidden: bool,
}

/// Bytes that lie in the record that was read, or that this request brought.
#[derive(Debug, Clone)]
enum Part {
    Base(Range<u32>),
    Own(Box<[u8]>),
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
            #[cfg(feature = "php")]
            hidden: false,
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
        self.entry(&self.slots[self.find(key)?])
    }

    /// Walks through all of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.slots.iter().filter(|slot| slot.is_visible()).filter_map(|slot| self.entry(slot))
    }

    /// Stores a value; an existing key keeps its place.
    pub(crate) fn set(&mut self, key: &[u8], value: Vec<u8>, mark: Mark) {
        let value = Some(Part::Own(value.into_boxed_slice()));
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
        let Some(at) = self.find(key) else { return false };
        let slot = &mut self.slots[at];
        slot.mark = Mark::None;
        let was = slot.value.take().is_some();
        self.live -= usize::from(was);
        was
    }

    /// Changes the mark of a value, and reports whether there is one.
    pub(crate) fn set_mark(&mut self, key: &[u8], mark: Mark) -> bool {
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

    /// Removes the values for which `stays` says no; it may change the mark of the others.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&mut Mark) -> bool) {
        for slot in self.slots.iter_mut().filter(|slot| slot.is_visible()) {
            if slot.value.is_some() && !stays(&mut slot.mark) {
                (slot.value, slot.mark) = (None, Mark::None);
                self.live -= 1;
            }
        }
    }

    /// Returns the bytes that [`encode`](Self::encode) will write.
    pub(crate) fn encoded_len(&self) -> usize {
        4 + self.iter().map(|e| entry_overhead(e.mark) + e.key.len() + e.value.len()).sum::<usize>()
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(u32::try_from(self.live).expect("the number of keys is limited far below 2³²"));
        for Entry { key, value, mark } in self.iter() {
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
    }

    pub(super) fn decode(reader: &mut Reader<'_>, base: &Bytes) -> Option<Self> {
        let count = reader.u32()? as usize;
        // A hostile count reserves no more than the bytes that are there could hold.
        let mut slots = Vec::with_capacity(count.min(base.len() / entry_overhead(Mark::None)));
        for _ in 0..count {
            let (key, value) = (usize::from(reader.u16()?), reader.u32()? as usize);
            let mark = match reader.u8()? {
                0 => Mark::None,
                1 => Mark::FlashNew,
                2 => Mark::FlashOld,
                3 => Mark::Temp(Timestamp::from_micros(reader.u64()?)),
                _ => return None,
            };
            let (key, value) = (range(reader, key)?, range(reader, value)?);
            slots.push(Slot::new(Part::Base(key), Some(Part::Base(value)), mark));
        }
        let mut values = Self { base: base.clone(), live: slots.len(), slots, ..Self::default() };
        values.index_if_many();
        let no_key_twice = values.index.as_ref().is_none_or(|index| index.len() == values.slots.len());
        (reader.is_at_end() && no_key_twice).then_some(values)
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
            self.index = Some(keys.collect());
        }
    }
}

/// Bytes of an entry beside its key and value.
const fn entry_overhead(mark: Mark) -> usize {
    7 + if mark.is_temp() { 8 } else { 0 }
}

fn range(reader: &mut Reader<'_>, len: usize) -> Option<Range<u32>> {
    let start = u32::try_from(reader.position()).ok()?;
    reader.bytes(len)?;
    Some(start..u32::try_from(reader.position()).ok()?)
}
