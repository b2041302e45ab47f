use steadfast::fuzzing::{carried_cookies, carry};

/// No cookies but those that were sent open, in any order and beside any others.
pub(crate) fn run(data: &[u8]) {
    assert!(carried_cookies(&[data]).is_empty());
    // A value has no semicolon, so the rest can't cut a part short.
    let Some(sent) = carry(data) else { return };
    let noise: Vec<u8> = data.iter().map(|byte| if *byte == b';' { b'_' } else { *byte }).collect();
    let lines: Vec<Vec<u8>> =
        sent.iter().rev().map(|pair| [b"x=", &noise[..], b"; ", pair.as_bytes()].concat()).collect();
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    assert_eq!(carried_cookies(&lines), [data]);
}
