//! Opens the store that a connection string names: `driver:path?option=value&option=value`.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::store::memory::MemoryStore;
use crate::store::{Durability, SharedStore};
use crate::time::Clock;

/// Drivers that other versions or other features of this library bring, to tell a missing feature from a
/// typing error.
const ELSEWHERE: [&str; 8] =
    ["files", "sqlite", "redis", "rediss", "postgres", "mysql", "memcached", "cookie"];

/// Opens the store that a connection string names.
pub(super) fn open(dsn: &str, clock: &Arc<dyn Clock>) -> Result<SharedStore> {
    let dsn = Dsn::parse(dsn)?;
    match dsn.driver {
        "memory" => memory(dsn, clock),
        #[cfg(all(unix, feature = "files"))]
        "files" => files(dsn, clock),
        #[cfg(feature = "sqlite")]
        "sqlite" => sqlite(dsn, clock),
        other => Err(unknown(other)),
    }
}

fn memory(dsn: Dsn<'_>, clock: &Arc<dyn Clock>) -> Result<SharedStore> {
    dsn.finish("memory:")?;
    Ok(SharedStore::new(MemoryStore::with_clock(Arc::clone(clock))))
}

#[cfg(all(unix, feature = "files"))]
fn files(mut dsn: Dsn<'_>, clock: &Arc<dyn Clock>) -> Result<SharedStore> {
    use crate::store::files::{FilesStore, Io};
    let mut options = FilesStore::options().clock(Arc::clone(clock));
    if let Some(durability) = dsn.durability() {
        options = options.durability(durability);
    }
    if let Some(io) = dsn.choice("io", &[("inline", Io::Inline), ("pool", Io::Pool)]) {
        options = options.io(io);
    }
    let path = dsn.path();
    dsn.finish("files:PATH?durability=process|fsync&io=inline|pool")?;
    Ok(SharedStore::new(options.open(path)?))
}

#[cfg(feature = "sqlite")]
fn sqlite(mut dsn: Dsn<'_>, clock: &Arc<dyn Clock>) -> Result<SharedStore> {
    use crate::store::sqlite::SqliteStore;
    let mut options = SqliteStore::options().clock(Arc::clone(clock));
    if let Some(durability) = dsn.durability() {
        options = options.durability(durability);
    }
    let path = dsn.path();
    dsn.finish("sqlite:PATH?durability=process|fsync")?;
    Ok(SharedStore::new(options.open(path)?))
}

/// A connection string, taken apart. Faults are collected, so that all are reported at once.
struct Dsn<'a> {
    driver: &'a str,
    path: &'a str,
    options: Vec<(&'a str, &'a str)>,
    faults: Vec<String>,
}

#[cfg_attr(
    not(any(all(unix, feature = "files"), feature = "sqlite")),
    expect(dead_code, reason = "only drivers on disk have a path and options")
)]
impl<'a> Dsn<'a> {
    fn parse(dsn: &'a str) -> Result<Self> {
        let Some((driver, rest)) = dsn.split_once(':') else {
            return Err(invalid(
                "a connection string begins with a driver and a colon, as in files:writable/sessions",
            ));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let options = query.split('&').filter(|option| !option.is_empty());
        let options = options.map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
        Ok(Self { driver, path, options, faults: Vec::new() })
    }

    /// Takes the path, which a driver on disk needs.
    fn path(&mut self) -> &'a str {
        let path = std::mem::take(&mut self.path);
        if path.is_empty() {
            self.faults.push("a path is missing after the colon".into());
        }
        path
    }

    fn durability(&mut self) -> Option<Durability> {
        self.choice("durability", &[("process", Durability::Process), ("fsync", Durability::Fsync)])
    }

    /// Takes an option that is one of a few words.
    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let at = self.options.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.options.remove(at);
        let chosen = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.faults.push(format!("`{name}` is one of: {}", words.join(", ")));
        }
        chosen
    }

    /// Reports everything that was not understood.
    fn finish(self, grammar: &str) -> Result<()> {
        let Self { driver, path, options, mut faults } = self;
        if !path.is_empty() {
            faults.push("nothing follows the colon but options".into());
        }
        faults
            .extend(options.iter().map(|(name, _)| format!("there is no option `{}`", name.escape_debug())));
        if faults.is_empty() {
            return Ok(());
        }
        Err(invalid(format!("the connection string of `{driver}` ({grammar}): {}", faults.join("; "))))
    }
}

fn unknown(driver: &str) -> Error {
    if ELSEWHERE
        .iter()
        .any(|known| driver.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('+')))
    {
        return invalid(format!(
            "the driver `{driver}` is not part of this build; enable the feature of its name, or use a version that has it"
        ));
    }
    invalid(format!(
        "there is no driver `{}`; memory:, files: and sqlite: are the embedded ones",
        driver.escape_debug()
    ))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    #[track_caller]
    fn check(dsn: &str, says: &str) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let error = open(dsn, &clock).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn a_string_that_is_not_understood_says_what_to_do() {
        check("", "begins with a driver and a colon");
        check("writable/sessions", "begins with a driver and a colon");
        check("file:x", "there is no driver `file`");
        check("redis+sentinel://h", "not part of this build");
        check("memory:x", "nothing follows the colon");
        check("memory:?durability=fsync", "there is no option `durability`");
    }

    #[cfg(all(unix, feature = "files"))]
    #[test]
    fn all_faults_are_reported_at_once() {
        check(
            "files:?io=fast&sync=1",
            "`io` is one of: inline, pool; a path is missing after the colon; there is no option `sync`",
        );
    }
}
