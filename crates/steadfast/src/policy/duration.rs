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

/// Reads a duration: numbers with units, longest unit first (`1h30m`), or a number of seconds (`0.5`).
#[cfg(any(feature = "config", feature = "network"))]
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Duration::try_from_secs_f64(text.parse().ok()?).ok();
    }
    let mut micros = 0_u128;
    let mut rest = text;
    // Never rewound, so a unit stands once and after the longer ones.
    let mut units = UNITS.into_iter();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, tail) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        micros = micros.checked_add(number.parse::<u128>().ok()?.checked_mul(length)?)?;
        rest = tail;
    }
    u64::try_from(micros).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(micros: u64, expected: &str) {
        let duration = Duration::from_micros(micros);
        assert_eq!(show(duration), expected);
        #[cfg(any(feature = "config", feature = "network"))]
        assert_eq!(parse(expected), Some(duration));
    }

    #[test]
    fn a_duration_is_shown_in_the_units_it_consists_of_and_read_back() {
        check(0, "0s");
        check(1, "1us");
        check(250_000, "250ms");
        check(5_000_000, "5s");
        check(1_800_000_000, "30m");
        check(5_400_000_000, "1h30m");
        check(34_560_000_000_000, "400d");
        check(90_061_001_001, "1d1h1m1s1ms1us");
        check(u64::MAX, "213503982d8h1m49s551ms615us");
    }

    #[cfg(any(feature = "config", feature = "network"))]
    #[test]
    fn a_bare_number_counts_seconds() {
        assert_eq!(parse("1800"), Some(Duration::from_secs(1_800)));
        assert_eq!(parse("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(parse("90m"), parse("1h30m"));
    }

    #[cfg(any(feature = "config", feature = "network"))]
    #[test]
    fn anything_else_is_no_duration() {
        let bad = [
            "",
            ".",
            "1.2.3",
            "-5",
            "+5",
            "1e3",
            "inf",
            "NaN",
            "5 s",
            " 5s",
            "s",
            "5x",
            "5S",
            "30m1h",
            "5s5s",
            "5ms5",
            "1.5h",
            "5µs",
            "99999999999999999999d",
            "9".repeat(400).as_str(),
            "1\u{661}s",
        ]
        .map(str::to_owned);
        for text in bad {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
