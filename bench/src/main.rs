//! What sessions cost. `cargo run --release -- COMMAND` in `bench/`; what was found is in `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod behaviour;
mod browser;
mod callgrind;
mod commands;
mod contenders;
mod engine;
mod engine_counts;
mod hand_over;
mod http;
mod in_process;
mod lineup;
mod load;
mod machine;
mod memory;
mod raw;
mod report;
mod run;
mod scale;
mod serve;
mod speed;
mod stats;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures what sessions cost, and writes it to `docs/benchmarks.md`.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that goes into the report: speed, commands, behaviour, memory, scale.
    All(run::Options),
    /// Processor time, throughput and latency of requests, beside the ceilings and the peers.
    Speed(run::Options),
    /// Commands at the store for each request.
    Commands(run::Options),
    /// What happens when requests meet, a handler panics, or the store is away.
    Behaviour(run::Options),
    /// Memory per session, in the process of the web server.
    Memory(run::Options),
    /// Requests among few and many sessions, and while many that have expired are purged.
    Scale(run::Options),
    /// Instructions per request, outside the kernel, beside the ceilings' (needs valgrind).
    EngineCounts(engine_counts::Options),
    /// How long a session's lease takes from one node to another.
    HandOver(hand_over::Options),
    /// A server that is measured.
    #[command(hide = true)]
    Serve(steadfast_bench_routes::Serve),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::All(options) => run::all(&options),
        Command::Speed(options) => run::speed(&options),
        Command::Commands(options) => run::commands(&options),
        Command::Behaviour(options) => run::behaviour(&options),
        Command::Memory(options) => run::memory(&options),
        Command::Scale(options) => run::scale(&options),
        Command::EngineCounts(options) => engine_counts::run(&options),
        Command::HandOver(options) => hand_over::run(&options),
        Command::Serve(options) => serve::run(&options),
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
