//! Every fuzz target in one program; `cargo xtask fuzz` builds and runs it.
//!
//! `STEADFAST_FUZZ_TARGET` chooses the target. Without it the program lists them and ends. The rest of
//! the command line is libFuzzer's.
#![no_main]
#![expect(clippy::print_stdout, reason = "the list of targets is read from stdout")]

mod targets;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = TARGET.set(choose());
    },
    |data: &[u8]| {
        let Target { run, .. } = TARGET.get().expect("the engine runs `init` first");
        run(data);
    }
);

fn choose() -> Target {
    let Ok(name) = std::env::var("STEADFAST_FUZZ_TARGET") else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(0);
    };
    *TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no fuzz target `{name}`"))
}
