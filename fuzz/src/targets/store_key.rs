use steadfast::store::StoreKey;

/// A store key has one spelling: what can be read is what is written.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(key) = StoreKey::from_hex(&text) {
        assert_eq!(key.to_hex(), text);
    }
}
