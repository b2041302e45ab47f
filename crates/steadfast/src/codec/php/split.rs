//! From the bytes of a session to its keys and values, each where it lies.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use super::graph::Graph;
use super::reading;
use super::token::{Fault, Key, Parsed, Reader, Sink, Token};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::PhpFormat;

/// Bit of a key's length in `php_binary` that PHP ignores; it once meant "registered, but unset".
const UNSET: u8 = 0x80;

/// A session in pieces.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// The keys in PHP's order, each once.
    pub(crate) pieces: Vec<Piece>,
    /// What is known of the references among the values.
    pub(super) links: Links,
}

/// One key and its value, as ranges of the session's bytes.
pub(crate) struct Piece {
    /// The key; of a number in `php_serialize`, its digits.
    pub(crate) key: Range<u32>,
    /// The value as it lies there.
    pub(crate) value: Range<u32>,
    /// The value as a document of its own, if it holds references: numbered from 1, with whatever they
    /// lead to outside of it. Empty if that can't be told or would be too large; nothing can be read
    /// from it then.
    pub(crate) reading: Option<Box<[u8]>>,
}

/// Shows no value.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, reading } = self;
        write!(f, "Piece({} bytes, {} bytes, {})", key.len(), value.len(), reading.is_some())
    }
}

/// What is known of the references among a session's values.
#[derive(Debug, Default)]
pub(super) enum Links {
    /// There are none.
    #[default]
    None,
    /// There are some, and all are understood. With the value of each piece.
    Followed(Graph, Vec<u32>),
    /// There are some behind or in an object whose format only its class knows, so the numbers of what
    /// is behind it can't be told. No number before this piece may change.
    Blind { before: usize },
}

/// Splits a session.
///
/// # Errors
///
/// `Corrupt` if PHP would not decode it; `Unsupported` if PHP would, but never writes such a key;
/// `TooLarge` from 4 GiB.
pub(crate) fn split(format: PhpFormat, bytes: &[u8]) -> Result<Split> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(Error::new(ErrorKind::TooLarge, "the session of PHP is larger than 4 GiB"));
    }
    let (found, census) = match format {
        PhpFormat::Php => entries(bytes, |reader| reader.until(b'|')),
        PhpFormat::PhpBinary => entries(bytes, short_key),
        PhpFormat::PhpSerialize => array(bytes),
    }
    .map_err(corrupt)?;
    let mut split = Split { pieces: Vec::with_capacity(found.len()), links: Links::None };
    let places = split.place(bytes, &found)?;
    if !census.links {
        return Ok(split);
    }
    let mut linked = vec![false; split.pieces.len()];
    for (entry, place) in found.iter().zip(&places) {
        linked[*place] = entry.links;
    }
    if let Some(last) = census.blind {
        // Entries that were overwritten are not written again, so the numbers of all others change.
        let before = if found.len() == split.pieces.len() { last + 1 } else { usize::MAX };
        split.links = Links::Blind { before };
        reading::refuse(&mut split.pieces, &linked);
        return Ok(split);
    }
    let (graph, values) = Graph::of_session(format, bytes, &found, &places).map_err(corrupt)?;
    reading::write(&graph, &values, bytes, &mut split.pieces, &linked);
    split.links = Links::Followed(graph, values);
    Ok(split)
}

impl Split {
    /// Makes the pieces, and returns the place of each entry among them: of equal keys the last one wins,
    /// where the first one is.
    fn place(&mut self, bytes: &[u8], found: &[Entry]) -> Result<Vec<usize>> {
        let mut known: HashMap<&[u8], usize> = HashMap::with_capacity(found.len());
        let mut places = Vec::with_capacity(found.len());
        for entry in found {
            let key = entry.key.clone().ok_or_else(odd_key)?;
            let at = *known.entry(slice(bytes, &key)).or_insert(self.pieces.len());
            if at == self.pieces.len() {
                self.pieces.push(Piece { key, value: entry.value.clone(), reading: None });
            } else {
                self.pieces[at].value = entry.value.clone();
            }
            places.push(at);
        }
        Ok(places)
    }
}

/// An entry of a session as it was found.
pub(super) struct Entry {
    /// Its key; `None` if the bytes do not show it as PHP reads it.
    key: Option<Range<u32>>,
    pub(super) value: Range<u32>,
    /// Whether there are references in the value.
    pub(super) links: bool,
}

/// Reads keys and values until the bytes end.
fn entries<'a>(
    bytes: &'a [u8],
    key: impl Fn(&mut Reader<'a>) -> Parsed<Range<u32>>,
) -> Parsed<(Vec<Entry>, Census)> {
    let (mut reader, mut census, mut found) = (Reader::new(bytes), Census::default(), Vec::new());
    while !reader.is_done() {
        let key = key(&mut reader)?;
        let (value, links) = census.count(&mut reader, 0, found.len())?;
        found.push(Entry { key: Some(key), value, links });
    }
    Ok((found, census))
}

/// Reads the length of a key and skips the key.
fn short_key(reader: &mut Reader<'_>) -> Parsed<Range<u32>> {
    let length = reader.byte()? & !UNSET;
    let begin = reader.at();
    reader.take(length.into())?;
    Ok(begin..reader.at())
}

/// Reads the one array of `php_serialize`; as PHP does, without a look at what is behind it. No bytes and
/// null are an empty session.
fn array(bytes: &[u8]) -> Parsed<(Vec<Entry>, Census)> {
    let (mut reader, mut census, mut found) = (Reader::new(bytes), Census::default(), Vec::new());
    if reader.is_done() {
        return Ok((found, census));
    }
    let count = match reader.token()? {
        Token::Null => return Ok((found, census)),
        Token::Array { count } => count,
        _ => return Err(Fault),
    };
    census.slots = 1;
    for _ in 0..count {
        let key = reader.key()?;
        let key = shown(bytes, key, reader.at());
        let (value, links) = census.count(&mut reader, 1, found.len())?;
        found.push(Entry { key, value, links });
    }
    reader.expect(b"}")?;
    Ok((found, census))
}

/// Returns where the bytes show a key that ends at `end` as PHP takes it.
fn shown(bytes: &[u8], key: Key<'_>, end: u32) -> Option<Range<u32>> {
    let text = key.text();
    // `i:5;` ends with one byte, `s:1:"a";` with two.
    let behind = if matches!(key, Key::Int(_)) { 1 } else { 2 };
    let end = end.checked_sub(behind)?;
    let range = end.checked_sub(text.len() as u32)?..end;
    (matches!(key, Key::Int(_) | Key::Text(_)) && text == slice(bytes, &range)).then_some(range)
}

/// What is counted in one pass over the values, to know whether a second one is needed.
#[derive(Default)]
pub(super) struct Census {
    /// How many slots PHP has numbered so far.
    pub(super) slots: u64,
    /// There are references.
    pub(super) links: bool,
    /// The slot of the first object in a format of its class's own: what comes behind it has numbers that
    /// can't be told.
    pub(super) custom: Option<u64>,
    /// The last entry for which such a number matters.
    blind: Option<usize>,
    /// Which entry is read.
    entry: usize,
    /// There are references in the entry that is read.
    entry_links: bool,
}

impl Census {
    /// Counts in a value that is a document of its own.
    pub(super) fn of_value(bytes: &[u8]) -> Parsed<Self> {
        let (mut reader, mut census) = (Reader::new(bytes), Self::default());
        census.count(&mut reader, 0, 0)?;
        if reader.is_done() { Ok(census) } else { Err(Fault) }
    }

    /// Reads one value; returns where it is and whether there are references in it.
    fn count(&mut self, reader: &mut Reader<'_>, depth: usize, entry: usize) -> Parsed<(Range<u32>, bool)> {
        (self.entry, self.entry_links) = (entry, false);
        let begin = reader.at();
        reader.walk(depth, self)?;
        self.links |= self.entry_links;
        Ok((begin..reader.at(), self.entry_links))
    }

    fn link(&mut self, slot: u64) {
        self.entry_links = true;
        if self.custom.is_some_and(|custom| slot > custom) {
            self.blind = Some(self.entry);
        }
    }
}

impl<'a> Sink<'a> for Census {
    fn key(&mut self, _: Key<'a>, _: Range<u32>) -> Parsed<()> {
        Ok(())
    }

    fn value(&mut self, token: Token<'a>, _: Range<u32>) -> Parsed<()> {
        self.slots += u64::from(token.takes_slot());
        match token {
            Token::Alias(slot) | Token::Same(slot) => self.link(slot),
            Token::Custom { data, .. } => {
                self.custom.get_or_insert(self.slots);
                if may_refer(data) {
                    (self.links, self.blind) = (true, Some(self.entry));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) {}
}

/// Reports whether there may be references in bytes that were not read token by token.
pub(super) fn may_refer(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| matches!(three, [b'R' | b'r', b':', b'0'..=b'9']))
}

/// Returns a part of the session's bytes.
pub(super) fn slice<'a>(bytes: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &bytes[range.start as usize..range.end as usize]
}

fn corrupt(_: Fault) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the session is not what PHP writes; is the serialize handler the one of PHP?",
    )
}

fn odd_key() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the session has a key in a form that PHP reads but never writes; it is left as it is",
    )
}
