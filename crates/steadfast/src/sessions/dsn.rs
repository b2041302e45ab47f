//! Opens the store that a connection string names.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::store::SharedStore;
use crate::store::memory::MemoryStore;
use crate::time::Clock;

/// Opens the store that a connection string names.
pub(super) async fn open(dsn: &str, clock: &Arc<dyn Clock>) -> Result<SharedStore> {
    let (scheme, _rest) = dsn.split_once(':').unwrap_or((dsn, ""));
    match scheme {
        "memory" => Ok(SharedStore::new(MemoryStore::with_clock(Arc::clone(clock)))),
        other => Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "`{}` is not a driver of this build; use memory:, files: or sqlite:",
                other.escape_debug()
            ),
        )),
    }
}
