//! The servers that the drivers are tested against. They are real, and somebody else has started them.

pub(crate) use steadfast_servers::shared_dsn as dsn;
