//! Hash tables by the key of a record, which is a hash already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::StoreKey;

/// A hash table by the key of a record.
pub(crate) type ByKey<T> = HashMap<StoreKey, T, BuildHasherDefault<DigestHasher>>;

/// A hash table by the digest in the key of a record, where a key's literal name is not needed.
pub(crate) type ByDigest<T> = HashMap<[u8; 16], T, BuildHasherDefault<DigestHasher>>;

/// Takes the digest's own bits as the hash: they are uniformly distributed already.
#[derive(Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        // The last bytes, because the first one is the same for all keys of a shard.
        if let Some(tail) = bytes.last_chunk() {
            self.0 = u64::from_ne_bytes(*tail);
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // An array announces its length, which tells keys nothing apart.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
