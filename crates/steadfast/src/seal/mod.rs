//! Sealing: keys that make stored records and carried cookies unreadable and unforgeable for others.
//!
//! A [`KeyRing`] holds master keys; a `Sealer` seals for one purpose under keys derived from them. What is
//! sealed for one purpose opens for no other. The bytes are written down in `docs/wire-format.md`, what it
//! protects from and what not in `docs/sealing.md`.

mod cipher;
mod key_ring;
mod record;
mod sealer;
mod store;

pub use key_ring::KeyRing;
#[cfg(feature = "fuzzing")]
pub(crate) use record::RecordSealer;
#[cfg(feature = "cookie")]
pub(crate) use sealer::{OVERHEAD, Refused, Sealer};
pub use store::SealedStore;

pub(crate) use store::{check_at_start, wrap};

/// What keys are derived for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Records of the native layout, in a store.
    NativeRecord,
    /// Sessions that travel in cookies.
    #[cfg(feature = "cookie")]
    Cookie,
}

impl Purpose {
    /// Returns what stands for the purpose in the derivation of keys. Never changes.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::NativeRecord => b"steadfast.record.native.1",
            #[cfg(feature = "cookie")]
            Self::Cookie => b"steadfast.cookie.1",
        }
    }
}

/// Compiles the examples of the page.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/sealing.md")]
struct Page;
