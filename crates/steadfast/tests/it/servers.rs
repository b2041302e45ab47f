//! The servers that the drivers are tested against. They are real, and somebody else has started them.

/// Returns the connection string of a server that the tests share, as in `STEADFAST_TEST_REDIS`.
///
/// A missing server is a failure, never a test that is skipped.
pub(crate) fn dsn(server: &str) -> String {
    let variable = format!("STEADFAST_TEST_{server}");
    std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `cargo xtask test`, or `cargo xtask servers` and what it prints")
    })
}
