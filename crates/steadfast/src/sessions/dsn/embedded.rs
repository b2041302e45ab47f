//! The embedded drivers: `memory:`, `files:PATH`, `sqlite:PATH`.

use super::SessionsBuilder;
use super::parse::Dsn;
use crate::error::Result;
#[cfg(any(all(unix, feature = "files"), feature = "sqlite"))]
use crate::store::Durability;
use crate::store::SharedStore;
use crate::store::memory::MemoryStore;

pub(super) fn memory(dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    dsn.finish("memory:")?;
    Ok(builder.shared(MemoryStore::with_clock(builder.clock_of_store())))
}

#[cfg(all(unix, feature = "files"))]
pub(super) fn files(mut dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    use crate::store::files::{FilesStore, Io};
    #[cfg(feature = "php")]
    if let Some(site) = builder.site() {
        return php_files(dsn, builder, site);
    }
    let mut options = FilesStore::options().clock(builder.clock_of_store());
    if let Some(durability) = durability(&mut dsn) {
        options = options.durability(durability);
    }
    if let Some(io) = dsn.choice("io", &[("inline", Io::Inline), ("pool", Io::Pool)]) {
        options = options.io(io);
    }
    let path = path_on_disk(&mut dsn);
    dsn.finish("files:PATH?durability=process|fsync&io=inline|pool")?;
    Ok(builder.shared(options.open(path)?))
}

/// Opens the files of PHP's sessions.
#[cfg(all(unix, feature = "files", feature = "php"))]
fn php_files(
    mut dsn: Dsn<'_>,
    builder: &SessionsBuilder,
    site: crate::store::php::Site,
) -> Result<SharedStore> {
    use crate::store::files::Io;
    use crate::store::php::files::PhpFiles;
    let mut options =
        PhpFiles::options(site).clock(builder.clock_of_store()).match_ip(builder.names_have_addresses());
    if let Some(io) = dsn.choice("io", &[("inline", Io::Inline), ("pool", Io::Pool)]) {
        options = options.io(io);
    }
    let path = path_on_disk(&mut dsn);
    dsn.finish("files:SAVE_PATH?io=inline|pool")?;
    Ok(builder.shared(options.open(path)?))
}

#[cfg(feature = "sqlite")]
pub(super) fn sqlite(mut dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    use crate::store::sqlite::SqliteStore;
    builder.refuse_layouts("sqlite")?;
    let mut options = SqliteStore::options().clock(builder.clock_of_store());
    if let Some(durability) = durability(&mut dsn) {
        options = options.durability(durability);
    }
    let path = path_on_disk(&mut dsn);
    dsn.finish("sqlite:PATH?durability=process|fsync")?;
    Ok(builder.shared(options.open(path)?))
}

/// Takes the path, which a driver on disk needs.
#[cfg(any(all(unix, feature = "files"), feature = "sqlite"))]
fn path_on_disk<'a>(dsn: &mut Dsn<'a>) -> &'a str {
    let path = dsn.take_path();
    if path.is_empty() {
        dsn.fault("a path is missing after the colon");
    }
    path
}

#[cfg(any(all(unix, feature = "files"), feature = "sqlite"))]
fn durability(dsn: &mut Dsn<'_>) -> Option<Durability> {
    dsn.choice("durability", &[("process", Durability::Process), ("fsync", Durability::Fsync)])
}
