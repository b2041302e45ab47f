//! Medians, and how far they can be believed.

/// How often the bootstrap draws. More changes the interval by less than the noise of the measurements.
const DRAWS: usize = 2_000;

/// A median with the interval that holds it with 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// Says what the interval lets one say of a bar.
    pub(crate) fn verdict(&self, bar: f64) -> &'static str {
        match (self.high <= bar, self.low > bar) {
            (true, _) => "met",
            (_, true) => "missed",
            _ => "undecided",
        }
    }
}

/// Returns the median of measurements, with its bootstrap interval.
pub(crate) fn estimate(measured: &[f64]) -> Estimate {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut medians: Vec<f64> = (0..DRAWS)
        .map(|_| median((0..measured.len()).map(|_| measured[random.below(measured.len())]).collect()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let (low, high) = (medians[DRAWS / 40], medians[DRAWS - DRAWS / 40 - 1]);
    Estimate { median: median(measured.to_vec()), low, high }
}

/// Returns the value below which a share of the measurements lies.
pub(crate) fn quantile(measured: &mut [f64], share: f64) -> f64 {
    measured.sort_by(f64::total_cmp);
    let last = measured.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a few thousand measurements"
    )]
    let at = (last as f64 * share).round() as usize;
    measured.get(at).copied().unwrap_or(f64::NAN)
}

fn median(mut measured: Vec<f64>) -> f64 {
    quantile(&mut measured, 0.5)
}

/// A small generator, the same in each run: an interval is not to change with each look at it.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap_or(0) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_lies_around_the_median() {
        let Estimate { median, low, high } = estimate(&[5.0, 1.0, 2.0, 3.0, 4.0]);
        assert!((median - 3.0).abs() < f64::EPSILON);
        assert!(low < median && median < high, "{low} {high}");
    }

    #[test]
    fn what_does_not_vary_is_certain() {
        assert_eq!(estimate(&[2.0; 7]), Estimate { median: 2.0, low: 2.0, high: 2.0 });
    }
}
