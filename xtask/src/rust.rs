//! Stage `rust`: unit, integration and documentation tests of the whole workspace, and of the benchmarks.

use std::process::Command;

use crate::cargo::cargo;
use crate::stage::{Counts, Stage};
use crate::{Result, bench, process, servers};

pub(crate) const STAGE: Stage =
    Stage { name: "rust", about: "unit, integration and documentation tests", needs: &servers::TOOLS, run };

/// Compiles before it starts the servers that the tests share, as they would only be in the way.
fn run() -> Result<Counts> {
    let test = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    process::run(cargo(test).arg("--no-run"))?;
    let servers = servers::start()?;
    let mut counts = count(cargo(test).envs(servers.variables()))?;
    counts += &count(bench::cargo("test").args(["--workspace", "--no-fail-fast"]))?;
    Ok(counts)
}

/// Runs a `cargo test` and counts what its harnesses report.
pub(crate) fn count(command: &mut Command) -> Result<Counts> {
    let mut report = Report::default();
    let status = process::watch(command, |line| report.read(line))?;
    let mut counts = report.into_counts();
    if status.success() != counts.failures.is_empty() {
        // Tests that don't compile, or a harness that died before it could report.
        counts.failures.push(format!("{} ({status})", process::shown(command)));
    }
    if counts == Counts::default() {
        return Err("no test ran".into());
    }
    Ok(counts)
}

/// What the standard harnesses printed so far.
#[derive(Default)]
struct Report {
    counts: Counts,
    failed: usize,
}

impl Report {
    /// Reads a line: `test NAME ... FAILED` or `test result: ...`; others say nothing.
    fn read(&mut self, line: &str) {
        let Some(line) = line.strip_prefix("test ") else { return };
        if let Some(name) = line.strip_suffix(" ... FAILED") {
            self.counts.failures.push(name.to_owned());
        }
        let result = line.strip_prefix("result: ").and_then(|result| result.split_once(". "));
        for part in result.map_or("", |(_, parts)| parts).split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let number: usize = number.parse().unwrap_or(0);
            match what {
                "passed" => self.counts.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.counts.ignored += number,
                _ => {}
            }
        }
    }

    /// Returns the counts. A failed test whose line was torn by its own output is one without a name.
    fn into_counts(self) -> Counts {
        let Self { mut counts, failed } = self;
        while counts.failures.len() < failed {
            counts.failures.push("a test; see its output above".to_owned());
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_several_harnesses_add_up() {
        let output = "\
running 4 tests
test store::a_record_is_kept ... ok
test store::a_record_expires ... FAILED
test slow ... ignored
test noisy ... its output
FAILED
test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s
   Doc-tests steadfast
test src/lib.rs - (line 3) ... ok
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        let mut report = Report::default();
        output.lines().for_each(|line| report.read(line));
        let failures =
            ["store::a_record_expires", "a test; see its output above"].map(str::to_owned).to_vec();
        assert_eq!(report.into_counts(), Counts { passed: 13, ignored: 1, failures });
    }
}
