//! The cipher: the one place that knows which it is.
//!
//! XAES-256-GCM (C2SP): AES-256-GCM whose nonce is long enough to be random for every message, without a
//! bound that a busy site could reach. Another cipher takes another number in [`ALGORITHM`], and sizes of its
//! own.

use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{AeadInOut as _, KeyInit as _};

/// What stands for the cipher in the envelopes of sealed bytes.
pub(super) const ALGORITHM: u8 = 1;

/// Bytes of a nonce, random for every message.
pub(super) const NONCE: usize = 24;

/// Bytes that tell whether a message is as it was sealed.
pub(super) const TAG: usize = 16;

/// A key, made ready. Erased when dropped.
pub(super) struct Cipher(Xaes256Gcm);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Xaes256Gcm::new(key.into()))
    }

    /// Encrypts in place. The nonce must be new for every message.
    pub(super) fn encrypt(&self, nonce: &[u8; NONCE], bound: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let tag = self.0.encrypt_inout_detached(nonce.into(), bound, text.into());
        tag.expect("a record is shorter than the 64 GiB that a message may have").into()
    }

    /// Decrypts in place, and reports whether the message is as it was sealed. If not, what is left is of no use.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        bound: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG],
    ) -> bool {
        self.0.decrypt_inout_detached(nonce.into(), bound, text.into(), tag.into()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test vector of the specification, c2sp.org/XAES-256-GCM.
    #[test]
    fn the_cipher_is_the_one_of_the_specification() {
        let (nonce, mut text) = (*b"ABCDEFGHIJKLMNOPQRSTUVWX", *b"XAES-256-GCM");
        let tag = Cipher::new(&[1; 32]).encrypt(&nonce, b"", &mut text);
        let sealed = [&text[..], &tag[..]].concat();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    }
}
