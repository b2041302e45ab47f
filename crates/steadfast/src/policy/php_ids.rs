//! The ids of sessions that are shared with PHP: how they may look, and how a new one is made.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::random;

/// PHP's digits, in its order: the first sixteen for 4 bits a character, thirty-two for 5, all for 6.
const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,-";

/// Shortest id, in characters: PHP makes none below 22.
const MIN_LENGTH: usize = 22;
/// Longest id, in characters: so much of a name fits into a store's key.
const MAX_LENGTH: usize = 64;
/// Least randomness of a new id, in bits: what OWASP asks for twice over, and what PHP's defaults have.
const MIN_BITS: usize = 128;
/// Most shapes. PHP and CodeIgniter have had four since 2011.
const MAX_SHAPES: usize = 16;

/// The shapes of the ids that PHP gives its sessions: which ones are taken, and which one new ids get.
///
/// Written as `32x4,40x4,32x5`: how many characters, and how many bits each of them has. PHP calls these
/// `session.sid_length` and `session.sid_bits_per_character`; 4 bits are `0-9 a-f`, 5 are `0-9 a-v`, 6 are
/// `0-9 a-z A-Z , -`. New ids get the first shape, all are taken. All but the first may be a range of
/// lengths: `22-64x6`.
///
/// # Examples
///
/// ```
/// use steadfast::{Layout, PhpIds, Policy};
///
/// # fn main() -> Result<(), steadfast::Error> {
/// // As PHP of Debian makes them, and those that CodeIgniter 4.6 makes.
/// let ids: PhpIds = "32x5,32x4".parse()?;
/// let policy = Policy::builder().layout(Layout::CodeIgniter3).php_ids(ids).build()?;
/// # drop(policy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhpIds(Vec<Shape>);

/// Ids of these lengths, with so many bits in each character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    shortest: usize,
    longest: usize,
    bits: u8,
}

impl PhpIds {
    /// What CodeIgniter 4.6 and later makes and takes: 32 characters of `0-9 a-f`.
    pub(super) fn of_codeigniter4() -> Self {
        Self(vec![Shape::exactly(32, 4)])
    }

    /// What CodeIgniter 3 has ever made, on any PHP: 160 bits, or 128 where it was told so.
    pub(super) fn of_codeigniter3() -> Self {
        let widest = Shape { shortest: 27, longest: MAX_LENGTH, bits: 6 };
        Self(vec![Shape::exactly(32, 4), Shape::exactly(40, 4), Shape::exactly(32, 5), widest])
    }

    /// What PHP makes unless told otherwise, and whatever it may have been told.
    pub(super) fn of_php() -> Self {
        Self(vec![Shape::exactly(32, 4), Shape { shortest: MIN_LENGTH, longest: MAX_LENGTH, bits: 6 }])
    }

    /// Reports whether an id has one of these shapes.
    #[must_use]
    pub fn accepts(&self, id: &[u8]) -> bool {
        self.0.iter().any(|shape| shape.fits(id))
    }

    /// Makes a new id, from the operating system's randomness, as PHP makes its own.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no server can go on from.
    #[must_use]
    pub fn fresh(&self) -> String {
        self.spelled(random::secret::<MAX_LENGTH>())
    }

    /// Makes the id of these bytes.
    pub(crate) fn spelled(&self, bytes: [u8; MAX_LENGTH]) -> String {
        spell(bytes, *self.0.first().expect("there is at least one shape"))
    }
}

/// Takes the bits from the low end of each byte, as PHP does, and writes them as digits.
fn spell(random: [u8; MAX_LENGTH], Shape { longest, bits, .. }: Shape) -> String {
    let mut bytes = random.into_iter();
    let (mut pool, mut have) = (0_u16, 0_u8);
    let mut digit = || {
        if have < bits {
            pool |= u16::from(bytes.next().expect("a character takes less than a byte")) << have;
            have += 8;
        }
        let digit = DIGITS[usize::from(pool & ((1 << bits) - 1))];
        pool >>= bits;
        have -= bits;
        char::from(digit)
    };
    (0..longest).map(|_| digit()).collect()
}

impl Shape {
    const fn exactly(length: usize, bits: u8) -> Self {
        Self { shortest: length, longest: length, bits }
    }

    fn fits(self, id: &[u8]) -> bool {
        let digits = &DIGITS[..1 << self.bits];
        (self.shortest..=self.longest).contains(&id.len()) && id.iter().all(|byte| digits.contains(byte))
    }

    fn parse(text: &str) -> Option<Self> {
        let (lengths, bits) = text.trim().split_once('x')?;
        let (shortest, longest) = lengths.split_once('-').unwrap_or((lengths, lengths));
        let shape = Self { shortest: digits(shortest)?, longest: digits(longest)?, bits: digits(bits)? };
        (shape.shortest <= shape.longest).then_some(shape)
    }
}

/// Reads a number, without the signs that Rust would take.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl FromStr for PhpIds {
    type Err = Error;

    /// Reads shapes with commas between them.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) for anything else, for lengths below 22 or over
    /// 64, bits other than 4, 5 and 6, and if new ids would have less than 128 bits or no one length.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::new(ErrorKind::InvalidConfig, why);
        let mut shapes = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let shown = part.escape_debug();
            let shape = Shape::parse(part).ok_or_else(|| {
                refuse(format!("`{shown}` is no shape of ids: write it as 32x4 or 22-64x6"))
            })?;
            if shape.shortest < MIN_LENGTH || shape.longest > MAX_LENGTH {
                return Err(refuse(format!(
                    "`{shown}` is not from {MIN_LENGTH} to {MAX_LENGTH} characters long"
                )));
            }
            if !(4..=6).contains(&shape.bits) {
                return Err(refuse(format!("`{shown}` has not 4, 5 or 6 bits a character")));
            }
            shapes.push(shape);
        }
        let first = shapes[0];
        if first.shortest != first.longest {
            return Err(refuse("the first shape is that of new ids, so it has one length".into()));
        }
        if first.shortest * usize::from(first.bits) < MIN_BITS {
            return Err(refuse(format!(
                "the first shape is that of new ids and has less than {MIN_BITS} bits"
            )));
        }
        if shapes.len() > MAX_SHAPES {
            return Err(refuse(format!("there are more than {MAX_SHAPES} shapes of ids")));
        }
        Ok(Self(shapes))
    }
}

impl fmt::Display for PhpIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Shape { shortest, longest, bits }) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match shortest == longest {
                true => write!(f, "{comma}{longest}x{bits}")?,
                false => write!(f, "{comma}{shortest}-{longest}x{bits}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> PhpIds {
        text.parse().expect("shapes of ids")
    }

    #[track_caller]
    fn check(text: &str, id: &str, accepted: bool) {
        assert_eq!(ids(text).accepts(id.as_bytes()), accepted, "{text} {id}");
    }

    #[test]
    fn an_id_has_the_length_and_the_digits_of_a_shape() {
        check("32x4", &"0af9".repeat(8), true);
        check("32x4", &"a".repeat(31), false);
        check("32x4", &"a".repeat(33), false);
        check("32x4", &"A".repeat(32), false);
        check("32x4", "1f5o06b43phsnnf8if6bo33b635e4p2o", false);
        check("32x4,32x5", "1f5o06b43phsnnf8if6bo33b635e4p2o", true);
        check("32x5", &"w".repeat(32), false);
        check("32x4,40x4", &"b".repeat(40), true);
        check("32x4,27x6", "0-9,a-z,A-Z,0-9,a-z,A-Z,abc", true);
        check("32x4,22-64x6", &"Z".repeat(64), true);
        check("32x4,22-64x6", &"Z".repeat(21), false);
        check("32x4,22-64x6", &"Z".repeat(65), false);
        check("32x6", &"/".repeat(32), false);
        check("32x6", "", false);
    }

    #[test]
    fn a_new_id_has_the_first_shape_and_is_new() {
        for text in ["32x4", "40x4", "32x5", "27x6", "64x6", "22x6"] {
            let shapes = ids(text);
            let (one, other) = (shapes.fresh(), shapes.fresh());
            assert!(shapes.accepts(one.as_bytes()), "{text} {one}");
            assert_ne!(one, other);
        }
    }

    #[test]
    fn bits_are_taken_from_the_low_end_as_php_does() {
        let random = |start: &[u8]| {
            let mut bytes = [0; MAX_LENGTH];
            bytes[..start.len()].copy_from_slice(start);
            bytes
        };
        let start = |bytes: &[u8], bits| spell(random(bytes), Shape::exactly(32, bits))[..5].to_owned();
        assert_eq!(start(&[0x21, 0xf3], 4), "123f0");
        // 0b11111 of 0xff, then 0b111 of it and 0b01 of 0x01: PHP's `v`, `f`.
        assert_eq!(start(&[0xff, 0x01], 5), "vf000");
        assert_eq!(start(&[0xff, 0xff, 0xff], 6), "----0");
    }

    #[test]
    fn shapes_are_written_as_they_are_read() {
        for text in ["32x4", "32x4,40x4,32x5,27-64x6"] {
            assert_eq!(ids(text).to_string(), text);
        }
        assert_eq!(ids(" 32x4 , 40x4").to_string(), "32x4,40x4");
        assert_eq!(PhpIds::of_codeigniter4().to_string(), "32x4");
        assert_eq!(PhpIds::of_codeigniter3().to_string(), "32x4,40x4,32x5,27-64x6");
        assert_eq!(PhpIds::of_php().to_string(), "32x4,22-64x6");
    }

    #[track_caller]
    fn check_refused(text: &str, why: &str) {
        let error = text.parse::<PhpIds>().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn what_is_no_shape_says_why() {
        for text in ["", "32", "32x", "x4", "ax4", "32x4,", "+32x4", "64-32x4", "32x4;40x4", "1e1x4"] {
            check_refused(text, "is no shape of ids: write it as 32x4");
        }
        check_refused("32x4,21x6", "`21x6` is not from 22 to 64");
        check_refused("65x4", "`65x4` is not from 22 to 64");
        check_refused("32x3", "`32x3` has not 4, 5 or 6 bits");
        check_refused("32x4,32x7", "`32x7` has not 4, 5 or 6 bits");
        check_refused("31x4", "less than 128 bits");
        check_refused("21-64x6", "`21-64x6` is not from 22");
        check_refused("22-64x6", "so it has one length");
        check_refused(&["32x4"; 17].join(","), "more than 16 shapes");
        assert!(["32x4"; 16].join(",").parse::<PhpIds>().is_ok());
    }

    /// PHP makes them by `session_create_id`, with the settings that the shape says.
    #[test]
    fn php_s_own_ids_are_accepted() {
        for (length, bits) in [(22, 6), (26, 5), (32, 4), (40, 4), (64, 6)] {
            let program = format!(
                "ini_set('session.sid_length', {length}); ini_set('session.sid_bits_per_character', {bits}); \
                 echo session_create_id();"
            );
            let made = std::process::Command::new("php").args(["-r", &program]).output().expect("php runs");
            let id = String::from_utf8(made.stdout).expect("ASCII");
            assert_eq!(id.len(), length, "{id}");
            check(&format!("32x4,{length}x{bits}"), &id, true);
            assert!(PhpIds::of_php().accepts(id.as_bytes()));
        }
    }
}
