//! Seals and opens for one purpose, under the keys derived for it.
//!
//! What comes out is `key id ‖ nonce ‖ encrypted ‖ tag`, bound to bytes that stand elsewhere: whoever opens it
//! must have the same ones. The key id needs no binding, since another id means another key.

use std::fmt;

use zeroize::Zeroizing;

use super::cipher::{Cipher, NONCE, TAG};
use crate::random;

/// Bytes that sealing adds to a message.
pub(crate) const OVERHEAD: usize = KeyId::LEN + NONCE + TAG;

/// Tells keys from each other: a digest of the master key, which opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KeyId(pub(super) [u8; Self::LEN]);

impl KeyId {
    /// Bytes of an id: enough that two keys never share one by accident.
    pub(crate) const LEN: usize = 8;
}

/// Shows 16 hexadecimal digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Why sealed bytes were not opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The ring does not hold the key.
    UnknownKey(KeyId),
    /// They are not what a holder of the key sealed, for this purpose and this place.
    Forged,
}

/// Seals under the newest key, and opens under all.
pub(crate) struct Sealer {
    /// The newest first.
    keys: Box<[(KeyId, Cipher)]>,
}

impl Sealer {
    pub(super) fn new(keys: impl Iterator<Item = (KeyId, Zeroizing<[u8; 32]>)>) -> Self {
        Self { keys: keys.map(|(id, key)| (id, Cipher::new(&key))).collect() }
    }

    /// Appends a sealed message to `out`, which only `bound` and this purpose open.
    pub(crate) fn seal(&self, out: &mut Vec<u8>, message: &[u8], bound: &[u8]) {
        self.seal_with(random::secret(), out, message, bound);
    }

    /// Seals with a nonce that must never be used again.
    pub(crate) fn seal_with(&self, nonce: [u8; NONCE], out: &mut Vec<u8>, message: &[u8], bound: &[u8]) {
        let (id, cipher) = &self.keys[0];
        out.reserve(OVERHEAD + message.len());
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(message);
        let tag = cipher.encrypt(&nonce, bound, &mut out[start..]);
        out.extend_from_slice(&tag);
    }

    /// Opens what [`seal`](Self::seal) made.
    pub(crate) fn unseal(&self, sealed: &[u8], bound: &[u8]) -> Result<Vec<u8>, Refused> {
        let (id, rest) = sealed.split_first_chunk().ok_or(Refused::Forged)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(Refused::Forged)?;
        let (encrypted, tag) = rest.split_last_chunk().ok_or(Refused::Forged)?;
        let id = KeyId(*id);
        let key = self.keys.iter().find(|(known, _)| *known == id).ok_or(Refused::UnknownKey(id))?;
        let mut message = encrypted.to_vec();
        if key.1.decrypt(nonce, bound, &mut message, tag) { Ok(message) } else { Err(Refused::Forged) }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}
