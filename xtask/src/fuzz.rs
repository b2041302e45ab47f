//! Stage `fuzz` and the command of the same name: libFuzzer on stable Rust.
//!
//! All targets are in one program, [`PACKAGE`], which lists them when it is told none. It is compiled
//! with the instrumentation that `rustc` takes from LLVM, into a target folder of its own. There is no
//! sanitizer: the library holds no `unsafe` code, so what is looked for are panics, failed assertions,
//! overflows, inputs that take too long and inputs that take too much memory.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::cargo::{cargo, host, target_dir};
use crate::packages::{self, Tool};
use crate::stage::{Counts, Stage};
use crate::{Result, process};

pub(crate) const STAGE: Stage =
    Stage { name: "fuzz", about: "a short run of every fuzz target", needs: &[CXX], run: smoke };

/// Compiles the fuzzing engine.
pub(crate) const CXX: Tool = Tool::Program { program: "g++", package: "g++" };

const PACKAGE: &str = "steadfast-fuzz";

/// How long a target runs in the stage, in seconds: enough for the seeds and a first look around them.
const SMOKE_SECONDS: u32 = 10;

/// How long a target runs by command, in seconds.
const SECONDS: u32 = 60;

/// Counts every edge and feeds comparisons to the engine; the cfg is the one that other crates know.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Ccodegen-units=1",
    "-Cforce-frame-pointers=yes",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Runs `cargo xtask fuzz`.
pub(crate) fn command(args: &[&str]) -> Result<ExitCode> {
    let mut args = args.to_vec();
    let mut seconds = SECONDS;
    if let Some(at) = args.iter().position(|arg| *arg == "--seconds") {
        args.remove(at);
        let number = if at < args.len() { args.remove(at) } else { "" };
        seconds = number.parse().map_err(|_| format!("`{number}` is not a number of seconds"))?;
    }
    packages::ensure(&[CXX])?;
    let program = build()?;
    match args.as_slice() {
        [] => targets(&program)?.iter().try_for_each(|target| run(&program, target, seconds))?,
        [target] => run(&program, target, seconds)?,
        [target, inputs @ ..] => process::run(Command::new(&program).env(TARGET, target).args(inputs))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run(program: &Path, target: &str, seconds: u32) -> Result<()> {
    process::run(&mut fuzzer(program, target, seconds)?)
}

/// Tells the program which target to run.
const TARGET: &str = "STEADFAST_FUZZ_TARGET";

/// Stands before the path of a failing input in what libFuzzer prints.
const WRITTEN: &str = "Test unit written to ";

fn smoke() -> Result<Counts> {
    let program = build()?;
    let mut counts = Counts::default();
    for target in targets(&program)? {
        counts.check(&format!("fuzz target {target}"), smoke_one(&program, &target));
    }
    Ok(counts)
}

fn smoke_one(program: &Path, target: &str) -> Result<()> {
    let mut command = fuzzer(program, target, SMOKE_SECONDS)?;
    let output = command.stdin(Stdio::null()).output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let line_with = |what: &str| report.lines().find(|line| line.contains(what));
    if !output.status.success() {
        println!("{report}");
        let input = line_with(WRITTEN).and_then(|line| line.split(WRITTEN).nth(1)).unwrap_or("INPUT");
        return Err(format!("failed; run it again: cargo xtask fuzz {target} {input}").into());
    }
    // Without its feedback the engine only guesses, and says so by leaving out this line.
    line_with("inline 8-bit counters").ok_or("the program is not instrumented")?;
    println!("{target}: {}", line_with("DONE").unwrap_or("ran its seeds only"));
    Ok(())
}

fn fuzzer(program: &Path, target: &str, seconds: u32) -> Result<Command> {
    let folder = |kind: &str| PathBuf::from("fuzz").join(kind).join(target);
    let (corpus, seeds, artifacts) = (folder("corpus"), folder("seeds"), folder("artifacts"));
    if !seeds.is_dir() {
        return Err(format!("no seeds for `{target}`: {} is missing", seeds.display()).into());
    }
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(program);
    command.env(TARGET, target);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()));
    // An input that needs 5 seconds or half a gigabyte is a fault, as a stranger may send it.
    command.args(["-timeout=5", "-rss_limit_mb=512", "-max_len=8192"]);
    // New inputs go into the first folder.
    command.args([corpus, seeds]);
    Ok(command)
}

fn build() -> Result<PathBuf> {
    let (host, target_dir) = (host()?, target_dir().join("fuzz"));
    // With --target the flags don't reach build scripts, which could not be linked.
    let mut command = cargo(["build", "--package", PACKAGE, "--profile", "fuzz", "--target", &host]);
    command.arg("--target-dir").arg(&target_dir).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    process::run(&mut command)?;
    Ok(target_dir.join(host).join("fuzz").join(PACKAGE))
}

fn targets(program: &Path) -> Result<Vec<String>> {
    let list = process::output(Command::new(program).env_remove(TARGET))?;
    Ok(list.lines().map(str::to_owned).collect())
}
