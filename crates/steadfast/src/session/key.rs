//! The keys of a session's values: plain texts, bytes, or typed ones.

use std::fmt;
use std::marker::PhantomData;

/// A key that knows the type of its value.
///
/// # Examples
///
/// ```
/// use steadfast::{Key, Session};
///
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// struct Cart {
///     items: Vec<String>,
/// }
///
/// const CART: Key<Cart> = Key::new("cart");
///
/// fn items(session: &Session) -> steadfast::Result<usize> {
///     Ok(session.get(CART)?.unwrap_or_default().items.len())
/// }
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// Makes a key of a name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}

impl<T> AsRef<[u8]> for Key<T> {
    fn as_ref(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// What a value of type `T` can be found under: a [`Key<T>`], or a plain text or bytes for any type.
///
/// Sealed: the set is closed, so that a key always stands for the same bytes.
pub trait KeyFor<T>: sealed::Sealed + Copy {
    /// Returns the bytes of the key.
    fn key_bytes(&self) -> &[u8];
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {}
    impl<T> Sealed for super::Key<T> {}
    impl Sealed for &str {}
    impl Sealed for &String {}
    impl Sealed for &[u8] {}
    impl Sealed for &Vec<u8> {}
}

impl<T> KeyFor<T> for Key<T> {
    fn key_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl<T> KeyFor<T> for $type {
            fn key_bytes(&self) -> &[u8] {
                self.as_ref()
            }
        }
    )*};
}
plain!(&str, &[u8]);

impl<T> KeyFor<T> for &String {
    fn key_bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<T> KeyFor<T> for &Vec<u8> {
    fn key_bytes(&self) -> &[u8] {
        self
    }
}
