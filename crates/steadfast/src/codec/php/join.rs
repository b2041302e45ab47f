//! From keys and values to the bytes of a session.

use super::graph::Graph;
use super::ser::write_key;
use super::split::{Census, Links, Split, may_refer, slice};
use super::token::{Fault, Parsed, Reader, Token, integer_key};
use super::write::{Document, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::PhpFormat;

/// Longest key that `php_binary` can hold, in bytes.
const LONGEST_SHORT_KEY: usize = 127;

/// The value of a key.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    /// The value of this piece of the original, by its index.
    Kept(usize),
    /// A value as a document of its own.
    New(&'a [u8]),
}

/// Joins keys and values to a session.
///
/// What is kept is written as it was, but for the numbers of references: those follow their values. The
/// value of a piece that is not kept goes to the first that refers to it.
///
/// # Errors
///
/// Those of [`check_key`] for a new key; `Codec` if a reference can't be written.
pub(crate) fn join<'a>(
    format: PhpFormat,
    original: Option<(&[u8], &Split)>,
    entries: impl Iterator<Item = (&'a [u8], Content<'a>)>,
) -> Result<Vec<u8>> {
    let (bytes, split) = original.unwrap_or((&[], &NOTHING));
    let parts = entries.map(|(key, content)| Part::new(format, bytes, split, key, content));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let joined = match &split.links {
        Links::Followed(graph, values) => follow(format, bytes, Some((graph, values)), &parts),
        Links::Blind { before } => {
            let kept = numbers_stay(*before, bytes, split, &parts);
            if kept { Ok(concatenate(format, &parts)) } else { Err(Fault) }
        }
        Links::None if parts.iter().any(|part| part.links) => follow(format, bytes, None, &parts),
        Links::None => Ok(concatenate(format, &parts)),
    };
    joined.map_err(|Fault| {
        Error::new(
            ErrorKind::Codec,
            "the session's references can't be renumbered; change it with PHP, or without objects in a format of their class's own",
        )
    })
}

/// What a new session is made from.
static NOTHING: Split = Split { pieces: Vec::new(), links: Links::None };

/// An entry of the session that is written.
struct Part<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// The piece of the original that it was.
    kept: Option<usize>,
    /// It is new and holds references.
    links: bool,
}

impl<'a> Part<'a> {
    fn new<'b: 'a>(
        format: PhpFormat,
        bytes: &'a [u8],
        split: &Split,
        key: &'b [u8],
        content: Content<'b>,
    ) -> Result<Self> {
        match content {
            Content::Kept(at) => {
                let piece = split.pieces.get(at).ok_or_else(not_there)?;
                // A key that came from PHP is carried as it came.
                if slice(bytes, &piece.key) != key {
                    check_key(format, key)?;
                }
                Ok(Self { key, value: slice(bytes, &piece.value), kept: Some(at), links: false })
            }
            Content::New(value) => {
                check_key(format, key)?;
                let links = may_refer(value) && Census::of_value(value).map_err(not_a_value)?.links;
                Ok(Self { key, value, kept: None, links })
            }
        }
    }

    /// Writes the value with references to places outside of it left as they are.
    fn copy(&self, document: &mut Document) -> Parsed<()> {
        let census = Census::of_value(self.value)?;
        let before = document.slots;
        document.slots += census.slots as u32;
        document.custom = document.custom.or(census.custom.map(|slot| before + slot as u32));
        document.bytes.extend_from_slice(self.value);
        Ok(())
    }
}

/// Writes the parts one after the other.
fn concatenate(format: PhpFormat, parts: &[Part<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.key.len() + part.value.len() + 16).sum());
    begin(format, parts.len(), &mut bytes);
    for part in parts {
        begin_entry(format, part.key, &mut bytes);
        bytes.extend_from_slice(part.value);
    }
    end(format, &mut bytes);
    bytes
}

/// Writes the parts with references that lead to where their values come to be.
fn follow(
    format: PhpFormat,
    bytes: &[u8],
    graph: Option<(&Graph, &Vec<u32>)>,
    parts: &[Part<'_>],
) -> Parsed<Vec<u8>> {
    let mut original = graph.map(|(graph, values)| (Writer::new(graph, bytes), values));
    let mut document = Document::default();
    let mut depth = 0;
    begin(format, parts.len(), &mut document.bytes);
    if format == PhpFormat::PhpSerialize {
        // The array of all is in the first slot, and there may be references to it.
        (document.slots, depth) = (1, 1);
        if let Some((writer, _)) = &mut original {
            writer.written(0, 1);
        }
    }
    for part in parts {
        begin_entry(format, part.key, &mut document.bytes);
        match (part.kept, &mut original) {
            (Some(at), Some((writer, values))) => {
                writer.write(values[at], depth, usize::MAX, &mut document)?;
            }
            (None, _) if part.links => {
                let (graph, value) = Graph::of_value(part.value)?;
                Writer::new(&graph, part.value).write(value, depth, usize::MAX, &mut document)?;
            }
            _ => part.copy(&mut document)?,
        }
    }
    end(format, &mut document.bytes);
    Ok(document.bytes)
}

/// Reports whether all pieces before one are where they were, or are single values where single values
/// were, so that no number changes.
fn numbers_stay(before: usize, bytes: &[u8], split: &Split, parts: &[Part<'_>]) -> bool {
    let stays = |(at, part): (usize, &Part<'_>)| {
        let piece = &split.pieces[at];
        let was = slice(bytes, &piece.value);
        part.kept == Some(at)
            || part.key == slice(bytes, &piece.key)
                && part.kept.is_none()
                && is_single(was)
                && is_single(part.value)
    };
    parts.get(..before).is_some_and(|parts| parts.iter().enumerate().all(stays))
        && !parts.iter().any(|part| part.links)
}

/// Reports whether a value is one that no reference to an object can lead to or come from.
fn is_single(value: &[u8]) -> bool {
    let token = Reader::new(value).token();
    matches!(token, Ok(Token::Null | Token::Bool(_) | Token::Int(_) | Token::Float(_) | Token::Text(_)))
}

/// Writes what comes before the first key.
fn begin(format: PhpFormat, count: usize, bytes: &mut Vec<u8>) {
    if format == PhpFormat::PhpSerialize {
        bytes.extend_from_slice(format!("a:{count}:{{").as_bytes());
    }
}

/// Writes what comes before a value.
fn begin_entry(format: PhpFormat, key: &[u8], bytes: &mut Vec<u8>) {
    match format {
        PhpFormat::Php => {
            bytes.extend_from_slice(key);
            bytes.push(b'|');
        }
        PhpFormat::PhpBinary => {
            // `check_key` and the format itself allow no more than 127.
            bytes.push(key.len() as u8);
            bytes.extend_from_slice(key);
        }
        PhpFormat::PhpSerialize => write_key(key, bytes),
    }
}

/// Writes what comes behind the last value.
fn end(format: PhpFormat, bytes: &mut Vec<u8>) {
    if format == PhpFormat::PhpSerialize {
        bytes.push(b'}');
    }
}

fn not_there() -> Error {
    Error::new(ErrorKind::Codec, "there is no such piece in the session that was read")
}

fn not_a_value(_: Fault) -> Error {
    Error::new(ErrorKind::Codec, "a new value of the session is not one that PHP reads")
}

/// Reports whether PHP can carry a key in this format.
///
/// # Errors
///
/// `Codec` or `TooLarge` if it can't: PHP would lose the key, or the whole session.
pub(crate) fn check_key(format: PhpFormat, key: &[u8]) -> Result<()> {
    let refused = |kind, message| Err(Error::new(kind, message));
    match format {
        PhpFormat::PhpSerialize => Ok(()),
        PhpFormat::Php if key.contains(&b'|') => refused(
            ErrorKind::Codec,
            "a key with `|` would make PHP store an empty session (serialize handler `php`); rename it",
        ),
        _ if integer_key(key).is_some() => refused(
            ErrorKind::Codec,
            "PHP drops a key that is an integer (serialize handlers `php` and `php_binary`); rename it",
        ),
        PhpFormat::PhpBinary if key.len() > LONGEST_SHORT_KEY => refused(
            ErrorKind::TooLarge,
            "PHP drops a key of more than 127 bytes (serialize handler `php_binary`); shorten it",
        ),
        PhpFormat::Php | PhpFormat::PhpBinary => Ok(()),
    }
}
