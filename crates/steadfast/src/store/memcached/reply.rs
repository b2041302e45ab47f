//! What the server answers: the replies of the meta commands, read from a stream of bytes.

use std::fmt;
use std::num::NonZeroU64;

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest line of a reply, in bytes: a code, a size and the flags that this driver asks for.
const LONGEST_LINE: usize = 256;

/// Longest value that is copied, in bytes: about what a copy costs as much as a new buffer.
const LONGEST_COPY: usize = 4 * 1_024;

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Code {
    /// Done, or found: `HD`, `VA`.
    Done,
    /// There is no such item: `EN`, `NF`.
    Missing,
    /// The item is there already, or is not there to be appended to: `NS`.
    NotStored,
    /// The item was changed by somebody else: `EX`.
    Changed,
    /// The item is larger than the server stores.
    TooLarge,
    /// The server found no memory for the item.
    NoMemory,
    /// The server could not do it, for another reason.
    Failed,
}

/// A reply to a meta command.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store) struct Reply {
    pub(in crate::store) code: Code,
    /// The number of the command. Errors of the server come without one.
    pub(super) opaque: Option<u32>,
    /// The tag of the item's last write, `c`. The server writes zero for none.
    pub(in crate::store) cas: Option<NonZeroU64>,
    /// The seconds that are left to the item, `t`; `None` if it has no end or was not asked for.
    pub(in crate::store) ttl: Option<u32>,
    /// The length of the item, `s`.
    pub(super) size: Option<u32>,
    /// What the writer noted about the value, `f`.
    pub(in crate::store) flags: u32,
    pub(in crate::store) value: Bytes,
}

impl Reply {
    /// Begins a reply, of which nothing but the code is known.
    fn of(code: Code) -> Self {
        Self { code, opaque: None, cas: None, ttl: None, size: None, flags: 0, value: Bytes::new() }
    }

    /// Reports whether the reply is in order: all but errors of the server repeat the number of the command.
    pub(super) fn is_numbered_or_an_error(&self) -> bool {
        self.opaque.is_some() || matches!(self.code, Code::TooLarge | Code::NoMemory | Code::Failed)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, opaque, cas: _, ttl, size, flags, value } = self;
        f.debug_struct("Reply")
            .field("code", code)
            .field("opaque", opaque)
            .field("ttl", ttl)
            .field("size", size)
            .field("flags", flags)
            .field("value_len", &value.len())
            .finish_non_exhaustive()
    }
}

/// Why a stream of replies can't be followed any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// The server does not know a command, or took it for malformed.
    NotUnderstood,
    /// These are not the replies of this protocol.
    Garbled,
}

/// Reads replies one after another. What is incomplete is waited for.
#[derive(Debug)]
pub(super) struct Parser {
    /// Longest value that is read.
    longest: usize,
    /// A reply whose value has not arrived as a whole, and the length of that value.
    begun: Option<(Reply, usize)>,
}

impl Parser {
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, begun: None }
    }

    /// Takes the next reply from what has arrived, if it is complete.
    pub(super) fn next(&mut self, arrived: &mut BytesMut) -> Result<Option<Reply>, Unreadable> {
        if self.begun.is_none() {
            let Some(line) = first_line(arrived)? else { return Ok(None) };
            let (reply, length) = read_line(line)?;
            let taken = line.len() + 2;
            arrived.advance(taken);
            let Some(length) = length else { return Ok(Some(reply)) };
            if length > self.longest {
                return Err(Unreadable::Garbled);
            }
            self.begun = Some((reply, length));
        }
        let Some((mut reply, length)) = self.begun.take_if(|(_, length)| arrived.len() >= *length + 2) else {
            self.reserve(arrived);
            return Ok(None);
        };
        if arrived[length..length + 2] != *b"\r\n" {
            return Err(Unreadable::Garbled);
        }
        reply.value = take_value(arrived, length);
        arrived.advance(2);
        Ok(Some(reply))
    }

    /// Makes room for a value that is on its way, so that it is not moved again and again.
    fn reserve(&self, arrived: &mut BytesMut) {
        if let Some((_, length)) = &self.begun {
            arrived.reserve((length + 2).saturating_sub(arrived.len()));
        }
    }
}

/// Returns the first line, without its end, once all of it has arrived.
fn first_line(arrived: &[u8]) -> Result<Option<&[u8]>, Unreadable> {
    let window = &arrived[..arrived.len().min(LONGEST_LINE)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if arrived.len() < LONGEST_LINE { Ok(None) } else { Err(Unreadable::Garbled) };
    };
    window[..end].strip_suffix(b"\r").ok_or(Unreadable::Garbled).map(Some)
}

/// Takes a value out of what has arrived.
///
/// A short one is copied: if it shared the buffer, the buffer would be replaced for each of them, and each kept
/// all of it.
fn take_value(arrived: &mut BytesMut, length: usize) -> Bytes {
    if length > LONGEST_COPY {
        return arrived.split_to(length).freeze();
    }
    let value = Bytes::copy_from_slice(&arrived[..length]);
    arrived.advance(length);
    value
}

/// Reads a line; returns the length of the value that follows it, if one does.
fn read_line(line: &[u8]) -> Result<(Reply, Option<usize>), Unreadable> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut length = None;
    let code = match words.next().unwrap_or_default() {
        b"HD" => Code::Done,
        b"VA" => {
            length = Some(number(words.next().unwrap_or_default())?);
            Code::Done
        }
        b"EN" | b"NF" => Code::Missing,
        b"NS" => Code::NotStored,
        b"EX" => Code::Changed,
        b"SERVER_ERROR" => return Ok((Reply::of(refusal(&String::from_utf8_lossy(line))), None)),
        b"ERROR" | b"CLIENT_ERROR" => return Err(Unreadable::NotUnderstood),
        _ => return Err(Unreadable::Garbled),
    };
    let mut reply = Reply::of(code);
    for flag in words {
        let Some((name, token)) = flag.split_first() else { return Err(Unreadable::Garbled) };
        match name {
            b'O' => reply.opaque = Some(number(token)?),
            b'c' => reply.cas = NonZeroU64::new(number(token)?),
            b't' if token == b"-1" => reply.ttl = None,
            b't' => reply.ttl = Some(number(token)?),
            b's' => reply.size = Some(number(token)?),
            b'f' => reply.flags = number(token)?,
            // Somebody made the item by a read (W), or marked it (X, Z): nothing to this driver.
            b'W' | b'X' | b'Z' => {}
            _ => return Err(Unreadable::Garbled),
        }
    }
    Ok((reply, length))
}

/// Reads an error of the server, whose text is all that tells one from another.
fn refusal(line: &str) -> Code {
    if line.contains("too large") {
        Code::TooLarge
    } else if line.contains("out of memory") {
        Code::NoMemory
    } else {
        Code::Failed
    }
}

fn number<T: TryFrom<u64>>(digits: &[u8]) -> Result<T, Unreadable> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let number =
        digits.iter().try_fold(0_u64, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?));
    let number = number.filter(|_| !digits.is_empty()).ok_or(Unreadable::Garbled)?;
    T::try_from(number).map_err(|_| Unreadable::Garbled)
}

/// Reads a stream whole and in two pieces, which must make no difference.
#[cfg(feature = "fuzzing")]
pub(super) fn read_for_fuzzing(stream: &[u8], cut: usize) {
    let read = |pieces: [&[u8]; 2]| {
        let (mut parser, mut arrived, mut replies) = (Parser::new(1 << 20), BytesMut::new(), Vec::new());
        for piece in pieces {
            arrived.extend_from_slice(piece);
            loop {
                match parser.next(&mut arrived) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(why) => return (replies, Some(why)),
                }
            }
        }
        (replies, None)
    };
    let (head, tail) = stream.split_at(cut.min(stream.len()));
    assert_eq!(read([stream, &[]]), read([head, tail]), "how it arrives makes no difference");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all replies of a stream that arrives in pieces of a length.
    fn read(stream: &[u8], piece: usize) -> Result<Vec<Reply>, Unreadable> {
        let (mut parser, mut arrived, mut replies) = (Parser::new(1000), BytesMut::new(), Vec::new());
        for piece in stream.chunks(piece) {
            arrived.extend_from_slice(piece);
            while let Some(reply) = parser.next(&mut arrived)? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_are_read_however_they_arrive() {
        let stream = b"VA 5 t90 c7 O1\r\na\r\nbc\r\nHD s20 O2 W\r\nEN O3\r\nNF O4 c0\r\nNS\r\nEX O5\r\n\
            VA 0 t-1\r\n\r\nSERVER_ERROR object too large for cache\r\n\
            SERVER_ERROR out of memory storing object\r\nSERVER_ERROR lost\r\n";
        let expected = [
            Reply {
                opaque: Some(1),
                cas: NonZeroU64::new(7),
                ttl: Some(90),
                value: Bytes::from_static(b"a\r\nbc"),
                ..Reply::of(Code::Done)
            },
            Reply { opaque: Some(2), size: Some(20), ..Reply::of(Code::Done) },
            Reply { opaque: Some(3), ..Reply::of(Code::Missing) },
            Reply { opaque: Some(4), ..Reply::of(Code::Missing) },
            Reply::of(Code::NotStored),
            Reply { opaque: Some(5), ..Reply::of(Code::Changed) },
            Reply::of(Code::Done),
            Reply::of(Code::TooLarge),
            Reply::of(Code::NoMemory),
            Reply::of(Code::Failed),
        ];
        for piece in 1..stream.len() {
            assert_eq!(read(stream, piece).unwrap(), expected, "in pieces of {piece}");
        }
    }

    #[track_caller]
    fn check(stream: &[u8], expected: Unreadable) {
        assert_eq!(read(stream, stream.len()), Err(expected));
        assert_eq!(read(stream, 1), Err(expected));
    }

    #[test]
    fn what_is_no_reply_ends_the_stream() {
        use Unreadable::{Garbled, NotUnderstood};
        check(b"ERROR\r\n", NotUnderstood);
        check(b"CLIENT_ERROR bad command line format\r\n", NotUnderstood);
        check(b"VALUE key 0 5\r\n", Garbled);
        check(b"\r\n", Garbled);
        check(b"HD\n", Garbled);
        check(b"HD t\r\n", Garbled);
        check(b"HD t-2\r\n", Garbled);
        check(b"HD \xc3\x28\r\n", Garbled);
        check("HD é\r\n".as_bytes(), Garbled);
        check(b"VA\r\n", Garbled);
        check(b"VA 1001\r\n", Garbled);
        check(b"VA 18446744073709551615\r\n", Garbled);
        check(b"VA 3 O1\r\nabcd\r\n", Garbled);
        check(&[b'x'; LONGEST_LINE], Garbled);
    }
}
