//! FastLZ, by which php-memcached compresses what is larger than 2,000 bytes: reading only.
//!
//! A stream is a list of runs of literal bytes and of copies of what came before. The upper three bits of its
//! first byte tell which of two levels it has: 0 up to 65,535 bytes, 1 beyond.

/// How far back the short form of a copy reaches in level 2.
const FAR: usize = 8_191;

/// A byte that says: there is more to the length.
const MORE: usize = 255;

/// Returns the bytes of a stream; `None` unless they are exactly `length`, and the stream has no fault.
///
/// Costs no more memory than `length`, which the caller has bounded.
pub(super) fn unpack(stream: &[u8], length: usize) -> Option<Vec<u8>> {
    let level_2 = match stream.first()? >> 5 {
        0 => false,
        1 => true,
        _ => return None,
    };
    let mut input = Input { left: stream };
    let mut out = Vec::with_capacity(length);
    // The first run is one of literals; its upper bits are the level.
    let mut control = input.byte()? & 31;
    loop {
        if control < 32 {
            let literals = input.take(control + 1)?;
            if literals.len() > length - out.len() {
                return None;
            }
            out.extend_from_slice(literals);
        } else {
            let (distance, copied) = if level_2 { input.far(control)? } else { input.near(control)? };
            let start = out.len().checked_sub(distance)?;
            if copied > length - out.len() {
                return None;
            }
            // What is copied may be what the copy itself writes.
            for at in start..start + copied {
                out.push(out[at]);
            }
        }
        if input.left.is_empty() {
            return (out.len() == length).then_some(out);
        }
        control = input.byte()?;
    }
}

/// What is left of a stream.
struct Input<'a> {
    left: &'a [u8],
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<usize> {
        let (byte, left) = self.left.split_first()?;
        self.left = left;
        Some(usize::from(*byte))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    /// Reads a copy of level 1: how far back, and how many bytes.
    fn near(&mut self, control: usize) -> Option<(usize, usize)> {
        let mut copied = (control >> 5) + 2;
        if control >> 5 == 7 {
            copied += self.byte()?;
        }
        Some((((control & 31) << 8) + self.byte()? + 1, copied))
    }

    /// Reads a copy of level 2, whose length and distance have no bound but the stream's.
    fn far(&mut self, control: usize) -> Option<(usize, usize)> {
        let mut copied = (control >> 5) + 2;
        if control >> 5 == 7 {
            loop {
                let more = self.byte()?;
                copied += more;
                if more != MORE {
                    break;
                }
            }
        }
        let (high, low) = (control & 31, self.byte()?);
        if high == 31 && low == MORE {
            return Some(((self.byte()? << 8) + self.byte()? + FAR + 1, copied));
        }
        Some(((high << 8) + low + 1, copied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_copies_are_read() {
        // Level 1: three literals, then seven bytes from three back.
        assert_eq!(unpack(b"\x02abc\xa0\x02", 10).as_deref(), Some(&b"abcabcabca"[..]));
        // The longest form of a length: 7 + 2 + 4 bytes from one back.
        assert_eq!(unpack(b"\x00a\xe0\x04\x00", 14), Some(vec![b'a'; 14]));
        // Level 2: a length of several bytes.
        assert_eq!(unpack(b"\x20a\xe0\xff\x01\x00", 266), Some(vec![b'a'; 266]));
    }

    #[test]
    fn a_stream_with_a_fault_is_refused() {
        let faults: [(&[u8], usize); 9] = [
            (b"", 0),
            (b"\x40a", 1),
            (b"\x02ab", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x02abc\xa0\x02", 9),
            (b"\x02abc\xa0\x02", 11),
            (b"\x02abc\xa0", 10),
            (b"\x20a\xe0\xff", 266),
            (b"\x20a\x3f\xff\x00", 4),
        ];
        for (stream, length) in faults {
            assert_eq!(unpack(stream, length), None, "{stream:?}");
        }
    }

    #[test]
    fn hostile_streams_cost_no_more_than_the_length_that_was_allowed() {
        for _ in 0..20_000 {
            let random = [crate::random::unique(), crate::random::unique()].map(u64::to_le_bytes).concat();
            if let Some(out) = unpack(&random, 64) {
                assert_eq!(out.len(), 64);
            }
        }
        let endless = [&b"\x20a\xe0"[..], &[255; 100_000], b"\x00\x00"].concat();
        assert_eq!(unpack(&endless, 1_000), None);
    }
}
