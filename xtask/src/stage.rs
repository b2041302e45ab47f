//! Stages: the steps of a command, and the summary at its end.

use std::ops::AddAssign;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::Result;
use crate::packages::{self, Tool};

/// One step of a command, with its own row in the summary.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Programs it needs beside Rust; installed when missing.
    pub(crate) needs: &'static [Tool],
    /// Does the work. An error counts as one failure.
    pub(crate) run: fn() -> Result<Counts>,
}

/// What a stage counted: tests, fuzz targets, lint checks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) ignored: usize,
    /// One line for each failure: its name, or what went wrong.
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// Counts one check.
    pub(crate) fn check(&mut self, what: &str, result: Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                println!("{what}: {error}");
                self.failures.push(format!("{what}: {error}"));
            }
        }
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        let Self { passed, ignored, failures } = other;
        self.passed += passed;
        self.ignored += ignored;
        self.failures.extend_from_slice(failures);
    }
}

/// Runs the stages that the arguments and `STEADFAST_SKIP` leave, all of them whatever fails.
pub(crate) fn command(stages: Vec<Stage>, args: &[&str]) -> Result<ExitCode> {
    let chosen = match Choice::parse(args)? {
        Choice::List => {
            for Stage { name, about, .. } in stages {
                println!("{name:<10} {about}");
            }
            return Ok(ExitCode::SUCCESS);
        }
        Choice::All => stages,
        Choice::Only(names) => only(&stages, &names)?,
    };
    let skip = std::env::var("STEADFAST_SKIP").unwrap_or_default();
    let skip: Vec<&str> = skip.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let rows: Vec<Row> = chosen.iter().map(|stage| Row::run(stage, &skip)).collect();

    let mut total = Counts::default();
    rows.iter().for_each(|row| total += &row.counts);
    print!("{}", summary(&rows, &total));
    Ok(if total.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Choice {
    All,
    List,
    Only(Vec<String>),
}

impl Choice {
    fn parse(mut args: &[&str]) -> Result<Self> {
        let mut names = Vec::new();
        loop {
            args = match args {
                [] if names.is_empty() => return Ok(Self::All),
                [] => return Ok(Self::Only(names)),
                ["--list", ..] => return Ok(Self::List),
                ["--only", name, rest @ ..] => {
                    names.push((*name).to_owned());
                    rest
                }
                [unknown, ..] => {
                    return Err(format!("cannot read `{unknown}`; see cargo xtask --help").into());
                }
            };
        }
    }
}

fn only(stages: &[Stage], names: &[String]) -> Result<Vec<Stage>> {
    let find = |name: &String| stages.iter().find(|stage| stage.name == name).copied();
    names
        .iter()
        .map(|name| find(name).ok_or_else(|| format!("no stage `{name}`; see --list").into()))
        .collect()
}

/// A stage that has run, or was skipped.
struct Row {
    name: &'static str,
    counts: Counts,
    /// `None` if it was skipped.
    took: Option<Duration>,
}

impl Row {
    fn run(stage: &Stage, skip: &[&str]) -> Self {
        let Stage { name, about, needs, run } = *stage;
        let mut counts = Counts::default();
        if skip.contains(&name) {
            return Self { name, counts, took: None };
        }
        println!("\n── {name}: {about}");
        let start = Instant::now();
        match packages::ensure(needs).and_then(|()| run()) {
            Ok(counted) => counts = counted,
            Err(error) => counts.check(name, Err(error)),
        }
        Self { name, counts, took: Some(start.elapsed()) }
    }
}

/// Writes a table with a row for each stage, the failures, and the plain line that ends every run.
fn summary(rows: &[Row], total: &Counts) -> String {
    let mut text =
        format!("\n{:<10} {:>7} {:>7} {:>8} {:>8}\n", "stage", "passed", "failed", "ignored", "time");
    for Row { name, counts: Counts { passed, ignored, failures }, took } in rows {
        let row = match took {
            Some(took) => {
                let (failed, seconds) = (failures.len(), took.as_secs_f32());
                format!("{name:<10} {passed:>7} {failed:>7} {ignored:>8} {seconds:>6.1} s\n")
            }
            None => format!("{name:<10} skipped, as STEADFAST_SKIP asks\n"),
        };
        text.push_str(&row);
    }
    for failure in &total.failures {
        text.push_str(&format!("failed: {failure}\n"));
    }
    text.push_str(&format!("\n{} passed, {} failed\n", total.passed, total.failures.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed_and_what_was_skipped_and_ends_with_the_plain_line() {
        let rust = Counts { passed: 7, ignored: 1, failures: vec!["a_test".into()] };
        let rows = [
            Row { name: "rust", counts: rust.clone(), took: Some(Duration::from_millis(1_500)) },
            Row { name: "browser", counts: Counts::default(), took: None },
        ];
        let expected = "
stage       passed  failed  ignored     time
rust             7       1        1    1.5 s
browser    skipped, as STEADFAST_SKIP asks
failed: a_test

7 passed, 1 failed
";
        assert_eq!(summary(&rows, &rust), expected);
    }

    #[test]
    fn an_unknown_argument_or_stage_is_refused() {
        assert!(Choice::parse(&["--onyl", "rust"]).is_err());
        assert!(Choice::parse(&["--only"]).is_err());
        assert!(only(&[], &["rust".to_owned()]).is_err());
    }
}
