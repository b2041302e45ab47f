//! What the life cycle obeys: one immutable value, checked as a whole before the first request.

mod cookie;

pub use cookie::SameSite;
pub(crate) use cookie::{CookieSettings, MAX_COOKIE_LIFETIME};
