//! The keys: where they come from, what they are called, and what is derived from them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::Purpose;
use super::sealer::{KeyId, Sealer};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a key.
const KEY: usize = 32;

/// More keys than anybody rotates through: each one is tried by nobody, but a mistake shows.
const MAX_KEYS: usize = 64;

/// Largest key file that is read, in bytes: the keys with many comments.
const MAX_FILE: u64 = 64 * 1_024;

/// Base64 as tools write it, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys that seal sessions: the first one seals, all of them open.
///
/// A key is 32 random bytes in base64, as `openssl rand -base64 32` prints them. From each one the keys for
/// records and for cookies are derived. A key is known by its *id*, a digest of it, which opens nothing; that
/// id stands in whatever the key sealed, so a ring that lacks the key is told from bytes that were changed.
///
/// How keys are replaced is on the page `docs/sealing.md`.
///
/// # Security
///
/// Whoever has a key can read and forge what it sealed. Erased when dropped, and never shown by `Debug`.
///
/// # Examples
///
/// ```
/// use steadfast::{KeyRing, Policy};
///
/// # fn main() -> Result<(), steadfast::Error> {
/// let ring = KeyRing::from_text(
///     "1vBTuoQU1GAXp1ImVOp2HQYGOYdvKtdXZ6SVGuTJxCU= # November\n\
///      Zl9bFvMBNHNvVpVJHgUjYUOTt5GmYiSmWGWjjUQlMBk= # October: opens what is left of it\n",
/// )?;
/// let policy = Policy::builder().key_ring(ring).build()?;
/// # drop(policy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<[Master]>);

/// A key from which others are derived.
struct Master {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY]>,
}

impl KeyRing {
    /// Reads keys from a text: one a line, the newest first. What follows a `#` is a comment; commas and
    /// spaces separate keys, too, so that they fit into a variable of the environment.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig), naming everything that is wrong, without showing a key.
    pub fn from_text(text: &str) -> Result<Self> {
        Self::parse(text)
            .map_err(|faults| Error::new(ErrorKind::InvalidConfig, format!("the key ring: {faults}")))
    }

    /// Reads keys from a file, as [`from_text`](Self::from_text) does from a text. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// As [`from_text`](Self::from_text); and for a file that can't be read, that others than its owner and
    /// group may read, or that its group may write.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |what: String| format!("the key ring in {}: {what}", path.display());
        let text = read(path).map_err(|why| match why {
            Unreadable::Refused(why) => Error::new(ErrorKind::InvalidConfig, named(why.into())),
            Unreadable::Failed(error) => {
                Error::new(ErrorKind::InvalidConfig, named("it can't be read".into())).with_source(error)
            }
        })?;
        Self::parse(&text).map_err(|faults| Error::new(ErrorKind::InvalidConfig, named(faults)))
    }

    /// Takes keys as they are, the newest first.
    ///
    /// # Errors
    ///
    /// As [`from_text`](Self::from_text).
    pub fn from_bytes(keys: impl IntoIterator<Item = [u8; 32]>) -> Result<Self> {
        let keys = keys.into_iter().map(|key| Ok(Zeroizing::new(key))).collect();
        Self::check(keys)
            .map_err(|faults| Error::new(ErrorKind::InvalidConfig, format!("the key ring: {faults}")))
    }

    /// Returns the ids of the keys, 16 hexadecimal digits each, the newest first. They open nothing.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|master| master.id.to_string()).collect()
    }

    /// Derives what seals and opens for a purpose.
    pub(crate) fn sealer(&self, purpose: Purpose) -> Sealer {
        Sealer::new(self.0.iter().map(|master| {
            let mut key = Zeroizing::new([0; KEY]);
            master.derive(purpose.label(), &mut *key);
            (master.id, key)
        }))
    }

    /// Reads keys, or says everything that is wrong with them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words = text.lines().flat_map(|line| {
            let keys = line.split('#').next().unwrap_or_default();
            keys.split([',', ' ', '\t', '\r']).filter(|word| !word.is_empty())
        });
        Self::check(words.map(decode).collect())
    }

    fn check(keys: Vec<Result<Zeroizing<[u8; KEY]>, &'static str>>) -> Result<Self, String> {
        let (mut ring, mut faults) = (Vec::<Master>::new(), Vec::new());
        if keys.is_empty() {
            faults.push("there is no key; make one with `openssl rand -base64 32`".to_owned());
        }
        if keys.len() > MAX_KEYS {
            faults.push(format!("there are {} keys; {MAX_KEYS} are the most", keys.len()));
        }
        for (number, key) in (1..).zip(keys) {
            match key.and_then(Master::new) {
                Ok(master) if ring.iter().any(|known| known.id == master.id) => {
                    faults.push(format!("key {number} is there twice"));
                }
                Ok(master) => ring.push(master),
                Err(why) => faults.push(format!("key {number} {why}")),
            }
        }
        if faults.is_empty() { Ok(Self(ring.into())) } else { Err(faults.join("; ")) }
    }
}

impl Master {
    fn new(bytes: Zeroizing<[u8; KEY]>) -> Result<Self, &'static str> {
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err("is the same byte 32 times, not a random key");
        }
        let mut master = Self { id: KeyId::default(), bytes };
        let mut id = [0; KeyId::LEN];
        master.derive(b"steadfast.key-id.1", &mut id);
        master.id = KeyId(id);
        Ok(master)
    }

    fn derive(&self, label: &[u8], out: &mut [u8]) {
        Hkdf::<Sha256>::new(Some(b"steadfast.seal.1"), &*self.bytes)
            .expand(label, out)
            .expect("32 bytes are within what HKDF-SHA-256 can give");
    }
}

/// Reads one key, in either alphabet of base64.
fn decode(word: &str) -> Result<Zeroizing<[u8; KEY]>, &'static str> {
    const LENGTH: &str = "is not 32 bytes in base64; make one with `openssl rand -base64 32`";
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    let word = Zeroizing::new(word.bytes().map(standard).collect::<Vec<_>>());
    // Longer than a key by one group, so that a key that is too long does not pass for one.
    let mut bytes = [0; KEY + 4];
    let decoded = BASE64.decode_slice(&*word, &mut bytes);
    let mut key = Zeroizing::new([0; KEY]);
    key.copy_from_slice(&bytes[..KEY]);
    bytes.zeroize();
    if decoded == Ok(KEY) { Ok(key) } else { Err(LENGTH) }
}

/// Why a key file was not read.
enum Unreadable {
    Refused(&'static str),
    Failed(std::io::Error),
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads a key file that nobody else can read.
fn read(path: &Path) -> Result<Zeroizing<String>, Unreadable> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(Unreadable::Refused("it is no file of keys"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o027 != 0 {
            return Err(Unreadable::Refused(
                "others may read it, or its group may write it; set its mode to 0600 or 0440",
            ));
        }
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Shows the ids of the keys, and no key.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    #[track_caller]
    fn check(text: &str, says: &[&str]) {
        let error = KeyRing::from_text(text).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        let shown = error.to_string();
        assert!(says.iter().all(|part| shown.contains(part)), "{shown}");
        assert!(!shown.contains(&ONE[..8]), "a key was shown: {shown}");
    }

    #[test]
    fn keys_come_from_lines_and_words_in_their_order() {
        let ring = KeyRing::from_text(&format!("# new\n{ONE} # of November\n\n{TWO}\r\n")).unwrap();
        let words = KeyRing::from_text(&format!("{ONE},{}", TWO.trim_end_matches('='))).unwrap();
        let bytes = [std::array::from_fn(|at| at as u8), std::array::from_fn(|at| at as u8 + 32)];
        let bytes = KeyRing::from_bytes(bytes).unwrap();
        assert_eq!((ring.ids(), words.ids()), (bytes.ids(), bytes.ids()));
    }

    #[test]
    fn both_alphabets_of_base64_are_read() {
        let standard = "+/ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let url_safe = standard.replace('+', "-").replace('/', "_");
        assert_eq!(KeyRing::from_text(standard).unwrap().ids(), KeyRing::from_text(&url_safe).unwrap().ids());
    }

    /// Whatever was sealed names its key by this.
    #[test]
    fn the_id_of_a_key_stays_what_it_is() {
        assert_eq!(KeyRing::from_text(ONE).unwrap().ids(), ["95796577352dc370"]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        check("", &["there is no key"]);
        check("# nothing but a comment", &["there is no key"]);
        let short = &ONE[..24];
        let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        check(
            &format!("{ONE}\n{short}\nsecret!\n{ONE}\n{zero}\n{ONE}AAAA"),
            &[
                "key 2 is not 32",
                "key 3 is not 32",
                "key 4 is there twice",
                "key 5 is the same",
                "key 6 is not",
            ],
        );
        check(&format!("{ONE} ").repeat(65), &["there are 65 keys"]);
    }

    #[test]
    fn nothing_secret_can_be_printed() {
        let ring = KeyRing::from_text(ONE).unwrap();
        assert_eq!(format!("{ring:?}"), format!("KeyRing({:?})", ring.ids()));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ONE).unwrap();
        let read = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            KeyRing::from_file(file.path()).map(|ring| ring.ids())
        };
        for mode in [0o600, 0o400, 0o440] {
            assert_eq!(read(mode).unwrap(), KeyRing::from_text(ONE).unwrap().ids(), "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o660] {
            let error = read(mode).unwrap_err();
            assert!(error.to_string().contains("set its mode"), "{mode:o}: {error}");
        }
        let error = KeyRing::from_file("/nowhere/keys").unwrap_err();
        assert!(error.to_string().contains("can't be read"), "{error}");
        assert!(KeyRing::from_file("/").is_err());
    }
}
