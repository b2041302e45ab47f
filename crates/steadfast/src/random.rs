//! Randomness: secrets from the operating system, unique tags from a cheap sequence.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Returns secret bytes from the operating system.
///
/// # Panics
///
/// If the operating system has no randomness to give, which no server can go on from.
pub(crate) fn secret<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// Returns a number, never zero, that this process has not returned before and that another process
/// returns with a chance of 2⁻⁶⁴. Not secret.
///
/// A counter from a random start, through the bijective finalizer of SplitMix64: two calls of one
/// process can't give the same number within 2⁶⁴ calls.
pub(crate) fn unique() -> u64 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(u64::from_le_bytes(secret())));
    loop {
        let mut z = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        if z != 0 {
            return z;
        }
    }
}

/// Returns between half of a pause and all of it, so that two who wait do not meet again and again.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    half + half.mul_f64((unique() >> 32) as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_numbers_are_unique() {
        let mut seen: Vec<u64> = (0..10_000).map(|_| unique()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10_000);
    }
}
