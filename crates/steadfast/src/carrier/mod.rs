//! Sessions that travel in cookies: the record itself, sealed, instead of a token that leads to one.
//!
//! No store: nothing is kept here between two requests. A [`Carrier`] opens what a browser sent and writes what
//! it is to send next; the life cycle in between is the one of every session. What that gives up is on the page
//! `docs/drivers/cookie.md`, the bytes are in `docs/wire-format.md`.

#[cfg(not(feature = "cookie"))]
mod absent;
#[cfg(feature = "cookie")]
mod cookies;
#[cfg(all(feature = "cookie", feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(feature = "cookie")]
mod no_store;
#[cfg(feature = "cookie")]
mod parts;

#[cfg(not(feature = "cookie"))]
pub(crate) use absent::{Carrier, Crumbs};
#[cfg(feature = "cookie")]
pub(crate) use cookies::Carrier;
#[cfg(feature = "cookie")]
pub(crate) use no_store::NoStore;
#[cfg(feature = "cookie")]
pub(crate) use parts::Crumbs;

/// Compiles the example of the page.
#[cfg(all(doctest, feature = "cookie"))]
#[doc = include_str!("../../../../docs/drivers/cookie.md")]
struct Page;
