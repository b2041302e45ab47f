//! A text in several cookies: cut where a browser would refuse a longer one, and put together again.
//!
//! The first part, in the cookie of the session's name, says how many there are. Each later one, in `name.1`,
//! `name.2`, …, begins with eight characters of the first one's nonce, so that parts of two responses are told
//! apart. That is for finding them: what holds them together is the seal over the whole.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cookie::numbered;

/// The most parts that one session travels in: with its name, each is one digit longer.
pub(crate) const MAX_PARTS: usize = 9;

/// How many values of one cookie are looked at, as for tokens.
const MAX_VALUES: usize = 3;

/// What every parcel begins with: `STFC` in its cookie, so that what another program left under the same name is
/// not taken for one.
pub(super) const MAGIC: [u8; 3] = [0x49, 0x31, 0x42];

/// Where the number of parts stands in a parcel.
pub(super) const COUNT: usize = 4;

/// The characters of the first part with which each later one begins: bytes 18 to 23, the start of the nonce.
const MARK: std::ops::Range<usize> = 24..32;

/// What a browser sent of the cookies in which sessions travel.
#[derive(Default)]
pub(crate) struct Crumbs {
    /// What could be put together, still sealed.
    pub(super) parcels: Vec<Vec<u8>>,
    /// One bit for each cookie that was sent, the first part's lowest.
    sent: u16,
    /// Some parts are missing.
    pub(super) incomplete: bool,
    /// There were more than are looked at.
    pub(super) too_many: bool,
}

impl Crumbs {
    /// Finds the cookies of a name and its parts among the lines of a request's `Cookie` headers.
    pub(super) fn collect<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Self {
        let mut crumbs = Self::default();
        let mut values: [Vec<&[u8]>; MAX_PARTS] = Default::default();
        for (number, value) in numbered(lines, name) {
            let Some(same) = values.get_mut(number) else { continue };
            crumbs.sent |= 1 << number;
            // An empty one is what a removal leaves with a browser that does not remove.
            if value.is_empty() || same.contains(&value) {
                continue;
            }
            if same.len() == MAX_VALUES {
                crumbs.too_many = true;
                continue;
            }
            same.push(value);
        }
        let [first, others @ ..] = &values;
        for first in first {
            match join(first, others) {
                Joined::Whole(parcel) => crumbs.parcels.push(parcel),
                Joined::Incomplete => crumbs.incomplete = true,
                Joined::Foreign => {}
            }
        }
        crumbs
    }

    /// Iterates over the numbers of the parts that were sent, from one on.
    pub(super) fn sent_from(&self, number: usize) -> impl Iterator<Item = usize> + use<> {
        let sent = self.sent;
        (number..MAX_PARTS).filter(move |number| sent & (1 << number) != 0)
    }
}

enum Joined {
    Whole(Vec<u8>),
    Incomplete,
    /// It was never one of ours.
    Foreign,
}

/// Puts the parts together that follow a first one.
fn join(first: &[u8], others: &[Vec<&[u8]>]) -> Joined {
    let (Some(mark), Some(count)) = (first.get(MARK), count(first)) else { return Joined::Foreign };
    let mut text = first.to_vec();
    for values in &others[..count - 1] {
        let Some(part) = values.iter().find_map(|value| value.strip_prefix(mark)) else {
            return Joined::Incomplete;
        };
        text.extend_from_slice(part);
    }
    URL_SAFE_NO_PAD.decode(text).map_or(Joined::Foreign, Joined::Whole)
}

/// Reads the number of parts out of the first one, if it is one.
fn count(first: &[u8]) -> Option<usize> {
    let mut head = [0; 6];
    URL_SAFE_NO_PAD.decode_slice(first.get(..8)?, &mut head).ok()?;
    let count = usize::from(head[COUNT]);
    (head.starts_with(&MAGIC) && (1..=MAX_PARTS).contains(&count)).then_some(count)
}

/// Returns how many cookies a text of this length takes, if each value has room for so many characters.
pub(super) fn parts_for(len: usize, room: usize) -> usize {
    1 + len.saturating_sub(room).div_ceil(room - MARK.len())
}

/// Returns how many characters the values of so many cookies have together.
pub(super) fn value_len(len: usize, parts: usize) -> usize {
    len.saturating_add((parts - 1).saturating_mul(MARK.len()))
}

/// Cuts a text into the values of cookies with room for so many characters each.
pub(super) fn split(text: &str, room: usize) -> Vec<String> {
    let (first, mut rest) = text.split_at(text.len().min(room));
    let mut parts = vec![first.to_owned()];
    while !rest.is_empty() {
        let part;
        (part, rest) = rest.split_at(rest.len().min(room - MARK.len()));
        parts.push([&text[MARK], part].concat());
    }
    parts
}

/// Shows how many there are, and no value.
impl fmt::Debug for Crumbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crumbs").field("parcels", &self.parcels.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 100;

    /// Bytes that say of how many parts they are, for the room of these tests.
    fn parcel(len: usize, salt: u8) -> Vec<u8> {
        let mut parcel: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31) ^ salt).collect();
        parcel[..3].copy_from_slice(&MAGIC);
        parcel[COUNT] = parts_for((len * 4).div_ceil(3), ROOM) as u8;
        parcel
    }

    fn cookies(parcel: &[u8]) -> Vec<String> {
        let parts = split(&URL_SAFE_NO_PAD.encode(parcel), ROOM);
        let name = |at| if at == 0 { "s".to_owned() } else { format!("s.{at}") };
        parts.iter().enumerate().map(|(at, part)| format!("{}={part}", name(at))).collect()
    }

    fn read(cookies: &[String]) -> Crumbs {
        Crumbs::collect(std::iter::once(cookies.join("; ").as_bytes()), "s")
    }

    #[test]
    fn what_was_cut_is_put_together_in_any_order() {
        for len in [24, 74, 75, 76, 100, 200, 500] {
            let parcel = parcel(len, 0);
            let mut cookies = cookies(&parcel);
            assert_eq!(cookies.len(), usize::from(parcel[COUNT]), "{len}");
            assert!(cookies.iter().all(|cookie| cookie.len() <= ROOM + 4));
            let values: usize = cookies.iter().map(|cookie| cookie.split_once('=').unwrap().1.len()).sum();
            assert_eq!(values, value_len((len * 4).div_ceil(3), cookies.len()));
            assert_eq!(read(&cookies).parcels, std::slice::from_ref(&parcel));
            cookies.reverse();
            assert_eq!(read(&cookies).parcels, [parcel]);
        }
    }

    #[test]
    fn parts_of_two_responses_are_not_mixed() {
        let (one, two) = (cookies(&parcel(200, 0)), cookies(&parcel(200, 7)));
        let mixed = read(&[one[0].clone(), two[1].clone(), one[2].clone()]);
        assert!(mixed.parcels.is_empty() && mixed.incomplete);
        let both = read(&[one, two].concat());
        assert_eq!(both.parcels, [parcel(200, 0), parcel(200, 7)]);
    }

    #[test]
    fn a_part_that_is_left_over_is_ignored_and_known() {
        let (long, short) = (cookies(&parcel(200, 0)), parcel(80, 7));
        let jar = [cookies(&short), long[2..].to_vec()].concat();
        let crumbs = read(&jar);
        assert_eq!(crumbs.parcels, [short]);
        assert_eq!(crumbs.sent_from(2).collect::<Vec<_>>(), [2]);
        assert_eq!(crumbs.sent_from(0).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_missing_part_is_told_from_what_was_never_ours() {
        let cookies = cookies(&parcel(200, 0));
        assert!(read(&cookies[..2]).incomplete);
        for foreign in ["s=", "s=abc", "s=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "s.1=x; s.9=y", "x=1"]
        {
            let crumbs = read(&[foreign.to_owned()]);
            assert!(crumbs.parcels.is_empty(), "{foreign}");
        }
    }

    #[test]
    fn more_values_than_are_looked_at_are_reported() {
        let all: Vec<_> = (0..5).flat_map(|salt| cookies(&parcel(60, salt))).collect();
        let crumbs = read(&all);
        assert_eq!((crumbs.parcels.len(), crumbs.too_many), (MAX_VALUES, true));
    }
}
