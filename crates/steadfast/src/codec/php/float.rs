//! Floating-point numbers as PHP writes them with `serialize_precision = -1`: the fewest digits that read
//! back as the same number.

/// Appends a number.
pub(super) fn write(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"NAN");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number > 0.0 { b"INF" } else { b"-INF" });
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`e` writes an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if (-4..=16).contains(&exponent) {
        return out.extend_from_slice(number.to_string().as_bytes());
    }
    out.extend_from_slice(digits.as_bytes());
    if !digits.contains('.') {
        out.extend_from_slice(b".0");
    }
    out.extend_from_slice(format!("E{exponent:+}").as_bytes());
}

/// Reads a number that [`Reader`](super::token::Reader) has checked.
pub(super) fn read(text: &[u8]) -> f64 {
    match text {
        b"NAN" => f64::NAN,
        b"INF" => f64::INFINITY,
        b"-INF" => f64::NEG_INFINITY,
        _ => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: f64, expected: &str) {
        let mut written = Vec::new();
        write(number, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert_eq!(read(expected.as_bytes()).to_bits(), number.to_bits());
    }

    #[test]
    fn numbers_are_written_as_php_writes_them() {
        check(0.1, "0.1");
        check(1.0, "1");
        check(-0.0, "-0");
        check(1e-4, "0.0001");
        check(1e-5, "1.0E-5");
        check(1.0 / 3.0, "0.3333333333333333");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1e16, "10000000000000000");
        check(1e17, "1.0E+17");
        check(123_456_789_012_345_678.0, "1.2345678901234568E+17");
        check(1e25, "1.0E+25");
        check(1.5e300, "1.5E+300");
        check(5e-324, "5.0E-324");
        check(9_223_372_036_854_775_808.0, "9.223372036854776E+18");
        check(f64::INFINITY, "INF");
        check(f64::NEG_INFINITY, "-INF");
        check(f64::NAN, "NAN");
    }

    #[test]
    fn the_17_digits_of_older_versions_are_read() {
        assert_eq!(read(b"0.10000000000000001").to_bits(), 0.1_f64.to_bits());
        assert_eq!(read(b".5").to_bits(), 0.5_f64.to_bits());
        assert_eq!(read(b"+5.").to_bits(), 5.0_f64.to_bits());
        assert_eq!(read(b"1E3").to_bits(), 1e3_f64.to_bits());
    }
}
