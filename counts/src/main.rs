//! What a request with a session costs, in instructions and allocations. `docs/profiling.md` says how to read
//! the figures.
//!
//! ```text
//! steadfast-counts check FILE                     counts, and compares with what FILE records
//! steadfast-counts record FILE                    counts, and records it in FILE
//! steadfast-counts requests SERVER REQUEST COUNT  sends requests, to be counted or profiled from outside
//! ```
#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod app;
mod in_process;
mod recorded;
mod valgrind;

use std::path::Path;
use std::process::ExitCode;

use recorded::{Figures, Recorded};
use valgrind::Cost;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// What is counted, as server and request. The first one is subtracted from all others.
const ROWS: [(&str, &str); 9] = [
    ("base", "none"),
    ("layer", "none"),
    ("memory", "none"),
    ("memory", "view"),
    ("memory", "get"),
    ("memory", "merge"),
    ("memory", "incr"),
    ("files", "view"),
    ("files", "incr"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["check", file] => check(Path::new(file)),
        ["record", file] => record(Path::new(file)),
        ["requests", server, request, count] => requests(server, request, count),
        _ => Err("usage: steadfast-counts check FILE | record FILE | requests SERVER REQUEST COUNT".into()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            println!("steadfast-counts: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts each row, beyond what the bare router costs.
fn count() -> Result<Figures> {
    let [base, rows @ ..] = ROWS;
    let bare = valgrind::count(base.0, base.1)?;
    let mut figures = Figures::new();
    for (server, request) in rows {
        let Cost { instructions, allocations, bytes } = valgrind::count(server, request)?.beyond(bare);
        println!(
            "{server} {request}: {instructions} instructions, {allocations} allocations of {bytes} bytes"
        );
        figures.insert(format!("{server} {request}"), Cost { instructions, allocations, bytes });
    }
    Ok(figures)
}

fn check(file: &Path) -> Result<ExitCode> {
    let recorded = Recorded::read(file)?;
    let faults = recorded.compare(&count()?);
    faults.iter().for_each(|fault| println!("{fault}"));
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("docs/profiling.md says how to find out why, and how to record figures anew");
    Ok(ExitCode::FAILURE)
}

fn record(file: &Path) -> Result<ExitCode> {
    std::fs::write(file, recorded::written(&count()?))?;
    Ok(ExitCode::SUCCESS)
}

fn requests(server: &str, request: &str, count: &str) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(in_process::requests(server, request, count.parse()?))?;
    Ok(ExitCode::SUCCESS)
}
