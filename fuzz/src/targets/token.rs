use steadfast::fuzzing::token_as_written;

/// A token has one spelling: what can be read is what is written.
pub(crate) fn run(data: &[u8]) {
    if let Some(written) = token_as_written(data) {
        assert_eq!(written.as_bytes(), data);
    }
}
