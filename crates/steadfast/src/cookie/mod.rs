//! The session's cookie on the wire: found in what a browser sent, written for what it shall keep.
//!
//! Bytes in, values out. What a value means is the token's business, and when a cookie is sent is the
//! plan's.

mod read;
mod write;

pub(crate) use read::candidates;
#[cfg(feature = "cookie")]
pub(crate) use read::numbered;
pub(crate) use write::CookieWriter;
