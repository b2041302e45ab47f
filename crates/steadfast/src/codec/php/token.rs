//! PHP's `serialize()` grammar, token by token: no recursion, and nothing is allocated for what a length
//! in the input merely claims.

use std::borrow::Cow;
use std::ops::Range;

/// How deeply PHP nests arrays and objects when it reads (`unserialize_max_depth`).
pub(super) const MAX_DEPTH: usize = 4_096;

/// PHP would not read this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

pub(super) type Parsed<T> = Result<T, Fault>;

/// One value, or the head of one that holds others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// The text of a number, `NAN`, `INF` or `-INF`.
    Float(&'a [u8]),
    Text(&'a [u8]),
    /// `S:`, a text with `\xx` in it.
    Escaped(&'a [u8]),
    Array {
        count: usize,
    },
    Object {
        class: &'a [u8],
        count: usize,
    },
    /// `C:`, an object in a format that only its class knows.
    Custom {
        class: &'a [u8],
        data: &'a [u8],
    },
    /// `E:`, `Class:Case`.
    Enum {
        name: &'a [u8],
    },
    /// `R:`, another name for the value in a slot. Takes no slot itself.
    Alias(u64),
    /// `r:`, the object in a slot once more.
    Same(u64),
}

impl Token<'_> {
    /// Reports whether PHP counts this value when it numbers slots.
    pub(super) const fn takes_slot(&self) -> bool {
        !matches!(self, Self::Alias(_))
    }
}

/// A key of an array or the name of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Int(i64),
    Text(&'a [u8]),
    Escaped(&'a [u8]),
}

impl<'a> Key<'a> {
    /// Returns the key as a text. PHP takes a canonical number and its text for the same key, and so
    /// does who compares these.
    pub(super) fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Int(n) => Cow::Owned(n.to_string().into_bytes()),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Escaped(raw) => Cow::Owned(unescape(raw)),
        }
    }
}

/// What is told of the tokens of a value, in their order.
pub(super) trait Sink<'a> {
    /// Takes the key of the value that comes next.
    fn key(&mut self, key: Key<'a>, at: Range<u32>) -> Parsed<()>;
    /// Takes a value, or the head of an array or object.
    fn value(&mut self, token: Token<'a>, at: Range<u32>) -> Parsed<()>;
    /// The array or object that was begun last has ended. Not called for an empty array.
    fn end(&mut self);
}

/// Reads tokens from bytes. At most `u32::MAX` of them, which the callers check.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn starting_at(bytes: &'a [u8], at: u32) -> Self {
        Self { bytes, at: at as usize }
    }

    pub(super) const fn at(&self) -> u32 {
        self.at as u32
    }

    pub(super) const fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Goes on behind the next such byte, and returns what is before it.
    pub(super) fn until(&mut self, delimiter: u8) -> Parsed<Range<u32>> {
        let length = self.rest().iter().position(|byte| *byte == delimiter).ok_or(Fault)?;
        let range = self.at()..(self.at + length) as u32;
        self.at += length + 1;
        Ok(range)
    }

    /// Reads one byte.
    pub(super) fn byte(&mut self) -> Parsed<u8> {
        let byte = *self.bytes.get(self.at).ok_or(Fault)?;
        self.at += 1;
        Ok(byte)
    }

    /// Reads as many bytes.
    pub(super) fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let taken = self.rest().get(..length).ok_or(Fault)?;
        self.at += length;
        Ok(taken)
    }

    /// Reads one whole value, `depth` levels below the top.
    pub(super) fn walk(&mut self, mut depth: usize, sink: &mut impl Sink<'a>) -> Parsed<()> {
        let mut open: Vec<usize> = Vec::new();
        loop {
            let begin = self.at();
            let token = self.token()?;
            let nested = match token {
                // PHP takes no level for an array that is empty.
                Token::Array { count } => Some(count).filter(|count| *count > 0),
                Token::Object { count, .. } => Some(count),
                _ => None,
            };
            sink.value(token, begin..self.at())?;
            if let Some(count) = nested {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Fault);
                }
                open.push(count);
            } else if matches!(token, Token::Array { .. }) {
                self.expect(b"}")?;
            }
            // Ends what is complete, up to something that holds more.
            let mut complete = nested.is_none();
            loop {
                let Some(left) = open.last_mut() else { return Ok(()) };
                if complete {
                    *left -= 1;
                }
                if *left > 0 {
                    break;
                }
                self.expect(b"}")?;
                sink.end();
                open.pop();
                depth -= 1;
                complete = true;
            }
            let begin = self.at();
            let key = self.key()?;
            sink.key(key, begin..self.at())?;
        }
    }

    /// Reads a key.
    pub(super) fn key(&mut self) -> Parsed<Key<'a>> {
        match self.token()? {
            Token::Int(n) => Ok(Key::Int(n)),
            Token::Text(text) => Ok(Key::Text(text)),
            Token::Escaped(raw) => Ok(Key::Escaped(raw)),
            _ => Err(Fault),
        }
    }

    /// Reads a value, or the head of one that holds others.
    pub(super) fn token(&mut self) -> Parsed<Token<'a>> {
        let kind = self.byte()?;
        if kind == b'N' {
            return self.expect(b";").map(|()| Token::Null);
        }
        self.expect(b":")?;
        match kind {
            b'b' => self.bool(),
            b'i' => self.int(),
            b'd' => self.float(),
            b's' => self.text(),
            b'S' => self.escaped(),
            b'a' => self.array(),
            b'O' => self.object(),
            b'C' => self.custom(),
            b'E' => self.enumeration(),
            b'R' => self.slot().map(Token::Alias),
            b'r' => self.slot().map(Token::Same),
            _ => Err(Fault),
        }
    }

    fn bool(&mut self) -> Parsed<Token<'a>> {
        let truth = match self.byte()? {
            b'0' => false,
            b'1' => true,
            _ => return Err(Fault),
        };
        self.expect(b";")?;
        Ok(Token::Bool(truth))
    }

    fn int(&mut self) -> Parsed<Token<'a>> {
        let sign = self.sign();
        let digits = self.digits();
        if digits.is_empty() {
            return Err(Fault);
        }
        self.expect(b";")?;
        Ok(Token::Int(clamped(sign, digits)))
    }

    fn float(&mut self) -> Parsed<Token<'a>> {
        for name in [b"NAN".as_slice(), b"INF", b"-INF"] {
            if self.rest().starts_with(name) {
                self.at += name.len();
                self.expect(b";")?;
                return Ok(Token::Float(name));
            }
        }
        let begin = self.at;
        self.sign();
        let mut digits = self.digits().len();
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            digits += self.digits().len();
        }
        if digits == 0 {
            return Err(Fault);
        }
        if matches!(self.rest().first(), Some(b'e' | b'E')) {
            self.at += 1;
            self.sign();
            if self.digits().is_empty() {
                return Err(Fault);
            }
        }
        let number = &self.bytes[begin..self.at];
        self.expect(b";")?;
        Ok(Token::Float(number))
    }

    fn text(&mut self) -> Parsed<Token<'a>> {
        let text = self.quoted()?;
        self.expect(b";")?;
        Ok(Token::Text(text))
    }

    fn escaped(&mut self) -> Parsed<Token<'a>> {
        let length = self.unsigned()?;
        self.expect(b":\"")?;
        if length > self.rest().len() {
            return Err(Fault);
        }
        let begin = self.at;
        for _ in 0..length {
            if self.byte()? == b'\\' && !self.take(2)?.iter().all(u8::is_ascii_hexdigit) {
                return Err(Fault);
            }
        }
        let raw = &self.bytes[begin..self.at];
        self.expect(b"\";")?;
        Ok(Token::Escaped(raw))
    }

    fn array(&mut self) -> Parsed<Token<'a>> {
        if !self.rest().first().is_some_and(u8::is_ascii_digit) {
            return Err(Fault);
        }
        let count = self.count()?;
        self.expect(b":{")?;
        Ok(Token::Array { count })
    }

    fn object(&mut self) -> Parsed<Token<'a>> {
        let class = self.class()?;
        let count = self.count()?;
        self.expect(b":{")?;
        Ok(Token::Object { class, count })
    }

    fn custom(&mut self) -> Parsed<Token<'a>> {
        let class = self.class()?;
        let length = self.count()?;
        self.expect(b":{")?;
        let data = self.take(length)?;
        self.expect(b"}")?;
        Ok(Token::Custom { class, data })
    }

    fn enumeration(&mut self) -> Parsed<Token<'a>> {
        let name = self.quoted()?;
        let colon = name.iter().position(|byte| *byte == b':').ok_or(Fault)?;
        if colon == 0 || colon + 1 == name.len() || !name[..colon].iter().all(|byte| is_of_class(*byte)) {
            return Err(Fault);
        }
        self.expect(b";")?;
        Ok(Token::Enum { name })
    }

    fn slot(&mut self) -> Parsed<u64> {
        let slot = self.unsigned()?;
        self.expect(b";")?;
        Ok(slot as u64)
    }

    /// Reads the name of a class and the colon behind it.
    fn class(&mut self) -> Parsed<&'a [u8]> {
        let class = self.quoted()?;
        if matches!(class.first(), None | Some(b'\\')) || !class.iter().all(|byte| is_of_class(*byte)) {
            return Err(Fault);
        }
        self.expect(b":")?;
        Ok(class)
    }

    /// Reads a length and as many bytes between quotes.
    fn quoted(&mut self) -> Parsed<&'a [u8]> {
        let length = self.unsigned()?;
        self.expect(b":\"")?;
        let quoted = self.take(length)?;
        self.expect(b"\"")?;
        Ok(quoted)
    }

    /// Reads how much follows; more than there are bytes is refused before anything is made of it.
    fn count(&mut self) -> Parsed<usize> {
        let sign = self.sign();
        let digits = self.digits();
        usize::try_from(clamped(sign, digits)).ok().filter(|count| *count <= self.rest().len()).ok_or(Fault)
    }

    /// Reads a number without a sign, with PHP's silent overflow: a length that goes once around is
    /// valid there.
    fn unsigned(&mut self) -> Parsed<usize> {
        let digits = self.digits();
        if digits.is_empty() {
            return Err(Fault);
        }
        usize::try_from(wrapped(digits)).map_err(|_| Fault)
    }

    fn sign(&mut self) -> Sign {
        let sign = match self.rest().first() {
            Some(b'-') => Sign::Minus,
            Some(b'+') => Sign::Plus,
            _ => return Sign::Plus,
        };
        self.at += 1;
        sign
    }

    fn digits(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    pub(super) fn expect(&mut self, what: &[u8]) -> Parsed<()> {
        if !self.rest().starts_with(what) {
            return Err(Fault);
        }
        self.at += what.len();
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

/// Reads digits as PHP reads an integer: what is beyond 64 bits becomes the last one before.
fn clamped(sign: Sign, digits: &[u8]) -> i64 {
    /// More digits than these are beyond 64 bits.
    const LONGEST: usize = 19;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let size = Some(&digits[zeros..]).filter(|digits| digits.len() <= LONGEST).map(wrapped);
    match (size, sign) {
        (Some(size), Sign::Plus) => i64::try_from(size).unwrap_or(i64::MAX),
        (Some(size), Sign::Minus) => 0_i64.checked_sub_unsigned(size).unwrap_or(i64::MIN),
        (None, Sign::Plus) => i64::MAX,
        (None, Sign::Minus) => i64::MIN,
    }
}

fn wrapped(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n: u64, digit| n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
}

/// Reports whether a byte can be in the name of a class that PHP would look for.
const fn is_of_class(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\\' | 0x80..)
}

/// Undoes the `\xx` of an `S:` text that [`Reader`] has checked.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', [high, low, after @ ..]) => {
                text.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            _ => text.push(byte),
        }
    }
    text
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

/// Returns the integer that PHP makes of a text when it is a key: of `7` and `-3`, not of `07`, `-0` or what is
/// beyond 64 bits.
pub(super) fn integer_key(key: &[u8]) -> Option<i64> {
    let digits = key.strip_prefix(b"-").unwrap_or(key);
    if digits.first()? == &b'0' && key.len() > 1 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(key).ok()?.parse().ok()
}
