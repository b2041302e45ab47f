//! What `save_path` says: CodeIgniter's is a directory, PHP's may begin with levels and a mode.

use crate::policy::Layout;

/// The mode that PHP gives a session file unless told otherwise, and CodeIgniter always.
const FILE_MODE: u32 = 0o600;
/// The most levels of directories that make sense: an id has 22 characters or more.
const MAX_DEPTH: usize = 16;

/// A save path, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SavePath {
    /// By how many characters of the id records are spread over directories in directories.
    pub(super) depth: usize,
    /// The mode of a new file, before the process's mask.
    pub(super) mode: u32,
    pub(super) dir: String,
}

impl SavePath {
    /// Reads `dir`, and in PHP's own layout `depth;dir` and `depth;mode;dir` too; else says what is wrong.
    pub(super) fn parse(layout: Layout, text: &str) -> Result<Self, String> {
        let (depth, mode, dir) = match layout {
            Layout::Php => levels(text)?,
            _ => (0, FILE_MODE, text.trim_end_matches(['/', '\\'])),
        };
        let root = dir.is_empty() && text.starts_with('/');
        let dir = if root { "/" } else { dir };
        if dir.is_empty() {
            return Err("`save_path` is empty; name the directory that PHP keeps its session files in".into());
        }
        Ok(Self { depth, mode, dir: dir.to_owned() })
    }
}

/// Reads PHP's form. The directory is what follows the second semicolon, and may hold more of them.
fn levels(text: &str) -> Result<(usize, u32, &str), String> {
    let parts: Vec<&str> = text.splitn(3, ';').collect();
    let (depth, mode, dir) = match parts[..] {
        [depth, mode, dir] => (depth, Some(mode), dir),
        [depth, dir] => (depth, None, dir),
        _ => return Ok((0, FILE_MODE, text)),
    };
    let depth = depth.trim().parse().ok().filter(|depth| *depth <= MAX_DEPTH);
    let depth = depth.ok_or(format!(
        "the number of levels in `save_path` is not one from 0 to {MAX_DEPTH}; write it as `2;/var/lib/php/sessions`"
    ))?;
    let Some(mode) = mode else { return Ok((depth, FILE_MODE, dir)) };
    let mode = u32::from_str_radix(mode.trim(), 8).ok().filter(|mode| *mode <= 0o7777);
    let mode = mode.ok_or(
        "the mode in `save_path` is not an octal number; write it as `2;0600;/var/lib/php/sessions`",
    )?;
    Ok((depth, mode, dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(layout: Layout, text: &str, expected: Option<(usize, u32, &str)>) {
        let parsed = SavePath::parse(layout, text).ok();
        let expected = expected.map(|(depth, mode, dir)| SavePath { depth, mode, dir: dir.to_owned() });
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn codeigniter_names_a_directory() {
        check(
            Layout::CodeIgniter4,
            "/srv/app/writable/session",
            Some((0, 0o600, "/srv/app/writable/session")),
        );
        check(Layout::CodeIgniter4, "/srv/session/\\/", Some((0, 0o600, "/srv/session")));
        check(Layout::CodeIgniter3, "1;/srv", Some((0, 0o600, "1;/srv")));
        check(Layout::CodeIgniter4, "", None);
    }

    #[test]
    fn php_may_name_levels_and_a_mode() {
        check(Layout::Php, "/var/lib/php/sessions", Some((0, 0o600, "/var/lib/php/sessions")));
        check(Layout::Php, "2;/var/s", Some((2, 0o600, "/var/s")));
        check(Layout::Php, "1;0660;/var/s;t", Some((1, 0o660, "/var/s;t")));
        for bad in ["", "x;/var", "99;/var", "-1;/var", "1;0999;/var", "1;17777;/var", "1;"] {
            check(Layout::Php, bad, None);
        }
    }
}
