use cookie::Cookie;
use steadfast::fuzzing::cookie_candidates;

/// Where the parser of the `cookie` crate reads the same bytes, it finds the same values.
pub(crate) fn run(data: &[u8]) {
    let (found, more) = cookie_candidates(&[data], "session");
    assert!(found.len() <= 3 && !(more && found.len() < 3));
    // The other one reads texts only, and takes more than space and tab for white space.
    let Ok(text) = std::str::from_utf8(data) else { return };
    if !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return;
    }
    let mut expected: Vec<&[u8]> = Vec::new();
    let cookies: Vec<_> = Cookie::split_parse(text).flatten().collect();
    for cookie in cookies.iter().filter(|cookie| cookie.name() == "session") {
        let value = cookie.value_trimmed().as_bytes();
        if !value.is_empty() && !expected.contains(&value) {
            expected.push(value);
        }
    }
    assert_eq!(more, expected.len() > 3);
    expected.truncate(3);
    assert_eq!(found, expected);
}
