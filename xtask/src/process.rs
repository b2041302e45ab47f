//! Running other programs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

use crate::Result;

/// Runs a command in sight of the user; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    match status(command.stdin(Stdio::null()).status(), command)? {
        status if status.success() => Ok(()),
        status => Err(format!("{} failed ({status})", name(command)).into()),
    }
}

/// Runs a command silently and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", name(command)))?;
    if !output.status.success() {
        return Err(format!("{} failed ({})", shown(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command in sight of the user and hands over each line of its stdout.
pub(crate) fn watch(command: &mut Command, mut line_seen: impl FnMut(&str)) -> Result<ExitStatus> {
    announce(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", name(command)))?;
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
    let words = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once(name(command).into()).chain(words).collect::<Vec<_>>().join(" ")
}

fn announce(command: &Command) {
    println!("$ {}", shown(command));
    // What the child prints must come after it, also where stdout is a file.
    let _ = std::io::stdout().flush();
}

fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned()
}

fn status(result: std::io::Result<ExitStatus>, command: &Command) -> Result<ExitStatus> {
    result.map_err(|error| format!("cannot run {}: {error}", name(command)).into())
}
