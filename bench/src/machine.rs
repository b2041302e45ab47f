//! Where it was measured, and with what.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use steadfast_servers::find;

use crate::Result;
use crate::contenders::{Program, VERSIONS};

/// Says when and how a section was measured.
pub(crate) fn when_and_how(command: &str) -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').nth(1).unwrap_or_default();
    let now = said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]));
    Ok(format!(
        "*{now} UTC, `steadfast-bench {command}`; load average of the last five minutes at its end: {load}.*"
    ))
}

/// Returns the tables of the machine and of all versions.
pub(crate) fn tables() -> Result<String> {
    let mut text = String::from("| machine | |\n| --- | --- |\n");
    let cpu = after("/proc/cpuinfo", "model name")?;
    let kibibytes = after("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = kibibytes.trim_end_matches(" kB").parse()?;
    let system = after("/etc/os-release", "PRETTY_NAME")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let processors = std::thread::available_parallelism()?;
    let _ = writeln!(text, "| processors | {processors} × {cpu} |");
    let _ = writeln!(text, "| memory | {} GiB |", (kibibytes + (1 << 19)) >> 20);
    let _ = writeln!(text, "| system | {}, Linux {} |", system.trim_matches('"'), kernel.trim());
    let _ = writeln!(
        text,
        "| compiler | {}; profile `release` of Cargo, for all alike |",
        said(Command::new("rustc").arg("-V"))
    );
    for (program, argument) in [
        ("redis-server", "--version"),
        ("postgres", "--version"),
        ("mariadbd", "--version"),
        ("memcached", "--version"),
    ] {
        let path = find(program);
        let version =
            path.map_or_else(|| "not installed".to_owned(), |path| said(Command::new(path).arg(argument)));
        let _ = writeln!(text, "| {program} | {version} |");
    }
    text.push_str("\n| workspace | versions |\n| --- | --- |\n");
    for (program, packages) in VERSIONS {
        let lock = fs::read_to_string(program.workspace().join("Cargo.lock"))?;
        let lock: Lock = toml::from_str(&lock)?;
        let name = match program {
            Program::Own => "`bench`".to_owned(),
            Program::Peer(peer) => format!("`bench/peers/{peer}`"),
        };
        let _ = writeln!(text, "| {name} | {} |", lock.versions(packages).join(", "));
    }
    Ok(text)
}

#[derive(serde::Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    version: String,
}

impl Lock {
    fn versions(&self, packages: &[&str]) -> Vec<String> {
        let of = |name: &&str| {
            let versions = self.package.iter().filter(|package| package.name == **name);
            versions.map(|package| format!("{} {}", package.name, package.version)).collect::<Vec<_>>()
        };
        packages.iter().flat_map(of).collect()
    }
}

/// Returns what follows a name and its colon or equals sign.
fn after(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.ok_or_else(|| format!("{path} does not tell {name}"))?;
    Ok(value.trim_start_matches([' ', '\t', ':', '=']).to_owned())
}

/// Returns the first line that a command prints.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    output.unwrap_or_default().lines().next().unwrap_or("unknown").trim().to_owned()
}
