//! The values of a session that hold references, each as a document of its own.

use super::graph::Graph;
use super::split::Piece;
use super::write::{Document, Writer};

/// How many bytes all readings of a session may take: so many by themselves, and so many times the
/// session's size. An object to which every key refers is written once for each of them.
const BASE: usize = 1 << 20;
const TIMES: usize = 16;

/// Writes the reading of each piece whose value holds references. One for which there is no room, and one
/// that would be nested too deeply, is left empty.
pub(super) fn write(graph: &Graph, values: &[u32], bytes: &[u8], pieces: &mut [Piece], linked: &[bool]) {
    let mut writer = Writer::new(graph, bytes);
    let mut room = BASE + TIMES * bytes.len();
    for ((piece, value), _) in pieces.iter_mut().zip(values).zip(linked).filter(|(_, linked)| **linked) {
        let mut document = Document::default();
        let written = writer.write(*value, 0, room, &mut document);
        writer.forget();
        room = room.saturating_sub(document.bytes.len());
        piece.reading = Some(written.map_or_else(|_| Box::default(), |()| document.bytes.into()));
    }
}

/// Leaves the readings empty where there are references.
pub(super) fn refuse(pieces: &mut [Piece], linked: &[bool]) {
    for (piece, _) in pieces.iter_mut().zip(linked).filter(|(_, linked)| **linked) {
        piece.reading = Some(Box::default());
    }
}
