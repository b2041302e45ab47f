//! Where programs are.

use std::path::{Path, PathBuf};

/// Where Debian keeps the binaries of PostgreSQL, a folder for each version.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Returns where a program is: on the `PATH`, where only root looks for servers, or where Debian keeps
/// the newest PostgreSQL.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.extend(postgresql());
    dirs.into_iter().map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Returns the folders of PostgreSQL's versions, the newest first.
fn postgresql() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|version| Path::new(POSTGRESQL).join(version.to_string()).join("bin")).collect()
}
