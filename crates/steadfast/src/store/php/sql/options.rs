//! The settings of a table that is shared with CodeIgniter, beside those of the engine.

use crate::error::{Error, ErrorKind, Result};
use crate::policy::Layout;
use crate::store::php::Site;

/// Most connections for locks: as many as a server has in all.
const MAX_LOCK_CONNECTIONS: usize = 1_000;

/// How the rows of a table are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RowIds {
    /// `<cookie name>:<id>`: CodeIgniter 4 since 4.2.11.
    Prefixed,
    /// The id alone: CodeIgniter 3, and CodeIgniter 4 before that.
    Bare,
}

/// What a table is shared for, and with how many connections.
///
/// The name of the table, its server and its database are in the engine's own options.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until a table is opened with them"]
pub struct SharedTable {
    pub(in crate::store::php) site: Site,
    pub(in crate::store::php) row_ids: RowIds,
    pub(in crate::store::php) match_ip: bool,
    pub(in crate::store::php) lock_connections: usize,
}

impl SharedTable {
    /// Takes what the site's PHP programs have agreed on. Rows are named as the layout's newest version
    /// names them.
    pub fn new(site: Site) -> Self {
        let row_ids = match site.layout {
            Layout::CodeIgniter3 => RowIds::Bare,
            _ => RowIds::Prefixed,
        };
        Self { site, row_ids, match_ip: false, lock_connections: 32 }
    }

    /// Sets how rows are named. The default is the layout's: prefixed in `ci4`, bare in `ci3`.
    pub fn row_ids(mut self, row_ids: RowIds) -> Self {
        self.row_ids = row_ids;
        self
    }

    /// Sets whether the client's address is a part of the name (`matchIP`), for lists and for new tables. The
    /// default is `false`.
    pub fn match_ip(mut self, match_ip: bool) -> Self {
        self.match_ip = match_ip;
        self
    }

    /// Sets how many locks this store can hold or wait for at the same time, 1 to 1,000; the default is 32.
    ///
    /// Each needs a connection of its own while a handler runs, beside the engine's `connections`.
    pub fn lock_connections(mut self, connections: usize) -> Self {
        self.lock_connections = connections;
        self
    }

    /// Looks for faults.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` with all of them.
    pub(in crate::store::php) fn check(&self, driver: &'static str) -> Result<()> {
        let Self { site, row_ids: _, match_ip: _, lock_connections } = self;
        let mut faults = Vec::new();
        if !matches!(site.layout, Layout::CodeIgniter4 | Layout::CodeIgniter3) {
            faults.push(format!(
                "the layout `{}` has no sessions in SQL: PHP itself has no such handler; `ci4` and `ci3` have",
                site.layout.as_str()
            ));
        }
        // It stands in statements, and a colon in it could make two cookies' rows look alike.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"'\"\\`:;,=".contains(&byte);
        if site.cookie_name.is_empty()
            || site.cookie_name.len() > 63
            || !site.cookie_name.bytes().all(is_plain)
        {
            faults.push(
                "`cookie_name` is 1 to 63 printable ASCII characters without quotes and separators"
                    .to_owned(),
            );
        }
        if !(1..=MAX_LOCK_CONNECTIONS).contains(lock_connections) {
            faults.push(format!(
                "`lock_connections` ({lock_connections}) is not between 1 and {MAX_LOCK_CONNECTIONS}"
            ));
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidConfig, faults.join("; ")).in_driver(driver))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn table(layout: Layout, cookie_name: &str) -> SharedTable {
        let second = Duration::from_secs(1);
        let cookie_name = cookie_name.to_owned();
        SharedTable::new(Site { layout, cookie_name, lifetime: second, lock_wait: second })
    }

    #[test]
    fn a_table_is_shared_with_codeigniter_only() {
        for layout in [Layout::Php, Layout::Native] {
            let error = table(layout, "s").check("mysql").expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains("`ci4` and `ci3`"), "{error}");
        }
        table(Layout::CodeIgniter4, "__Host-ci_session").check("mysql").expect("a usual name");
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        for name in ["", "a'b", "a:b", "a\\b", "a b", "é", &"c".repeat(64)] {
            let error =
                table(Layout::Php, name).lock_connections(0).check("mysql").expect_err(name).to_string();
            for says in ["the layout `php`", "`cookie_name` is", "`lock_connections` (0)"] {
                assert!(error.contains(says), "{error}");
            }
        }
    }

    #[test]
    fn rows_are_named_as_the_layout_does() {
        assert_eq!(table(Layout::CodeIgniter4, "s").row_ids, RowIds::Prefixed);
        assert_eq!(table(Layout::CodeIgniter3, "s").row_ids, RowIds::Bare);
    }
}
