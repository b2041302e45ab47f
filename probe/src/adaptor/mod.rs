//! The web frameworks that can serve: what each knows of our handlers, and how it starts and stops.

pub(crate) mod actix;
pub(crate) mod axum;
