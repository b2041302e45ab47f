//! Programs that a stage needs, from Debian's packages.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use steadfast_servers::find;

use crate::{Result, process};

/// What a stage needs, and the Debian package that brings it.
#[derive(Clone, Copy)]
pub(crate) enum Tool {
    Program {
        program: &'static str,
        package: &'static str,
    },
    /// An extension of PHP's, by its name in `php -m`.
    PhpModule {
        module: &'static str,
        package: &'static str,
    },
}

impl Tool {
    const fn package(&self) -> &'static str {
        let (Self::Program { package, .. } | Self::PhpModule { package, .. }) = self;
        package
    }
}

/// Lets no package start its service: tests start servers of their own, and only while they run. Debian
/// asks a file before it starts one; it is there while `"$@"` runs, unless somebody has one already.
const WITHOUT_SERVICES: &str = r#"
policy=/usr/sbin/policy-rc.d
if test ! -e "$policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit 1
fi
"$@""#;

/// Installs the packages of those tools that are not there.
///
/// # Errors
///
/// Names the packages if they can't be installed from here.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&str> = tools.iter().filter(|tool| !is_there(tool)).map(Tool::package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let advice = |why: &str| format!("{why}; install these packages by hand: {}", missing.join(" "));
    let mut update = apt_get(&["update", "-q"]).map_err(advice)?;
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    let mut install = apt_get(&[&install[..], &missing].concat()).map_err(advice)?;
    process::run(&mut update)
        .and_then(|()| process::run(&mut install))
        .map_err(|error| advice(&error.to_string()).into())
}

fn is_there(tool: &Tool) -> bool {
    match tool {
        Tool::Program { program, .. } => find(program).is_some(),
        Tool::PhpModule { module, .. } => php_has(module),
    }
}

fn php_has(module: &str) -> bool {
    let Ok(output) = Command::new("php").arg("-m").output() else { return false };
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line == module)
}

/// Makes a call of `apt-get` that asks nothing.
fn apt_get(arguments: &[&str]) -> Result<Command, &'static str> {
    if find("apt-get").is_none() {
        return Err("there is no apt-get here");
    }
    let quietly = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"];
    let mut words = vec!["sh", "-c", WITHOUT_SERVICES, "apt-get"];
    words.extend(quietly.iter().chain(arguments));
    if !is_root() {
        if find("sudo").is_none() {
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
