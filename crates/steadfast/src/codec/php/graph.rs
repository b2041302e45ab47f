//! Values with references among them: which names lead to which value.
//!
//! An *entry* is a place that holds a value: an element, a property, a key of the session. A *cell* is what
//! it holds; entries that are PHP references of each other hold the same cell. An object that is met again
//! is a cell of its own that leads to the object's.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::split::Entry as Found;
use super::token::{Fault, Key, Parsed, Reader, Sink, Token};
use crate::policy::PhpFormat;

/// The values of one or several documents that share their numbers.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) entries: Vec<Entry>,
    pub(super) cells: Vec<Cell>,
    /// Which entry PHP numbered 1, 2, ….
    slots: Vec<u32>,
}

/// A place that holds a value.
pub(super) struct Entry {
    /// Its key as it is written; empty for the top of a document.
    pub(super) key: Range<u32>,
    pub(super) cell: u32,
    /// What comes after it in the same array or object.
    pub(super) next: Option<u32>,
}

/// A value.
pub(super) struct Cell {
    pub(super) body: Body,
    /// Where it is written; of an array or object, its head.
    pub(super) at: Range<u32>,
    /// The first entry in it.
    pub(super) first: Option<u32>,
    last: Option<u32>,
    /// How many entries are in it.
    pub(super) size: u32,
}

/// What kind of value a cell holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// One without an identity of its own.
    Plain,
    Array {
        count: u32,
    },
    Object {
        count: u32,
    },
    /// An object that holds no entries: an enum's case, or one in a format of its class's own.
    Closed,
    /// The object in this cell.
    Same(u32),
}

/// Nothing of the values is shown.
impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} entries)", self.entries.len())
    }
}

impl Graph {
    /// Follows the references in one value. Returns the value's entry, too.
    pub(super) fn of_value(bytes: &[u8]) -> Parsed<(Self, u32)> {
        let mut builder = Builder::default();
        let mut reader = Reader::new(bytes);
        let value = builder.document(&mut reader)?;
        if reader.is_done() { Ok((builder.graph, value)) } else { Err(Fault) }
    }

    /// Follows the references in a session. Returns the entry of each piece's value, too.
    pub(super) fn of_session(
        format: PhpFormat,
        bytes: &[u8],
        found: &[Found],
        places: &[usize],
    ) -> Parsed<(Self, Vec<u32>)> {
        let mut builder = Builder::default();
        if format == PhpFormat::PhpSerialize {
            let top = builder.document(&mut Reader::new(bytes))?;
            let values = builder.graph.within(builder.graph.cell_of(top)).collect();
            return Ok((builder.graph, values));
        }
        let mut values = vec![0; places.iter().max().map_or(0, |last| last + 1)];
        for (entry, place) in found.iter().zip(places) {
            // Of equal keys the last one wins, but the values of all of them were numbered.
            values[*place] = builder.document(&mut Reader::starting_at(bytes, entry.value.start))?;
        }
        Ok((builder.graph, values))
    }

    /// Returns what an entry holds, by number.
    pub(super) fn cell_of(&self, entry: u32) -> u32 {
        self.entries[entry as usize].cell
    }

    /// Returns a cell.
    pub(super) fn cell(&self, cell: u32) -> &Cell {
        &self.cells[cell as usize]
    }

    /// Returns the cell of the object that a cell holds, if it holds one.
    pub(super) fn identity(&self, cell: u32) -> Option<u32> {
        match self.cell(cell).body {
            Body::Object { .. } | Body::Closed => Some(cell),
            Body::Same(object) => Some(object),
            Body::Plain | Body::Array { .. } => None,
        }
    }

    /// Returns the entries in a cell.
    pub(super) fn within(&self, cell: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.cell(cell).first, |entry| self.entries[*entry as usize].next)
    }
}

/// Builds a graph as PHP would build the values.
#[derive(Default)]
struct Builder<'a> {
    graph: Graph,
    /// The arrays and objects that have begun and not ended.
    open: Vec<Open>,
    /// The key of the value that comes next.
    key: Option<(Key<'a>, Range<u32>)>,
    /// The entries by cell and key, but of lists: there a key says where its entry is.
    known: HashMap<(u32, Cow<'a, [u8]>), u32>,
}

struct Open {
    cell: u32,
    /// The keys so far were 0, 1, 2, …, and are not in `known`.
    is_list: bool,
}

impl<'a> Builder<'a> {
    /// Reads one document; returns its entry.
    fn document(&mut self, reader: &mut Reader<'a>) -> Parsed<u32> {
        let top = self.graph.entries.len() as u32;
        reader.walk(0, self)?;
        Ok(top)
    }

    /// Returns the entry for the next value. PHP writes a value with a key that was there before into the
    /// same place.
    fn entry(&mut self) -> u32 {
        let new = self.graph.entries.len() as u32;
        let Some((key, at)) = self.key.take() else {
            self.graph.entries.push(Entry { key: 0..0, cell: 0, next: None });
            return new;
        };
        if let Some(known) = self.known_or_add(key, new) {
            return known;
        }
        self.graph.entries.push(Entry { key: at, cell: 0, next: None });
        let open = self.open.last().expect("a key is inside of something");
        let cell = &mut self.graph.cells[open.cell as usize];
        cell.size += 1;
        match cell.last.replace(new) {
            Some(last) => self.graph.entries[last as usize].next = Some(new),
            None => cell.first = Some(new),
        }
        new
    }

    /// Finds the entry of a key in the array or object that is open, or remembers the new one.
    fn known_or_add(&mut self, key: Key<'a>, new: u32) -> Option<u32> {
        let open = self.open.last_mut()?;
        let cell = open.cell;
        if open.is_list {
            if key == Key::Int(i64::from(self.graph.cells[cell as usize].size)) {
                return None;
            }
            open.is_list = false;
            for (at, entry) in self.graph.within(cell).enumerate() {
                self.known.insert((cell, Cow::Owned(at.to_string().into_bytes())), entry);
            }
        }
        match self.known.entry((cell, key.text())) {
            std::collections::hash_map::Entry::Occupied(known) => Some(*known.get()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(new);
                None
            }
        }
    }

    /// Returns the cell that a slot's entry holds. `own` is the entry that asks.
    fn slot(&self, slot: u64, own: u32) -> Parsed<u32> {
        let at = usize::try_from(slot).ok().and_then(|slot| slot.checked_sub(1)).ok_or(Fault)?;
        let entry = *self.graph.slots.get(at).ok_or(Fault)?;
        if entry == own { Err(Fault) } else { Ok(self.graph.cell_of(entry)) }
    }

    fn new_cell(&mut self, body: Body, at: Range<u32>) -> u32 {
        self.graph.cells.push(Cell { body, at, first: None, last: None, size: 0 });
        self.graph.cells.len() as u32 - 1
    }
}

impl<'a> Sink<'a> for Builder<'a> {
    fn key(&mut self, key: Key<'a>, at: Range<u32>) -> Parsed<()> {
        self.key = Some((key, at));
        Ok(())
    }

    fn value(&mut self, token: Token<'a>, at: Range<u32>) -> Parsed<()> {
        let entry = self.entry();
        if token.takes_slot() {
            self.graph.slots.push(entry);
        }
        let cell = match token {
            Token::Alias(slot) => self.slot(slot, entry)?,
            Token::Same(slot) => {
                let object = self.graph.identity(self.slot(slot, entry)?).ok_or(Fault)?;
                self.new_cell(Body::Same(object), at)
            }
            Token::Array { count } => self.new_cell(Body::Array { count: count as u32 }, at),
            Token::Object { count, .. } => self.new_cell(Body::Object { count: count as u32 }, at),
            Token::Enum { .. } | Token::Custom { .. } => self.new_cell(Body::Closed, at),
            _ => self.new_cell(Body::Plain, at),
        };
        self.graph.entries[entry as usize].cell = cell;
        let holds_more = match token {
            Token::Array { count } => count > 0,
            Token::Object { .. } => true,
            _ => false,
        };
        if holds_more {
            self.open.push(Open { cell, is_list: matches!(token, Token::Array { .. }) });
        }
        Ok(())
    }

    fn end(&mut self) {
        self.open.pop();
    }
}
