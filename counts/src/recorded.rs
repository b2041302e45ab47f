//! The figures that were recorded, and the comparison with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::Result;
use crate::valgrind::Cost;

/// By how much instructions may be above what is recorded, in percent: compilers and C libraries differ a little.
const MARGIN: i64 = 5;

const HEAD: &str = "\
# What a request costs beyond one of a bare router: instructions, allocations, their bytes.
# `cargo xtask test --only counts` compares; docs/profiling.md says what the figures mean and how to record anew.
";

/// Costs by server and request.
pub(crate) type Figures = BTreeMap<String, Cost>;

/// What was recorded.
pub(crate) struct Recorded(Figures);

impl Recorded {
    /// Reads what [`written`] wrote.
    ///
    /// # Errors
    ///
    /// If the file can't be read.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        Self::parse(&std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?)
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let row = |line: &str| -> Result<(String, Cost)> {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [server, request, instructions, allocations, bytes] = words[..] else {
                return Err(format!("`{line}` is no row of figures").into());
            };
            let [instructions, allocations, bytes] =
                [instructions.parse()?, allocations.parse()?, bytes.parse()?];
            Ok((format!("{server} {request}"), Cost { instructions, allocations, bytes }))
        };
        Ok(Self(lines.map(row).collect::<Result<_>>()?))
    }

    /// Says in which rows more is counted than is recorded: a sentence each.
    pub(crate) fn compare(&self, counted: &Figures) -> Vec<String> {
        let mut faults = Vec::new();
        for (row, counted) in counted {
            let Some(recorded) = self.0.get(row) else {
                faults.push(format!("{row}: nothing is recorded"));
                continue;
            };
            let most = recorded.instructions + recorded.instructions * MARGIN / 100;
            if counted.instructions > most {
                faults.push(format!(
                    "{row}: {} instructions, recorded are {} and {MARGIN} % more",
                    counted.instructions, recorded.instructions
                ));
            }
            // Nothing makes these differ but the code.
            if counted.allocations > recorded.allocations {
                faults.push(format!(
                    "{row}: {} allocations, recorded are {}",
                    counted.allocations, recorded.allocations
                ));
            }
        }
        faults
    }
}

/// Writes figures as [`Recorded::read`] reads them.
pub(crate) fn written(figures: &Figures) -> String {
    let mut text = HEAD.to_owned();
    for (row, Cost { instructions, allocations, bytes }) in figures {
        writeln!(text, "{row:<16} {instructions:>7} {allocations:>4} {bytes:>7}")
            .expect("a string takes it all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: i64, allocations: i64) -> Figures {
        Figures::from([("memory view".to_owned(), Cost { instructions, allocations, bytes: 10 })])
    }

    #[track_caller]
    fn check(instructions: i64, allocations: i64, faults: usize) {
        let recorded = Recorded::parse(&written(&figures(1_000, 5))).unwrap();
        assert_eq!(recorded.compare(&figures(instructions, allocations)).len(), faults);
    }

    #[test]
    fn more_than_was_recorded_is_a_fault_and_less_is_none() {
        check(1_000, 5, 0);
        check(1_050, 5, 0);
        check(1_051, 5, 1);
        check(1_000, 6, 1);
        check(900, 4, 0);
    }

    #[test]
    fn what_is_not_recorded_is_a_fault() {
        assert_eq!(Recorded(Figures::new()).compare(&figures(1, 1)).len(), 1);
        assert!(Recorded::parse("memory view 12").is_err());
    }
}
