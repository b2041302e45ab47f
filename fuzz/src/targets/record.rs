use steadfast::fuzzing::{mend_record, rewrite_record};

/// A record that can be read is written so that it reads the same. Its length and checksum are mended
/// first, so that the engine comes to what is behind them.
pub(crate) fn run(data: &[u8]) {
    drop(rewrite_record(data));
    let mended = mend_record(data);
    let Some(written) = rewrite_record(&mended) else { return };
    assert_eq!(rewrite_record(&written).as_ref(), Some(&written));
}
