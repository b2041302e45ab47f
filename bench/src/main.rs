//! What sessions cost. `cargo run --release -p steadfast-bench -- COMMAND`; what was found is in
//! `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod app;
mod ceiling;
mod counts;
mod engines;
mod files;
mod hand_over;
mod http;
mod in_process;
mod load;
mod memory;
mod stats;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures what sessions cost.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Processor time per request of a server, beside the same server without sessions.
    Http(http::Options),
    /// Processor time per request of the probe on network engines, beside the raw calls.
    Engines(engines::Options),
    /// Instructions per request of the probe on network engines, beside the raw calls, counted by valgrind.
    EngineCounts(engines::CountOptions),
    /// Instructions and allocations per request, counted by valgrind.
    Counts(counts::Options),
    /// Memory per session of the memory driver.
    Memory(memory::Options),
    /// Open, commit and purge of the files driver, among few and many session files.
    Files(files::Options),
    /// How long a session's lease takes from one node to another.
    HandOver(hand_over::Options),
    /// The server that `http` measures.
    #[command(hide = true)]
    Serve(http::ServeOptions),
    /// The server that `engines` compares the probe with.
    #[command(hide = true)]
    Ceiling(engines::CeilingOptions),
    /// The requests that `counts` counts.
    #[command(hide = true)]
    Requests(counts::RequestsOptions),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Http(options) => http::run(&options),
        Command::Engines(options) => engines::run(&options),
        Command::EngineCounts(options) => engines::count(&options),
        Command::Counts(options) => counts::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Files(options) => files::run(&options),
        Command::HandOver(options) => hand_over::run(&options),
        Command::Serve(options) => http::serve(&options),
        Command::Ceiling(options) => engines::serve(&options),
        Command::Requests(options) => counts::requests(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("steadfast-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a future on the calling thread.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
