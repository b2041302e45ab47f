//! The probe: a small server whose routes do one session operation each, so that the same scenario can be
//! driven against any driver and any number of nodes. `docs/probe.md` lists options and routes.

mod adaptor;
mod answers;
mod events;
mod options;
mod parameters;
mod routes;
mod server;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let options = options::Options::parse();
    match server::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("steadfast-probe: {why}");
            ExitCode::FAILURE
        }
    }
}
