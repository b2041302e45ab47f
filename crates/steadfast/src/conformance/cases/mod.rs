//! The cases, by subject. A case panics if the driver does not behave as its name says.

pub(super) mod deadlines;
pub(super) mod leases;
pub(super) mod listing;
pub(super) mod payloads;
pub(super) mod races;
pub(super) mod records;
pub(super) mod replacements;
pub(super) mod users;
pub(super) mod waiting;
