//! Which row a key stands for.

use std::fmt;
use std::net::IpAddr;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{SharedName, StoreKey};

use super::options::{RowIds, SharedTable};

/// What the id of a row that was set aside begins with. No id that PHP makes, and no cookie's prefix before
/// one, has two colons or is this long word.
pub(super) const ASIDE: &str = "steadfast-damaged:";

/// How the rows of one site are named.
#[derive(Clone, Debug)]
pub(in crate::store::php) struct RowNames {
    /// `ci_session:`, or nothing.
    prefix: String,
    match_ip: bool,
}

/// The name of a row, from characters that need no quoting.
#[derive(Clone)]
pub(in crate::store::php) struct Name {
    /// The row's `id`.
    pub(in crate::store::php) row: String,
    /// The session's id, by which the lock goes.
    pub(in crate::store::php) id: String,
    /// The client's address, where it is a part of the name.
    pub(in crate::store::php) ip: Option<IpAddr>,
}

impl RowNames {
    pub(in crate::store::php) fn new(table: &SharedTable) -> Self {
        let prefix = match table.row_ids {
            RowIds::Prefixed => format!("{}:", table.site.cookie_name),
            RowIds::Bare => String::new(),
        };
        Self { prefix, match_ip: table.match_ip }
    }

    /// Returns what the `id` of each row begins with.
    pub(in crate::store::php) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Reports whether the client's address is a part of names.
    pub(super) fn match_ip(&self) -> bool {
        self.match_ip
    }

    /// Names the row of a key.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a key of the native layout, which no row of PHP's has.
    pub(super) fn of(&self, key: &StoreKey) -> Result<Name> {
        let name = key.shared().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfig,
                "this table holds sessions of CodeIgniter: set the policy's layout to `ci4` or `ci3`",
            )
        })?;
        let id = name.id().to_owned();
        Ok(Name { row: format!("{}{id}", self.prefix), id, ip: name.ip() })
    }

    /// Returns the key of a row that was listed; none if it is no session of this site.
    pub(super) fn key_of(&self, row: &str, ip: &str) -> Option<StoreKey> {
        let id = row.strip_prefix(&self.prefix)?;
        let ip = if self.match_ip { Some(ip.parse().ok()?) } else { None };
        Some(SharedName::new(id.as_bytes(), ip)?.key())
    }
}

impl Name {
    /// Returns the `id` under which the row is kept when it was set aside.
    pub(super) fn aside(&self) -> String {
        format!("{ASIDE}{}", self.row)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, match_ip: bool) -> RowNames {
        RowNames { prefix: prefix.to_owned(), match_ip }
    }

    #[test]
    fn a_row_is_found_by_its_key_and_listed_under_it() {
        let local: IpAddr = "127.0.0.1".parse().expect("an address");
        for (names, ip) in [(names("ci_session:", false), None), (names("", true), Some(local))] {
            let key = SharedName::new(b"abc", ip).expect("an id").key();
            let name = names.of(&key).expect("it has a name");
            assert_eq!((name.row.as_str(), name.id.as_str()), (&*format!("{}abc", names.prefix()), "abc"));
            assert_eq!(names.key_of(&name.row, "127.0.0.1"), Some(key));
        }
    }

    #[test]
    fn rows_of_others_have_no_key() {
        let names = names("ci_session:", true);
        for row in ["abc", "admin:abc", "steadfast-damaged:ci_session:abc", "ci_session:a/b", "ci_session:"] {
            assert_eq!(names.key_of(row, "127.0.0.1"), None, "{row}");
        }
        assert_eq!(names.key_of("ci_session:abc", "localhost"), None);
    }

    #[test]
    fn a_key_without_a_name_is_a_wrong_setting() {
        let error = names("", false).of(&StoreKey::from_bytes([1; 16])).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }
}
