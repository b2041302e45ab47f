//! Stage `counts`: instructions and allocations per request, against figures that were recorded.

use crate::Result;
use crate::cargo::cargo;
use crate::packages::Tool;
use crate::process;
use crate::stage::{Counts, Stage};

pub(crate) const STAGE: Stage = Stage {
    name: "counts",
    about: "instructions and allocations per request, against recorded figures",
    needs: &[Tool::Program { program: "valgrind", package: "valgrind" }],
    run,
};

/// What was recorded.
const RECORDED: &str = "counts/recorded.txt";

fn run() -> Result<Counts> {
    // A package alone, so that the library has the features of a usual application and nothing else is built.
    let mut check = cargo(["run", "--release", "--package", "steadfast-counts", "--", "check", RECORDED]);
    let mut counts = Counts::default();
    counts.check("costs of requests", process::run(&mut check));
    Ok(counts)
}
