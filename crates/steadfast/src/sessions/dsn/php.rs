//! What a connection string says about a table that is shared with CodeIgniter.

use super::SessionsBuilder;
use super::parse::Dsn;
use crate::store::php::{RowIds, SharedTable, Site};

/// The name that CodeIgniter's table has, unless told otherwise.
pub(super) const TABLE: &str = "ci_sessions";

/// Takes the options of the table that are not the engine's.
pub(super) fn table(dsn: &mut Dsn<'_>, builder: &SessionsBuilder, site: Site) -> SharedTable {
    let mut table = SharedTable::new(site).match_ip(builder.names_have_addresses());
    if let Some(ids) = dsn.choice("row_ids", &[("prefixed", RowIds::Prefixed), ("bare", RowIds::Bare)]) {
        table = table.row_ids(ids);
    }
    if let Some(connections) = dsn.parsed("lock_connections", "a number from 1 to 1000") {
        table = table.lock_connections(connections);
    }
    table
}
