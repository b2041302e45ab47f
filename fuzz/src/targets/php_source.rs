use steadfast::fuzzing;

/// A file of PHP is read without a panic, and each setting is found on a line that the file has.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    assert!(fuzzing::read_php_source(text).iter().all(|line| (1..=lines).contains(line)));
}
