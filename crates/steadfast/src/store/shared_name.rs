//! What PHP calls a session: its id, and with `matchIP` the client's address.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::StoreKey;

/// The longest id that is taken, in bytes. PHP makes 32 characters unless told otherwise, CodeIgniter up to 40.
const MAX_ID: usize = 64;

/// The name of a record in a layout that is shared with PHP. It opens the session, so it is secret.
#[derive(Clone, Copy)]
pub struct SharedName {
    id: [u8; MAX_ID],
    len: u8,
    ip: Option<IpAddr>,
}

impl SharedName {
    /// Takes an id, and the client's address if it is a part of the name (`matchIP`).
    ///
    /// `None` unless the id has 1 to 64 characters of `0-9 a-z A-Z , -`: those that PHP makes ids of, and none
    /// that could lead a file name, a key or a statement astray.
    #[must_use]
    pub fn new(id: &[u8], ip: Option<IpAddr>) -> Option<Self> {
        let fits = (1..=MAX_ID).contains(&id.len());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'-');
        if !fits || !id.iter().all(plain) {
            return None;
        }
        let mut bytes = [0; MAX_ID];
        bytes[..id.len()].copy_from_slice(id);
        Some(Self { id: bytes, len: u8::try_from(id.len()).ok()?, ip })
    }

    /// Returns the id, as in the cookie.
    #[must_use]
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id[..usize::from(self.len)]).expect("ids are ASCII")
    }

    /// Returns the client's address, if it is a part of the name.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Erases the id.
    pub(crate) fn zeroize(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.id);
        self.len = 0;
    }

    /// Returns the key of the record.
    #[must_use]
    pub fn key(self) -> StoreKey {
        let mut hash = Sha256::new().chain_update(b"steadfast.shared.1").chain_update(self.id());
        if let Some(ip) = self.ip {
            hash = hash.chain_update(b"_").chain_update(ip.to_string());
        }
        let digest = *hash.finalize().first_chunk().expect("a digest has 32 bytes");
        StoreKey { digest, shared: Some(self) }
    }
}

impl fmt::Debug for SharedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedName(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nothing_astray() {
        for bad in ["", "../a", "a/b", "a b", "a\0b", "a:lock", "a'b", &"a".repeat(65)] {
            assert!(SharedName::new(bad.as_bytes(), None).is_none(), "{bad}");
        }
        let name = SharedName::new(b"1f5o06b43phsnnf8if6bo33b635e4p2o", None).expect("an id of 4.5");
        assert_eq!(name.id(), "1f5o06b43phsnnf8if6bo33b635e4p2o");
    }

    #[test]
    fn with_an_address_it_is_another_record() {
        let key = |ip: Option<&str>| {
            let ip = ip.map(|ip| ip.parse().expect("an address"));
            SharedName::new(b"abc", ip).expect("an id").key()
        };
        assert_eq!(key(None), key(None));
        assert_ne!(key(None), key(Some("127.0.0.1")));
        assert_ne!(key(Some("127.0.0.1")), key(Some("127.0.0.2")));
        assert!(key(None).shared().is_some());
        assert_eq!(format!("{:?} {:?}", key(None), key(None).shared()), "StoreKey(..) Some(SharedName(..))");
    }
}
