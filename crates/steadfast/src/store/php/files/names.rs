//! What files are called: `ci_session<id>`, `ci_session<md5 of the address><id>`, `sess_<id>`.

use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

use crate::hex;
use crate::policy::Layout;
use crate::random;
use crate::store::{SharedName, StoreKey};

use super::error::{FileError, FileResult};
use super::save_path::SavePath;

/// Begins the names of PHP's own files.
const PHP_PREFIX: &str = "sess_";
/// Digits of the digest of an address.
const ADDRESS_DIGITS: usize = 32;
/// The shortest id that a file is taken for a record's by: PHP makes none with fewer characters.
const SHORTEST_ID: usize = 22;
/// Ends the names of what is not a record: damaged bytes, and a file before it gets its name. Such a name begins
/// with a dot, so neither PHP's collection nor CodeIgniter's looks at it.
const DAMAGED: &str = ".damaged";
const UNBORN: &str = ".new";

/// Where the files of a site are.
#[derive(Debug)]
pub(super) struct Names {
    dir: PathBuf,
    depth: usize,
    prefix: String,
    /// Whether names carry addresses.
    addressed: bool,
    is_php: bool,
}

/// What a name in the directory stands for.
#[derive(Debug)]
pub(super) enum Named {
    /// A record, with its key unless an address is hidden in the name.
    Record(Option<StoreKey>),
    /// Damaged bytes that were set aside.
    Damaged,
    /// What a crash left of a file that never got its name.
    Unborn,
}

impl Names {
    pub(super) fn new(layout: Layout, cookie_name: &str, addressed: bool, at: &SavePath) -> Self {
        let is_php = layout == Layout::Php;
        let prefix = if is_php { PHP_PREFIX } else { cookie_name };
        Self { dir: at.dir.clone().into(), depth: at.depth, prefix: prefix.to_owned(), addressed, is_php }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn are_addressed(&self) -> bool {
        self.addressed
    }

    /// Returns the path of a record.
    pub(super) fn path(&self, key: &StoreKey) -> FileResult<PathBuf> {
        let name = key.shared().ok_or(FileError::Unnamed)?;
        let id = name.id();
        let mut path = self.dir.clone();
        // An id that is too short for the levels leads to where PHP never puts a record.
        for at in 0..self.depth.min(id.len() - 1) {
            path.push(&id[at..=at]);
        }
        let address = match name.ip() {
            None => String::new(),
            Some(_) if self.is_php => return Err(FileError::Addressed),
            Some(ip) => hex::encode(Md5::digest(ip.to_string()).as_slice()),
        };
        path.push(format!("{}{address}{id}", self.prefix));
        Ok(path)
    }

    /// Returns what a file name stands for; `None` if it is not ours or PHP's.
    pub(super) fn read(&self, name: &str) -> Option<Named> {
        if let Some(hidden) = name.strip_prefix('.').and_then(|name| name.strip_prefix(&self.prefix)) {
            let ends = |end| hidden.ends_with(end);
            return match () {
                () if ends(DAMAGED) => Some(Named::Damaged),
                () if ends(UNBORN) => Some(Named::Unborn),
                () => None,
            };
        }
        let rest = name.strip_prefix(&self.prefix)?;
        let id = if self.addressed { rest.get(ADDRESS_DIGITS..)? } else { rest };
        let name = SharedName::new(id.as_bytes(), None).filter(|_| id.len() >= SHORTEST_ID)?;
        Some(Named::Record((!self.addressed).then(|| name.key())))
    }
}

/// Returns where the damaged bytes of a record go.
pub(super) fn damaged(path: &Path) -> PathBuf {
    beside(path, DAMAGED)
}

/// Returns a path for a record that nobody has used before.
pub(super) fn unborn(path: &Path) -> PathBuf {
    beside(path, &format!(".{:016x}{UNBORN}", random::unique()))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{end}"))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const ID: &str = "f1859a4d2ce10d93a33b42e2199da5f4";

    fn names(layout: Layout, addressed: bool, save_path: &str) -> Names {
        Names::new(layout, "ci_session", addressed, &SavePath::parse(layout, save_path).expect("a path"))
    }

    fn key(id: &str, ip: Option<&str>) -> StoreKey {
        let ip = ip.map(|ip| ip.parse::<IpAddr>().expect("an address"));
        SharedName::new(id.as_bytes(), ip).expect("an id").key()
    }

    #[track_caller]
    fn check(names: &Names, key: &StoreKey, expected: &str) {
        assert_eq!(names.path(key).expect("it has a name"), Path::new(expected));
    }

    #[test]
    fn files_are_called_as_recorded() {
        let plain = names(Layout::CodeIgniter4, false, "/s/");
        check(&plain, &key(ID, None), &format!("/s/ci_session{ID}"));
        let address = "f528764d624db129b32c21fbca0cb8d6";
        let addressed = names(Layout::CodeIgniter4, true, "/s");
        check(&addressed, &key(ID, Some("127.0.0.1")), &format!("/s/ci_session{address}{ID}"));
        check(&names(Layout::Php, false, "/s"), &key(ID, None), &format!("/s/sess_{ID}"));
        check(&names(Layout::Php, false, "2;/s"), &key(ID, None), &format!("/s/f/1/sess_{ID}"));
        check(&names(Layout::Php, false, "5;/s"), &key("abc", None), "/s/a/b/sess_abc");
        let error = names(Layout::Php, false, "/s").path(&key(ID, Some("127.0.0.1"))).expect_err("refused");
        assert!(matches!(error, FileError::Addressed));
        let unnamed = plain.path(&StoreKey::from_bytes([1; 16])).expect_err("refused");
        assert!(matches!(unnamed, FileError::Unnamed));
    }

    #[test]
    fn names_of_all_ages_are_records() {
        let plain = names(Layout::CodeIgniter4, false, "/s");
        for id in [ID, &"0a".repeat(20), "1f5o06b43phsnnf8if6bo33b635e4p2o", "aZ,-aZ,-aZ,-aZ,-aZ,-aZ,-aZ,"] {
            let read = plain.read(&format!("ci_session{id}"));
            assert!(matches!(read, Some(Named::Record(Some(found))) if found == key(id, None)), "{id}");
        }
        for other in ["index.html", ".htaccess", "ci_session", "ci_sessionabc", &format!("sess_{ID}")] {
            assert!(plain.read(other).is_none(), "{other}");
        }
        let addressed = names(Layout::CodeIgniter4, true, "/s");
        assert!(matches!(addressed.read(&format!("ci_session{ID}{ID}")), Some(Named::Record(None))));
        assert!(addressed.read(&format!("ci_session{ID}")).is_none());
    }

    #[test]
    fn what_lies_beside_a_record_is_told_apart() {
        let plain = names(Layout::CodeIgniter4, false, "/s");
        let path = plain.path(&key(ID, None)).expect("a path");
        let name = |path: PathBuf| path.file_name().expect("a name").to_str().expect("text").to_owned();
        assert!(matches!(plain.read(&name(damaged(&path))), Some(Named::Damaged)));
        assert!(matches!(plain.read(&name(unborn(&path))), Some(Named::Unborn)));
    }
}
