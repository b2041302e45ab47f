//! The workspace's own commands. `cargo xtask` alone lists them.
//!
//! A command is a list of [stages](stage::Stage): each has a name, says which Debian packages it
//! needs, and returns what it counted. Whatever is missing is installed, or is a failure: a test that
//! could not run is red. `STEADFAST_SKIP=browser,fuzz` leaves stages out by name, and the summary says so.
//!
//! A stage that needs a server starts it with [`steadfast_servers`]: on a free loopback port, in a
//! temporary folder, stopped when the stage ends. The stage hands its address to the tests in an
//! environment variable.
#![expect(clippy::print_stdout, reason = "a command-line tool talks on stdout")]

mod bench;
mod browser;
mod cargo;
mod counts;
mod features;
mod fuzz;
mod lint;
mod packages;
mod process;
mod rust;
mod servers;
mod stage;
mod tidy;

use std::process::ExitCode;

use stage::Stage;

type Result<T, E = steadfast_servers::Error> = std::result::Result<T, E>;

const USAGE: &str = "\
cargo xtask test [--only STAGE]… [--list]    install what is missing, run every test
cargo xtask lint [--only STAGE]… [--list]    formatting, lints, documentation, each feature alone, tidiness
cargo xtask ci   [--only STAGE]… [--list]    lint, then test: what the CI machine runs
cargo xtask fuzz [--seconds N] [TARGET]      fuzz one target or all, 60 seconds each unless told
cargo xtask fuzz TARGET INPUT…               run a target on saved inputs once
cargo xtask servers [-- COMMAND…]            start the servers that tests share, print where they are,
                                             and run a command with them or wait for Ctrl-C

STEADFAST_SKIP=STAGE,…                       leave stages out; the summary names them";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            println!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        ["test", rest @ ..] => stage::command(tests(), rest),
        ["lint", rest @ ..] => stage::command(lint::STAGES.to_vec(), rest),
        ["ci", rest @ ..] => stage::command([lint::STAGES.to_vec(), tests()].concat(), rest),
        ["fuzz", rest @ ..] => fuzz::command(rest),
        ["servers", rest @ ..] => servers::command(rest),
        [unknown, ..] => Err(format!("no command `{unknown}`\n\n{USAGE}").into()),
    }
}

/// Returns the stages of `cargo xtask test`, the quickest to fail first.
fn tests() -> Vec<Stage> {
    vec![rust::STAGE, counts::STAGE, fuzz::STAGE, browser::STAGE]
}
