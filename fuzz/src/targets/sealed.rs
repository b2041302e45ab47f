use steadfast::fuzzing::{mend_record, rewrite_record, seal_record, unseal_record};

/// No bytes but those that were sealed open, and what was sealed opens. Length and checksum are mended first, so
/// that the engine comes to what is behind them.
pub(crate) fn run(data: &[u8]) {
    for bytes in [data.to_vec(), mend_record(data)] {
        // Only what is not sealed comes back, as it came.
        assert!(unseal_record(&bytes).is_none_or(|opened| opened == bytes));
        drop(rewrite_record(&bytes));
    }
    let mut sealed = seal_record(data);
    assert_eq!(unseal_record(&sealed).as_deref(), Some(data));
    let (at, bit) = (usize::from(data.first().copied().unwrap_or(0)) % sealed.len(), data.len() % 8);
    sealed[at] ^= 1 << bit;
    let opened = unseal_record(&mend_record(&sealed));
    // Length and checksum are mended; without magic and format it is no sealed record.
    assert!((8..16).contains(&at) || opened.is_none_or(|opened| at < 5 && opened != data));
}
