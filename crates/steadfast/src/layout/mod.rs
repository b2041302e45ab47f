//! Layouts that are shared with PHP: what its programs keep in the cookie and in the record, and what our own
//! life cycle needs of it.
//!
//! The life cycle and the handler's API are the same in every layout. [`PhpLayout`] makes of the id in the
//! cookie a token, of PHP's bytes a header with values, and the other way round. Written down byte by byte in
//! `docs/layouts/README.md`.

#[cfg(not(feature = "php"))]
mod absent;
#[cfg(feature = "php")]
mod forwarding;
#[cfg(feature = "php")]
mod kept_origin;
#[cfg(feature = "php")]
mod markers;
#[cfg(feature = "php")]
mod read;
#[cfg(feature = "php")]
mod reserved;
#[cfg(feature = "php")]
mod shared;
#[cfg(feature = "php")]
mod write;

#[cfg(not(feature = "php"))]
pub(crate) use absent::{PhpLayout, PhpSide};
#[cfg(feature = "php")]
pub(crate) use forwarding::{CaughtUp, Left, Origin, PhpSide};
#[cfg(feature = "php")]
pub(crate) use reserved::is_reserved;
#[cfg(feature = "php")]
pub(crate) use shared::PhpLayout;
