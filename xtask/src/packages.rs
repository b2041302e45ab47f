//! Programs that a stage needs, from Debian's packages.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::{Result, process};

/// A program and the Debian package that brings it.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Installs the packages of those tools that are not on the `PATH`.
///
/// # Errors
///
/// Names the packages if they can't be installed from here.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&str> = tools.iter().filter(|tool| !is_there(tool)).map(|tool| tool.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let advice = |why: &str| format!("{why}; install these packages by hand: {}", missing.join(" "));
    let mut apt = apt_get().map_err(advice)?;
    let mut install = apt_get().map_err(advice)?;
    install.args(["install", "-y", "-q", "--no-install-recommends"]).args(&missing);
    process::run(apt.args(["update", "-q"]))
        .and_then(|()| process::run(&mut install))
        .map_err(|error| advice(&error.to_string()).into())
}

fn is_there(tool: &Tool) -> bool {
    on_path(tool.program)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Starts a call of `apt-get` that asks nothing.
fn apt_get() -> Result<Command, &'static str> {
    if !on_path("apt-get") {
        return Err("there is no apt-get here");
    }
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"];
    if !is_root() {
        if !on_path("sudo") {
            return Err("installing needs root, and there is no sudo here");
        }
        words.splice(0..0, ["sudo", "-n"]);
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
