//! The value of the session cookie: a key that names the record and a secret that proves ownership.
//!
//! The cookie holds 32 random bytes, `key ‖ secret`, as 43 characters of unpadded base64url. The store
//! knows the record by a digest of the key and keeps only a digest of the secret, so a leaked store opens
//! no session. The layout is written down in `docs/wire-format.md`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::random;
use crate::store::{StoreKey, UserKey};

/// Bytes in a key and in a secret: 128 bits each, from the operating system.
const HALF: usize = 16;

/// Bytes of a token.
pub(crate) const TOKEN: usize = 2 * HALF;

/// Characters of a token in the cookie: 32 bytes in unpadded base64url.
pub(crate) const TOKEN_CHARS: usize = 43;

/// The value of the session cookie.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) key: Key,
    pub(crate) secret: Secret,
}

impl Token {
    /// Makes a token for a record that does not exist yet.
    pub(crate) fn fresh() -> Self {
        Self { key: Key::Own(random::secret()), secret: Secret::fresh() }
    }

    /// Reads the value of a cookie; `None` for anything that [`encode`](Self::encode) did not write.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        if value.len() != TOKEN_CHARS {
            return None;
        }
        // One byte more than needed, because the decoder asks for a whole group.
        let mut bytes = Zeroizing::new([0; TOKEN + 1]);
        let n = URL_SAFE_NO_PAD.decode_slice(value, &mut *bytes).ok()?;
        bytes[..n].try_into().ok().map(Self::from_bytes)
    }

    /// Writes the value of the cookie.
    pub(crate) fn encode(&self) -> String {
        match &self.key {
            Key::Own(key) => URL_SAFE_NO_PAD.encode(self.bytes_with(key).as_slice()),
            // As PHP writes it: a comma is none of a cookie's characters.
            #[cfg(feature = "php")]
            Key::Shared(name) => name.id().replace(',', "%2C"),
        }
    }

    /// Takes `key ‖ secret`.
    pub(crate) fn from_bytes(bytes: &[u8; TOKEN]) -> Self {
        let (mut key, mut secret) = ([0; HALF], [0; HALF]);
        key.copy_from_slice(&bytes[..HALF]);
        secret.copy_from_slice(&bytes[HALF..]);
        Self { key: Key::Own(key), secret: Secret(secret) }
    }

    /// Returns `key ‖ secret`.
    #[cfg(feature = "cookie")]
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; TOKEN]> {
        match &self.key {
            Key::Own(key) => self.bytes_with(key),
            #[cfg(feature = "php")]
            Key::Shared(_) => unreachable!("a session that travels in cookies is not shared with PHP"),
        }
    }

    fn bytes_with(&self, key: &[u8; HALF]) -> Zeroizing<[u8; TOKEN]> {
        let mut bytes = Zeroizing::new([0; TOKEN]);
        bytes[..HALF].copy_from_slice(key);
        bytes[HALF..].copy_from_slice(&self.secret.0);
        bytes
    }

    /// Makes the token of a layout that is shared with PHP: its id names the record and proves ownership at once.
    #[cfg(feature = "php")]
    pub(crate) fn shared(name: crate::store::SharedName) -> Self {
        Self { key: Key::Shared(Box::new(name)), secret: Secret::SHARED }
    }

    /// Makes the token under which a session goes on that had this id in a layout shared with PHP.
    ///
    /// Always the same one, so that requests which come with the id at the same time move one session. Whoever
    /// knows the id can make it, so its secret is replaced at once.
    #[cfg(feature = "php")]
    pub(crate) fn moved_from(name: &crate::store::SharedName) -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN]);
        expand(b"steadfast.moved.1", name.id().as_bytes(), &mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// Returns the bytes of which the id is made under which a session goes on in a layout shared with PHP.
    ///
    /// Made of the secret, too: a token that was replaced leads nowhere.
    #[cfg(feature = "php")]
    pub(crate) fn id_seed<const N: usize>(&self) -> Zeroizing<[u8; N]> {
        let mut seed = Zeroizing::new([0; N]);
        match &self.key {
            Key::Own(key) => expand(b"steadfast.id.1", self.bytes_with(key).as_slice(), &mut *seed),
            Key::Shared(name) => expand(b"steadfast.id.1", name.id().as_bytes(), &mut *seed),
        }
        seed
    }

    /// The same record with another secret.
    pub(crate) fn with_secret(&self, secret: Secret) -> Self {
        Self { key: self.key.clone(), secret }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What names a record for its whole life; only its holder knows it.
#[derive(Clone)]
pub(crate) enum Key {
    Own([u8; HALF]),
    /// The id that PHP knows the session by, until it changes.
    #[cfg(feature = "php")]
    // Boxed, because a key of ours is much shorter.
    Shared(Box<crate::store::SharedName>),
}

impl Key {
    /// Returns the name of the record in the store.
    pub(crate) fn store_key(&self) -> StoreKey {
        match self {
            Self::Own(key) => StoreKey::from_bytes(digest(b"steadfast.key.1", key)),
            #[cfg(feature = "php")]
            Self::Shared(name) => name.key(),
        }
    }

    /// Returns the secret from which the session's CSRF tokens are made.
    ///
    /// Made from the key, so it survives rotation, ends with a change of privilege (a new record has a
    /// new key), needs no place in the record, and can't be found in the store.
    pub(crate) fn csrf_secret(&self) -> [u8; HALF] {
        match self {
            Self::Own(key) => digest(b"steadfast.csrf.1", key),
            #[cfg(feature = "php")]
            Self::Shared(name) => digest(b"steadfast.csrf.1", name.id().as_bytes()),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        match self {
            Self::Own(key) => key.zeroize(),
            #[cfg(feature = "php")]
            Self::Shared(name) => name.zeroize(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What proves ownership of a record, and rotates.
#[derive(Clone)]
pub(crate) struct Secret([u8; HALF]);

impl Secret {
    /// Makes a secret.
    pub(crate) fn fresh() -> Self {
        Self(random::secret())
    }

    /// Stands in the place of a secret where the id alone is one.
    #[cfg(feature = "php")]
    pub(crate) const SHARED: Self = Self([0; HALF]);

    /// Makes a secret of bytes that a test knows.
    #[cfg(test)]
    pub(crate) const fn known(bytes: [u8; HALF]) -> Self {
        Self(bytes)
    }

    /// Returns what the record keeps of it.
    pub(crate) fn digest(&self) -> SecretDigest {
        SecretDigest(digest(b"steadfast.secret.1", &self.0))
    }

    /// Seals the secret that succeeds this one, so that only a holder of this one can read it.
    ///
    /// A one-time pad: the key stream is derived from this secret and from the successor's digest, so no
    /// two successors ever meet the same stream, and the digest in the record tells whether what comes
    /// out is right.
    pub(crate) fn seal(&self, successor: &Self) -> SealedSecret {
        let pad = self.pad(&successor.digest());
        SealedSecret(xor(successor.0, pad))
    }

    /// Opens what [`seal`](Self::seal) made; `None` if this is not the secret it was sealed under.
    pub(crate) fn unseal(&self, sealed: &SealedSecret, successor: &SecretDigest) -> Option<Self> {
        let secret = Self(xor(sealed.0, self.pad(successor)));
        secret.digest().matches(successor).then_some(secret)
    }

    fn pad(&self, successor: &SecretDigest) -> [u8; HALF] {
        let mut pad = [0; HALF];
        Hkdf::<Sha256>::new(Some(b"steadfast.forward.1"), &self.0)
            .expand(&successor.0, &mut pad)
            .expect("16 bytes are within what HKDF-SHA-256 can give");
        pad
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a record keeps of a secret.
#[derive(Clone, Copy)]
pub(crate) struct SecretDigest(pub(crate) [u8; HALF]);

impl SecretDigest {
    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        // In two words: byte by byte takes ten times as long, and tells nobody less.
        let words = |bytes: &[u8; HALF]| {
            [0, 8].map(|at| bytes[at..].first_chunk().map_or(0, |w| u64::from_ne_bytes(*w)))
        };
        let ([a, b], [c, d]) = (words(&self.0), words(&other.0));
        (a.ct_eq(&c) & b.ct_eq(&d)).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// A secret that only the holder of its predecessor can read.
#[derive(Clone, Copy)]
pub(crate) struct SealedSecret(pub(crate) [u8; HALF]);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// Returns the name under which a store's index knows a user.
pub(crate) fn user_key(user: &str) -> UserKey {
    UserKey::from_bytes(digest(b"steadfast.user.1", user.as_bytes()))
}

/// Returns the 8 digits that stand for a record in logs and lists. It opens nothing.
pub(crate) fn tag(key: &StoreKey) -> String {
    crate::hex::encode(&digest(b"steadfast.tag.1", key.as_bytes())[..4])
}

/// SHA-256 of a label and the data, cut to 128 bits. The labels have no common prefix relation with each
/// other's data, because each ends in the same version digit and no label is a prefix of another.
fn digest(label: &[u8], data: &[u8]) -> [u8; 16] {
    let full = Sha256::new().chain_update(label).chain_update(data).finalize();
    let mut cut = [0; 16];
    cut.copy_from_slice(&full[..16]);
    cut
}

#[cfg(feature = "php")]
fn expand(label: &[u8], from: &[u8], into: &mut [u8]) {
    Hkdf::<Sha256>::new(Some(label), from)
        .expand(&[], into)
        .expect("a token or an id is within what HKDF-SHA-256 can give");
}

fn xor(mut a: [u8; HALF], b: [u8; HALF]) -> [u8; HALF] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_cookie() {
        let token = Token::fresh();
        let read = Token::parse(token.encode().as_bytes()).expect("its own output");
        assert_eq!(read.key.store_key(), token.key.store_key());
        assert!(read.secret.digest().matches(&token.secret.digest()));
    }

    #[test]
    fn anything_else_is_not_a_token() {
        let good = Token::fresh().encode();
        // The last of 43 characters carries two bits that must be zero: one token, one spelling.
        let spelled_differently = format!("{}_", &good[..42]);
        for bad in
            ["", "a", &good[1..], &format!("{good}A"), &good.replace(&good[..1], "="), &spelled_differently]
        {
            assert!(Token::parse(bad.as_bytes()).is_none());
        }
        assert!(Token::parse(&[0xff; TOKEN_CHARS]).is_none());
    }

    #[test]
    fn only_the_predecessor_opens_the_successor() {
        let (old, new, other) = (Secret::fresh(), Secret::fresh(), Secret::fresh());
        let sealed = old.seal(&new);
        let opened = old.unseal(&sealed, &new.digest()).expect("sealed under this secret");
        assert!(opened.digest().matches(&new.digest()));
        assert!(other.unseal(&sealed, &new.digest()).is_none());
        assert!(old.unseal(&sealed, &other.digest()).is_none());
    }

    /// Records and cookies live by these bytes, so they may never change. `docs/wire-format.md` has them, too.
    #[test]
    fn the_digests_stay_what_they_are() {
        let [key, old, new] = [0, 16, 32].map(|from| std::array::from_fn(|at| from + at as u8));
        let token = Token { key: Key::Own(key), secret: Secret(old) };
        let new = Secret(new);
        assert_eq!(token.encode(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert_eq!(token.key.store_key().to_hex(), "ff7c86654014e2dc3f3fea9f69965672");
        assert_eq!(tag(&token.key.store_key()), "4f478370");
        assert_eq!(user_key("alice").to_hex(), "e47f8f59ad18af2f7a897dbd066dcb8d");
        let hex = |bytes: [u8; 16]| crate::hex::encode(&bytes);
        assert_eq!(hex(token.secret.digest().0), "cd82bbd719181141d71b2e84f32096d4");
        assert_eq!(hex(token.key.csrf_secret()), "e1f4dfcf42731048eadf1cb9293320ca");
        assert_eq!(hex(token.secret.seal(&new).0), "c4ac025fbc06e3caa5770f956e5c051d");
    }

    #[test]
    fn nothing_secret_can_be_printed() {
        let token = Token::fresh();
        let text = format!(
            "{token:?} {:?} {:?} {:?} {:?}",
            token.key,
            token.secret,
            token.secret.digest(),
            token.key.store_key()
        );
        assert_eq!(text, "Token(..) Key(..) Secret(..) SecretDigest(..) StoreKey(..)");
    }
}
