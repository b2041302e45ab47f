//! A program under valgrind, which counts its instructions while it serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Begins the call of a program that counts into files of this folder.
pub(crate) fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=counted"]).arg(prefix(folder)).arg(program);
    command
}

/// Forgets what was counted so far.
pub(crate) fn forget(folder: &Path) -> Result<()> {
    tell(folder, "zero")
}

/// Returns what was counted since the last [`forget`], as `callgrind_annotate` reads it.
pub(crate) fn counted(folder: &Path) -> Result<String> {
    let before = dumps(folder)?;
    tell(folder, "dump")?;
    let dump = dumps(folder)?.into_iter().find(|dump| !before.contains(dump));
    Ok(fs::read_to_string(dump.ok_or("valgrind wrote nothing")?)?)
}

/// Returns how many instructions were counted in all.
pub(crate) fn total(counted: &str) -> Result<u64> {
    let line = counted.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    Ok(line.ok_or("a file of counts without a sum")?.trim().parse()?)
}

/// Tells the program in this folder what to do.
fn tell(folder: &Path, what: &str) -> Result<()> {
    let output = Command::new("vgdb").arg(prefix(folder)).arg(what).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("valgrind does not obey: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Names the pipes by which the program in this folder is told.
fn prefix(folder: &Path) -> String {
    format!("--vgdb-prefix={}/vgdb", folder.display())
}

fn dumps(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let files = files.collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.to_string_lossy().contains("/counted")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        assert_eq!(total("fn=a\n1 2\n\ntotals: 1234\n").unwrap(), 1_234);
        assert!(total("fn=a\n").is_err());
    }
}
