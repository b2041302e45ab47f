//! The cases, by subject. A case panics if the driver does not behave as its name says.

pub(super) mod records;
