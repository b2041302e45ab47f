//! The stages of `cargo xtask lint`, the quickest first.

use std::process::Command;

use crate::bench;
use crate::cargo::cargo;
use crate::fuzz::CXX;
use crate::stage::{Counts, Stage};
use crate::{Result, features, process, tidy};

pub(crate) const STAGES: [Stage; 5] = [
    Stage {
        name: "tidy",
        about: "what no compiler checks: links, lengths, leftovers",
        needs: &[],
        run: tidy::run,
    },
    Stage { name: "fmt", about: "formatting", needs: &[], run: fmt },
    // The fuzzing engine is C++ and is compiled even for a check.
    Stage { name: "clippy", about: "lints over all code and features", needs: &[CXX], run: clippy },
    Stage { name: "doc", about: "documentation without warnings", needs: &[], run: doc },
    Stage {
        name: "features",
        about: "each feature alone, and what it must not pull in",
        needs: &[],
        run: features::run,
    },
];

fn fmt() -> Result<Counts> {
    let mut counts = one("cargo fmt", &mut cargo(["fmt", "--all", "--check"]))?;
    for manifest in bench::manifests()? {
        let what = format!("cargo fmt in {}", manifest.display());
        let mut fmt = cargo(["fmt", "--all", "--check", "--manifest-path"]);
        counts.check(&what, process::run(fmt.arg(manifest)));
    }
    Ok(counts)
}

fn clippy() -> Result<Counts> {
    let mut counts = one("cargo clippy", &mut clippy_on("--all-targets"))?;
    // `--all-targets` leaves out a test that is not run by default.
    counts += &one("cargo clippy --test browser", &mut clippy_on("--test=browser"))?;
    let mut clippy = bench::cargo("clippy");
    clippy.args(["--workspace", "--all-targets", "--", "-D", "warnings"]);
    counts += &one("cargo clippy in bench", &mut clippy)?;
    Ok(counts)
}

fn clippy_on(targets: &str) -> Command {
    cargo(["clippy", "--workspace", "--all-features", targets, "--", "-D", "warnings"])
}

fn doc() -> Result<Counts> {
    let mut command = cargo(["doc", "--workspace", "--all-features", "--no-deps"]);
    one("cargo doc", command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn one(what: &str, command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    counts.check(what, process::run(command));
    Ok(counts)
}
