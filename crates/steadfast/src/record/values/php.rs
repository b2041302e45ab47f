//! The values of a session that PHP wrote, or will read: found by its own format, and kept in its order.

use bytes::Bytes;

use super::{Mark, Part, Slot, Values};
use crate::codec::php::{Content, Split};

/// A key of a session as it is to be written for PHP, with where its value comes from.
#[derive(Clone, Copy)]
pub(crate) struct ForPhp<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) content: Content<'a>,
    /// The key is the layout's own, not the application's.
    pub(crate) hidden: bool,
}

impl Values {
    /// Takes what was found in a session of PHP's.
    pub(crate) fn of_php(base: Bytes, split: Split) -> Self {
        let slot = |piece: &crate::codec::php::Piece| Slot {
            key: Part::Base(piece.key.clone()),
            value: Some(match &piece.reading {
                Some(reading) => Part::Linked(reading.clone()),
                None => Part::Base(piece.value.clone()),
            }),
            mark: Mark::None,
            was_unmarked: false,
            hidden: false,
        };
        let slots: Vec<Slot> = split.pieces.iter().map(slot).collect();
        let split = Some(std::sync::Arc::new(split));
        let mut values =
            Self { base, packed: None, patch: None, live: slots.len(), slots, index: None, split };
        values.index_if_many();
        values
    }

    /// Takes a key out of the application's sight, and returns its value. It keeps its place.
    pub(crate) fn hide(&mut self, key: &[u8]) -> Option<&[u8]> {
        let at = self.find(key)?;
        if let Some(index) = &mut self.index {
            index.remove(key);
        }
        let slot = &mut self.slots[at];
        slot.hidden = true;
        self.live -= usize::from(slot.value.is_some());
        self.slots[at].value.as_ref().map(|value| value.of(&self.base))
    }

    /// Walks through everything that is to be written, in order, what is hidden included.
    pub(crate) fn for_php(&self) -> impl Iterator<Item = ForPhp<'_>> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| {
            let content = match slot.value.as_ref()? {
                // Slots begin with what was read, in its order.
                Part::Base(_) | Part::Linked(_) => Content::Kept(at),
                Part::Own(bytes) => Content::New(bytes),
            };
            Some(ForPhp { key: slot.key.of(&self.base), content, hidden: slot.hidden })
        })
    }

    /// Returns the bytes of a value that is to be written.
    pub(crate) fn bytes_of<'a>(&'a self, content: Content<'a>) -> &'a [u8] {
        match content {
            Content::Kept(at) => self.slots[at].value.as_ref().map_or(&[], |value| value.of(&self.base)),
            Content::New(bytes) => bytes,
        }
    }

    /// Returns the session that was read, of which kept values are parts.
    pub(crate) fn original(&self) -> Option<(&[u8], &Split)> {
        self.split.as_deref().map(|split| (&self.base[..], split))
    }
}
