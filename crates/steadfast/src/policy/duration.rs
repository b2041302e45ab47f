//! Durations as people write them.

use std::time::Duration;

/// Units and their lengths in microseconds, longest first.
const UNITS: [(&str, u128); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Writes a duration in the form that the settings take: `1h30m`, `250ms`, `0s`.
pub(super) fn show(duration: Duration) -> String {
    let mut rest = duration.as_micros();
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(micros: u64, expected: &str) {
        assert_eq!(show(Duration::from_micros(micros)), expected);
    }

    #[test]
    fn a_duration_is_shown_in_the_units_it_consists_of() {
        check(0, "0s");
        check(1, "1us");
        check(250_000, "250ms");
        check(5_000_000, "5s");
        check(1_800_000_000, "30m");
        check(5_400_000_000, "1h30m");
        check(34_560_000_000_000, "400d");
        check(90_061_001_001, "1d1h1m1s1ms1us");
    }
}
