//! Stage `browser`: a real Chromium walks the demo.
//!
//! The walk is the integration test `browser` of the demo. The stage starts `chromedriver` and hands
//! its address over in `STEADFAST_WEBDRIVER`. In the demo's manifest the test is `test = false`, so
//! that a plain `cargo test` needs no browser.

use std::process::Command;

use steadfast_servers::Service;

use crate::cargo::cargo;
use crate::packages::Tool;
use crate::stage::{Counts, Stage};
use crate::{Result, rust};

pub(crate) const STAGE: Stage = Stage {
    name: "browser",
    about: "Chromium walks the demo",
    needs: &[
        Tool::Program { program: "chromium", package: "chromium" },
        Tool::Program { program: "chromedriver", package: "chromium-driver" },
    ],
    run,
};

fn run() -> Result<Counts> {
    let driver = Service::start("chromedriver", |port, _| {
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        command
    })?;
    // With the features of the whole workspace, or half of what it is made of is compiled anew.
    let mut walk = cargo(["test", "--workspace", "--all-features", "--test", "browser"]);
    rust::count(walk.env("STEADFAST_WEBDRIVER", format!("http://{}", driver.address())))
}
