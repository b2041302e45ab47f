//! Values of a graph as bytes again, under the numbers of the document that they come into.

use super::graph::{Body, Cell, Entry, Graph};
use super::split::slice;
use super::token::{Fault, MAX_DEPTH, Parsed};

/// A document that is written, and how far PHP will have counted when it reads it.
#[derive(Default)]
pub(super) struct Document {
    pub(super) bytes: Vec<u8>,
    /// How many slots PHP will have numbered.
    pub(super) slots: u32,
    /// Slot of the first object in a format of its class's own: the numbers of what follows can't be told.
    pub(super) custom: Option<u32>,
}

impl Document {
    /// Writes a reference to a slot.
    fn refer(&mut self, kind: char, slot: u32) -> Parsed<()> {
        if self.custom.is_some_and(|custom| slot > custom) {
            return Err(Fault);
        }
        self.bytes.extend_from_slice(format!("{kind}:{slot};").as_bytes());
        Ok(())
    }
}

/// Writes values of one graph into one document. Whatever was written once is referred to after that.
pub(super) struct Writer<'g> {
    graph: &'g Graph,
    bytes: &'g [u8],
    /// The slot of each cell that was written, and 0 of the others.
    places: Vec<u32>,
    /// The slot of each object that was written, by its cell.
    objects: Vec<u32>,
    /// The cells with a number in one of the two.
    touched: Vec<u32>,
}

/// An array or object that is being written: what comes next in it.
struct Open {
    next: Option<u32>,
}

impl<'g> Writer<'g> {
    /// Makes a writer of a graph and the bytes from which it was read.
    pub(super) fn new(graph: &'g Graph, bytes: &'g [u8]) -> Self {
        let none = vec![0; graph.cells.len()];
        Self { graph, bytes, places: none.clone(), objects: none, touched: Vec::new() }
    }

    /// Forgets what was written, for the next document.
    pub(super) fn forget(&mut self) {
        for cell in self.touched.drain(..) {
            self.places[cell as usize] = 0;
            self.objects[cell as usize] = 0;
        }
    }

    /// Takes a cell for written.
    pub(super) fn written(&mut self, cell: u32, slot: u32) {
        self.places[cell as usize] = slot;
        self.touched.push(cell);
    }

    /// Writes the value of an entry, `depth` levels below the top.
    ///
    /// Fails if PHP could not read the document, and if it becomes longer than `longest`.
    pub(super) fn write(
        &mut self,
        entry: u32,
        depth: usize,
        longest: usize,
        document: &mut Document,
    ) -> Parsed<()> {
        let mut open: Vec<Open> = Vec::new();
        let mut next = Some(entry);
        loop {
            if let Some(entry) = next {
                let entry = &self.graph.entries[entry as usize];
                if let Some(level) = open.last_mut() {
                    level.next = entry.next;
                    document.bytes.extend_from_slice(slice(self.bytes, &entry.key));
                }
                if let Some(within) = self.begin(entry, document)? {
                    open.push(within);
                }
                if document.bytes.len() > longest || depth + open.len() > MAX_DEPTH {
                    return Err(Fault);
                }
            } else {
                document.bytes.push(b'}');
                open.pop();
            }
            match open.last() {
                Some(level) => next = level.next,
                None => return Ok(()),
            }
        }
    }

    /// Writes a value that holds no others, or the head of one that does.
    fn begin(&mut self, entry: &Entry, document: &mut Document) -> Parsed<Option<Open>> {
        let place = self.places[entry.cell as usize];
        if place != 0 {
            return document.refer('R', place).map(|()| None);
        }
        document.slots += 1;
        self.written(entry.cell, document.slots);
        let Some(object) = self.graph.identity(entry.cell) else {
            return self.head(self.graph.cell(entry.cell), document);
        };
        match self.objects[object as usize] {
            0 => {
                self.objects[object as usize] = document.slots;
                self.touched.push(object);
                self.head(self.graph.cell(object), document)
            }
            slot => document.refer('r', slot).map(|()| None),
        }
    }

    fn head(&self, cell: &Cell, document: &mut Document) -> Parsed<Option<Open>> {
        let head = slice(self.bytes, &cell.at);
        match cell.body {
            Body::Plain | Body::Closed | Body::Same(_) => {
                document.bytes.extend_from_slice(head);
                if head.first() == Some(&b'C') {
                    document.custom.get_or_insert(document.slots);
                }
                return Ok(None);
            }
            Body::Array { count } | Body::Object { count } if count == cell.size => {
                document.bytes.extend_from_slice(head);
            }
            // Of equal keys only the last one is left, so there are fewer now.
            Body::Array { .. } | Body::Object { .. } => {
                let counted = head.len() - 2;
                let digits = head[..counted].iter().rev().take_while(|byte| **byte != b':').count();
                document.bytes.extend_from_slice(&head[..counted - digits]);
                document.bytes.extend_from_slice(format!("{}:{{", cell.size).as_bytes());
            }
        }
        Ok(Some(Open { next: cell.first }))
    }
}
