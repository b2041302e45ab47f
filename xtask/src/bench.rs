//! The benchmarks, which are workspaces of their own, so that no command for this one reaches them.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::cargo::{self, target_dir};

/// The harness with the servers of this project.
const HARNESS: &str = "bench/Cargo.toml";

/// The servers of others, each in a folder.
const PEERS: &str = "bench/peers";

/// Starts a call of cargo for the harness. It shares what is built with the rest; the peers are too much to
/// build for a check.
pub(crate) fn cargo(command: &str) -> Command {
    let mut cargo = cargo::cargo([command, "--manifest-path", HARNESS, "--target-dir"]);
    cargo.arg(target_dir());
    cargo
}

/// Returns the manifests of all its workspaces.
pub(crate) fn manifests() -> Result<Vec<PathBuf>> {
    let mut manifests = vec![PathBuf::from(HARNESS)];
    for peer in std::fs::read_dir(PEERS)? {
        manifests.push(peer?.path().join("Cargo.toml"));
    }
    manifests.sort();
    Ok(manifests)
}
