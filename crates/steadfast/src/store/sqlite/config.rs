//! The driver's settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::SqliteStore;
use super::error::config_fault;
use crate::error::Result;
use crate::store::Durability;
use crate::time::{Clock, SystemClock};

/// Longest accepted `busy_timeout`: a request that waits longer has lost its client.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest accepted number of readers: each is a thread and two megabytes of cache.
const MAX_READERS: usize = 64;

/// Settings of the SQLite driver, made by [`SqliteStore::options`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast::store::Durability;
/// use steadfast::store::sqlite::SqliteStore;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions.db");
/// let store = SqliteStore::options()
///     .durability(Durability::Fsync)
///     .busy_timeout(Duration::from_secs(2))
///     .open(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until `open`"]
pub struct SqliteOptions {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) durability: Durability,
    pub(super) busy_timeout: Duration,
    pub(super) readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            busy_timeout: Duration::from_secs(5),
            readers: 2,
        }
    }
}

impl SqliteOptions {
    /// Sets the clock that decides about leases, deadlines and the purge.
    ///
    /// All processes on one file need the same time. The default is the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets what an acknowledged write survives.
    ///
    /// [`Durability::Fsync`] waits for the disk once per group of writes. The file itself stays intact
    /// in both cases. The default is [`Durability::Process`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how long a call may wait for a lock that another process holds.
    ///
    /// Between 1 ms and 60 s; the default is 5 s.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets the number of threads that read, each with a connection of its own.
    ///
    /// Between 1 and 64; the default is 2. One thread more writes.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Opens a database, and creates what is missing: directory (0700), file (0600), tables.
    ///
    /// Blocks the thread for some milliseconds. The permissions of an existing file are left alone.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or if the file
    /// can't be opened for writing, is no SQLite database or another application's, or if the engine is
    /// older than 3.51.3; [`NewerFormat`](crate::ErrorKind::NewerFormat) if a newer version of this
    /// library made it; [`TimedOut`](crate::ErrorKind::TimedOut) if another process keeps it locked;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the disk is full or ill.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore> {
        let path = path.as_ref();
        self.check(path)?;
        SqliteStore::start(&self, path)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let mut faults = Vec::new();
        if path.as_os_str().is_empty() {
            faults.push("the path is empty".to_owned());
        }
        if self.busy_timeout < Duration::from_millis(1) || self.busy_timeout > MAX_BUSY_TIMEOUT {
            faults.push(format!("`busy_timeout` ({:?}) is not between 1ms and 60s", self.busy_timeout));
        }
        if self.readers == 0 || self.readers > MAX_READERS {
            faults.push(format!("`readers` ({}) is not between 1 and {MAX_READERS}", self.readers));
        }
        if faults.is_empty() { Ok(()) } else { Err(config_fault(faults.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn all_faults_of_the_settings_are_reported_at_once() {
        let error = SqliteOptions::default().busy_timeout(Duration::ZERO).readers(65).open("").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(
            error.to_string(),
            "sqlite: the path is empty; `busy_timeout` (0ns) is not between 1ms and 60s; \
             `readers` (65) is not between 1 and 64"
        );
    }
}
