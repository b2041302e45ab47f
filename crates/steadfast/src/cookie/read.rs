//! Finds the session's cookie among all that a browser sent.

use std::fmt;

use crate::ows::{trim, trim_start};

/// How many different values of one name are looked at.
///
/// A browser sends several where cookies of one name differ in path or domain: one of ours, one left
/// over from an earlier configuration, one planted by a sibling host. Each costs a load, so they are
/// bounded.
const MAX_CANDIDATES: usize = 3;

/// The different values under one cookie name, in the order in which they were sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Candidates<'a> {
    values: [&'a [u8]; MAX_CANDIDATES],
    len: usize,
    overflow: bool,
}

/// Finds the values of all cookies that are called exactly `name`.
///
/// Takes the request's `Cookie` headers; HTTP/2 splits them, so there may be several. Whatever is not a
/// pair is skipped, one pair of double quotes around a value is not part of it, and a value sent twice
/// counts once. An empty value opens nothing and is left out. Allocates nothing.
pub(crate) fn candidates<'a>(headers: impl Iterator<Item = &'a [u8]>, name: &str) -> Candidates<'a> {
    let mut found = Candidates::default();
    for header in headers {
        let mut rest = Some(header);
        while let Some(pairs) = rest {
            let (pair, after) = match position(pairs, b';') {
                Some(end) => (&pairs[..end], Some(&pairs[end + 1..])),
                None => (pairs, None),
            };
            if let Some(value) = value_of(pair, name.as_bytes()) {
                found.add(value);
            }
            rest = after;
        }
    }
    found
}

/// Finds a byte, eight at a time: most of what a browser sends belongs to others.
fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        // A byte of the difference is zero where the wanted one stands, and only a zero borrows.
        let difference = u64::from_le_bytes(*word) ^ (LOW * u64::from(wanted));
        let zeros = difference.wrapping_sub(LOW) & !difference & HIGH;
        if zeros != 0 {
            return Some(8 * at + zeros.trailing_zeros() as usize / 8);
        }
    }
    let in_tail = tail.iter().position(|&byte| byte == wanted)?;
    Some(8 * words.len() + in_tail)
}

/// Finds the values of all cookies that are called exactly `name`, as number 0, or `name.1` to `name.9`, empty
/// ones included.
#[cfg(feature = "cookie")]
pub(crate) fn numbered<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    name: &str,
) -> impl Iterator<Item = (usize, &'a [u8])> {
    let pairs = headers.flat_map(|header| header.split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| {
        let (full, value) = split(pair)?;
        match full.strip_prefix(name.as_bytes())? {
            [] => Some((0, value)),
            [b'.', digit @ b'1'..=b'9'] => Some((usize::from(digit - b'0'), value)),
            _ => None,
        }
    })
}

/// Returns the value of a pair if it has this name and a value.
fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // The name has no space and no equals sign, so what follows it tells where the name in the pair ends.
    let after_name = trim_start(pair).strip_prefix(name)?;
    let value = unquote(trim(trim_start(after_name).strip_prefix(b"=")?));
    (!value.is_empty()).then_some(value)
}

/// Splits a pair into name and value.
#[cfg(feature = "cookie")]
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    Some((trim(&pair[..equals]), unquote(trim(&pair[equals + 1..]))))
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

impl<'a> Candidates<'a> {
    /// Iterates over the values, at most three.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.values.into_iter().take(self.len)
    }

    /// Reports whether there were more different values than are returned.
    pub(crate) fn overflow(&self) -> bool {
        self.overflow
    }

    fn add(&mut self, value: &'a [u8]) {
        if self.iter().any(|known| known == value) {
            return;
        }
        let Some(slot) = self.values.get_mut(self.len) else {
            self.overflow = true;
            return;
        };
        *slot = value;
        self.len += 1;
    }
}

impl fmt::Debug for Candidates<'_> {
    /// Shows how many there are and no value: any of them may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { values: _, len, overflow } = self;
        f.debug_struct("Candidates").field("len", len).field("overflow", overflow).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(headers: &'a [&'a [u8]]) -> Candidates<'a> {
        candidates(headers.iter().copied(), "id")
    }

    #[track_caller]
    fn check(header: impl AsRef<[u8]>, expected: &[&str]) {
        check_all(&[header.as_ref()], expected);
    }

    #[track_caller]
    fn check_all(headers: &[&[u8]], expected: &[&str]) {
        let found = read(headers);
        let values: Vec<_> = found.iter().map(String::from_utf8_lossy).collect();
        assert_eq!(values, expected);
        assert!(!found.overflow());
    }

    #[test]
    fn the_value_is_found_wherever_the_pair_stands() {
        check("id=a", &["a"]);
        check("x=1; id=a; y=2", &["a"]);
        check("x=1;id=a;y=2", &["a"]);
        check("x=1; y=2; id=a", &["a"]);
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in 0..40 {
            // Neighbours that differ in the lowest bit only, and with the highest bit set.
            let mut bytes: Vec<u8> = (0..length).map(|at| if at % 2 == 0 { b':' } else { 0xbb }).collect();
            assert_eq!(position(&bytes, b';'), None);
            for at in (0..length).rev() {
                bytes[at] = b';';
                assert_eq!(position(&bytes, b';'), Some(at));
            }
        }
    }

    #[test]
    fn a_name_is_compared_byte_by_byte() {
        for header in ["ID=a", "Id=a", "xid=a", "idx=a", "i d=a", "=id", "id", "\u{a0}id=a", "\"id\"=a", ""] {
            check(header, &[]);
        }
    }

    #[test]
    fn whitespace_around_names_and_values_is_not_part_of_them() {
        check("\t id \t=\t a\t ;", &["a"]);
        check("id=a b", &["a b"]);
        check("id=\u{b}a", &["\u{b}a"]);
    }

    #[test]
    fn one_pair_of_quotes_is_not_part_of_a_value() {
        check("id=\"a\"", &["a"]);
        check("id=\"\"a\"\"", &["\"a\""]);
        check("id=\"a", &["\"a"]);
        check("id=\"", &["\""]);
    }

    #[test]
    fn what_is_no_pair_is_skipped() {
        check("; ;;id=a;; ;=;=x;id", &["a"]);
        check(b"\xff\x00;\xfe=\xfd;id=a;\xc3", &["a"]);
        check(";", &[]);
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        check("id=a=b==", &["a=b=="]);
    }

    #[test]
    fn an_empty_value_is_no_candidate() {
        check("id=; id=\"\"; id= \t", &[]);
        check("id=; id=a", &["a"]);
    }

    #[test]
    fn crumbs_of_several_headers_are_read_in_order() {
        check_all(&[b"x=1; id=a", b"", b"id=b"], &["a", "b"]);
    }

    #[test]
    fn a_value_sent_again_counts_once() {
        check_all(&[b"id=a; id=\"a\"; id=b", b"id=a; id=b"], &["a", "b"]);
        check("id=a; id=b; id=c; id=a; id=b; id=c", &["a", "b", "c"]);
    }

    #[test]
    fn a_fourth_value_is_reported_and_left_out() {
        let found = read(&[b"id=a; id=b; id=c; id=d; id=e"]);
        assert_eq!(found.iter().collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert!(found.overflow());
    }

    #[test]
    fn debug_shows_no_value() {
        let found = read(&[b"id=secret"]);
        assert_eq!(format!("{found:?}"), "Candidates { len: 1, overflow: false }");
    }

    #[test]
    fn no_string_of_these_bytes_panics_or_yields_what_was_not_sent() {
        const BYTES: &[u8] = b"id=; \t\"\xff";
        let mut header = [0; 6];
        for mut n in 0..BYTES.len().pow(6) {
            for byte in &mut header {
                *byte = BYTES[n % BYTES.len()];
                n /= BYTES.len();
            }
            for value in read(&[&header]).iter() {
                assert!(!value.is_empty() && header.windows(value.len()).any(|part| part == value));
            }
        }
    }
}
