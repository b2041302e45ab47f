use steadfast::Codec;
use steadfast::fuzzing::{decode, encode};

/// What can be decoded can be encoded, and is then what it was.
pub(crate) fn run(data: &[u8]) {
    for codec in [Codec::MessagePack, Codec::Json] {
        let Some(value) = decode(codec, data) else { continue };
        let Some(written) = encode(codec, &value) else { continue };
        let read = decode(codec, &written).expect("what was encoded can be decoded");
        // NaN is not equal to itself, so the bytes are compared.
        assert_eq!(encode(codec, &read).as_ref(), Some(&written));
    }
}
