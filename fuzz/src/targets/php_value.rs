use steadfast::Value;
use steadfast::fuzzing::{decode_php, encode_php};

/// What can be decoded can be encoded, and is then what it was.
pub(crate) fn run(data: &[u8]) {
    let Ok(value) = decode_php::<Value>(data) else { return };
    let Ok(written) = encode_php(&value) else { return };
    let read: Value = decode_php(&written).expect("what was encoded can be decoded");
    // NaN is not equal to itself, so the bytes are compared.
    assert_eq!(encode_php(&read).expect("it was encoded before"), written);
}
