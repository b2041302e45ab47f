//! Running other programs.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::Result;

/// Runs a command in sight of the user; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.stdin(Stdio::null()).status().map_err(|error| cannot_run(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", shown(command)).into()) }
}

/// Hands the terminal to a command until it ends.
pub(crate) fn hand_over(command: &mut Command) -> Result<ExitStatus> {
    announce(command);
    Ok(command.status().map_err(|error| cannot_run(command, &error))?)
}

/// Runs a command silently and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| cannot_run(command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` failed ({})", shown(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command in sight of the user and hands over each line of its stdout.
pub(crate) fn watch(command: &mut Command, mut line_seen: impl FnMut(&str)) -> Result<ExitStatus> {
    announce(command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| cannot_run(command, &error))?;
    let stdout = child.stdout.take().expect("stdout is piped above");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        line_seen(&line);
    }
    Ok(child.wait()?)
}

/// Returns the command as a user would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn announce(command: &Command) {
    println!("$ {}", shown(command));
    // What the child prints must come after it, also where stdout is a file.
    let _ = std::io::stdout().flush();
}

fn cannot_run(command: &Command, error: &io::Error) -> String {
    format!("cannot run `{}`: {error}", shown(command))
}
