//! The envelope of a sealed record: what of it can be read without a key.
//!
//! Everything of the record is sealed, its header included. In clear are the format, the key's id and a
//! checksum, which tells an accident on the disk from a missing key; what the driver keeps beside the record
//! (version, deadline, user's digest) is in clear as ever.

use bytes::Bytes;

use super::sealer::{Refused, Sealer};
use super::{KeyRing, Purpose, cipher};
use crate::error::{Error, ErrorKind, Result};
use crate::record;
use crate::store::StoreKey;

/// Bytes of the envelope in front of what the [`Sealer`] writes.
const ENVELOPE: usize = record::ENVELOPE;

/// The bytes of the envelope that the seal covers: magic, format, algorithm and what is reserved. The
/// checksum and the length behind them follow from the rest.
const COVERED: usize = 8;

/// Seals and opens the payloads of records.
#[derive(Debug)]
pub(crate) struct RecordSealer {
    sealer: Sealer,
    unsealed: Unsealed,
}

/// What becomes of a record that is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// It is read, and sealed with its next write.
    Accept,
    Refuse,
}

impl RecordSealer {
    pub(crate) fn new(ring: &KeyRing) -> Self {
        Self { sealer: ring.sealer(Purpose::NativeRecord), unsealed: Unsealed::Accept }
    }

    pub(super) fn refuse_unsealed(&mut self) {
        self.unsealed = Unsealed::Refuse;
    }

    /// Seals a payload for one key of the store: under another one it does not open.
    pub(crate) fn seal(&self, key: &StoreKey, payload: &[u8]) -> Bytes {
        self.finish(key, payload, |bytes, bound| self.sealer.seal(bytes, payload, bound))
    }

    fn finish(&self, key: &StoreKey, payload: &[u8], seal: impl FnOnce(&mut Vec<u8>, &[u8])) -> Bytes {
        let mut bytes = Vec::with_capacity(ENVELOPE + super::sealer::OVERHEAD + payload.len());
        bytes.extend_from_slice(&record::MAGIC);
        bytes.extend_from_slice(&[record::SEALED, cipher::ALGORITHM]);
        bytes.resize(ENVELOPE, 0);
        let bound = bound(&bytes, key);
        seal(&mut bytes, &bound);
        record::finish_envelope(&mut bytes);
        Bytes::from(bytes)
    }

    /// Opens a payload.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) for bytes that were damaged by accident,
    /// [`KeyMissing`](ErrorKind::KeyMissing) if the ring lacks the key, [`Forged`](ErrorKind::Forged) for
    /// what nobody with a key has sealed under this key of the store.
    pub(crate) fn unseal(&self, key: &StoreKey, payload: Bytes) -> Result<Bytes> {
        if !record::is_sealed(&payload) {
            return match self.unsealed {
                Unsealed::Accept => Ok(payload),
                Unsealed::Refuse => Err(Error::new(
                    ErrorKind::Forged,
                    "the session record is not sealed, and `refuse_unsealed` is set; it is left as it is",
                )),
            };
        }
        record::check_envelope(&payload)?;
        let (envelope, sealed) = payload.split_at(ENVELOPE);
        if envelope[5] != cipher::ALGORITHM {
            return Err(record::newer_format());
        }
        self.sealer.unseal(sealed, &bound(envelope, key)).map(Bytes::from).map_err(refused)
    }
}

/// Returns what a seal is bound to.
fn bound(envelope: &[u8], key: &StoreKey) -> [u8; COVERED + 16] {
    let mut bound = [0; COVERED + 16];
    bound[..COVERED].copy_from_slice(&envelope[..COVERED]);
    bound[COVERED..].copy_from_slice(key.as_bytes());
    bound
}

fn refused(why: Refused) -> Error {
    match why {
        Refused::UnknownKey(id) => Error::new(
            ErrorKind::KeyMissing,
            format!("the session record is sealed under the key {id}, which is not in the key ring; add it"),
        ),
        Refused::Forged => Error::new(
            ErrorKind::Forged,
            "the session record was not sealed by a holder of the keys for this place; it is left as it is",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: StoreKey = StoreKey::from_bytes([0x44; 16]);
    const THERE: StoreKey = StoreKey::from_bytes([0x45; 16]);

    fn ring(keys: &[u8]) -> KeyRing {
        let key = |first: &u8| std::array::from_fn(|at| first.wrapping_add(at as u8));
        KeyRing::from_bytes(keys.iter().map(key)).unwrap()
    }

    fn sealer(keys: &[u8]) -> RecordSealer {
        RecordSealer::new(&ring(keys))
    }

    fn plain() -> Bytes {
        Bytes::from_static(include_bytes!("../../tests/golden/record-v1.bin"))
    }

    #[track_caller]
    fn kind(opened: Result<Bytes>) -> ErrorKind {
        opened.expect_err("refused").kind()
    }

    #[test]
    fn a_sealed_record_is_the_golden_one() {
        let sealer = sealer(&[0]);
        let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let sealed = sealer.finish(&HERE, &plain(), |bytes, bound| {
            sealer.sealer.seal_with(nonce, bytes, &plain(), bound);
        });
        let golden = include_bytes!("../../tests/golden/record-v2.bin");
        assert_eq!(sealed[..], golden[..]);
        assert_eq!(sealer.unseal(&HERE, Bytes::from_static(golden)).unwrap(), plain());
    }

    #[test]
    fn what_is_sealed_opens_and_shows_nothing() {
        let sealed = sealer(&[0]).seal(&HERE, &plain());
        assert_eq!(sealer(&[0]).unseal(&HERE, sealed.clone()).unwrap(), plain());
        assert!(!sealed.windows(5).any(|bytes| bytes == b"alice"));
        assert_ne!(sealer(&[0]).seal(&HERE, &plain()), sealed, "a nonce is used once");
    }

    #[test]
    fn a_body_that_was_moved_to_another_session_does_not_open() {
        let sealed = sealer(&[0]).seal(&HERE, &plain());
        assert_eq!(kind(sealer(&[0]).unseal(&THERE, sealed)), ErrorKind::Forged);
    }

    #[test]
    fn a_record_opens_under_every_key_of_the_ring_and_is_sealed_under_the_first() {
        let old = sealer(&[7]).seal(&HERE, &plain());
        let both = sealer(&[9, 7]);
        assert_eq!(both.unseal(&HERE, old.clone()).unwrap(), plain());
        let new = both.seal(&HERE, &plain());
        assert_eq!(sealer(&[9]).unseal(&HERE, new.clone()).unwrap(), plain());
        assert_eq!(kind(sealer(&[7]).unseal(&HERE, new)), ErrorKind::KeyMissing);
        let error = sealer(&[9]).unseal(&HERE, old).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMissing);
        assert!(error.to_string().contains(&ring(&[7]).ids()[0]), "{error}");
    }

    /// An accident is told from a forgery, and neither is read.
    #[test]
    fn every_changed_bit_is_noticed() {
        let sealed = sealer(&[0]).seal(&HERE, &plain());
        for at in 5..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert_eq!(kind(sealer(&[0]).unseal(&HERE, changed.clone().into())), ErrorKind::Corrupt, "{at}");
            record::finish_envelope(&mut changed);
            // What changes the length or the checksum alone was mended.
            if changed == sealed[..] {
                continue;
            }
            let expected = match at {
                5 => ErrorKind::NewerFormat,
                16..24 => ErrorKind::KeyMissing,
                _ => ErrorKind::Forged,
            };
            assert_eq!(kind(sealer(&[0]).unseal(&HERE, changed.into())), expected, "byte {at}");
        }
        for len in ENVELOPE..sealed.len() {
            let mut cut = sealed[..len].to_vec();
            record::finish_envelope(&mut cut);
            assert_eq!(kind(sealer(&[0]).unseal(&HERE, cut.into())), ErrorKind::Forged, "cut at {len}");
        }
    }

    #[test]
    fn the_header_of_another_record_does_not_fit() {
        let other = [&plain()[..], b"x"].concat();
        let (one, two) = (sealer(&[0]).seal(&HERE, &plain()), sealer(&[0]).seal(&HERE, &other));
        // Envelope, key id and nonce of one, in front of the rest of the other.
        let mut mixed = [&one[..48], &two[48..]].concat();
        record::finish_envelope(&mut mixed);
        assert_eq!(kind(sealer(&[0]).unseal(&HERE, mixed.into())), ErrorKind::Forged);
    }

    #[test]
    fn an_unsealed_record_is_read_unless_that_is_refused() {
        let mut sealer = sealer(&[0]);
        assert_eq!(sealer.unseal(&HERE, plain()).unwrap(), plain());
        sealer.refuse_unsealed();
        assert_eq!(kind(sealer.unseal(&HERE, plain())), ErrorKind::Forged);
    }

    #[test]
    fn without_a_ring_a_sealed_record_asks_for_its_key() {
        let sealed = sealer(&[0]).seal(&HERE, &plain());
        assert_eq!(record::decode(&sealed).unwrap_err().kind(), ErrorKind::KeyMissing);
    }
}
