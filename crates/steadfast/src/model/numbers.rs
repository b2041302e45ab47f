//! Secrets and keys as small numbers: the model's states stay small, the protocol's functions get real ones.

use std::sync::LazyLock;

use crate::store::StoreKey;
use crate::token::{SealedSecret, Secret, SecretDigest};

/// More secrets than any scenario mints.
const SECRETS: usize = 24;

struct Known {
    secret: Secret,
    digest: SecretDigest,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let known = |n: usize| {
        let secret = Secret::known([u8::try_from(n).expect("few secrets"); 16]);
        Known { digest: secret.digest(), secret }
    };
    (0..SECRETS).map(known).collect()
});

static SEALED: LazyLock<Vec<SealedSecret>> = LazyLock::new(|| {
    let pairs = KNOWN.iter().flat_map(|old| KNOWN.iter().map(move |new| (old, new)));
    pairs.map(|(old, new)| old.secret.seal(&new.secret)).collect()
});

pub(super) fn secret(number: u8) -> &'static Secret {
    &KNOWN[usize::from(number)].secret
}

pub(super) fn digest(number: u8) -> SecretDigest {
    KNOWN[usize::from(number)].digest
}

/// What the record of `old` names its successor by.
pub(super) fn sealed(old: u8, new: u8) -> SealedSecret {
    SEALED[usize::from(old) * SECRETS + usize::from(new)]
}

pub(super) fn number_of(digest: SecretDigest) -> u8 {
    let number = KNOWN.iter().position(|known| known.digest.0 == digest.0);
    u8::try_from(number.expect("the model mints known secrets only")).expect("few secrets")
}

pub(super) fn store_key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 16])
}

pub(super) fn number_of_key(key: StoreKey) -> u8 {
    key.as_bytes()[0]
}
