//! The settings of the driver.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::store::Durability;
use crate::time::{Clock, SystemClock};

use super::error::DRIVER;
use super::root::Root;
use super::store::FilesStore;

/// On which thread files are read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Io {
    /// On the thread that runs the request. The default, for a disk of this machine.
    ///
    /// An operation then takes some 5 µs, because it stays in the page cache; handing it to another
    /// thread would cost more than that. What does wait for a disk still goes to the pool: writes
    /// with [`Durability::Fsync`], and walks through the directory (purge, count, lists).
    #[default]
    Inline,
    /// On the pool of blocking threads, for a network file system or a slow disk. `io=pool`.
    Pool,
}

/// Settings of a [`FilesStore`], from [`FilesStore::options`].
///
/// # Examples
///
/// ```
/// use steadfast::store::Durability;
/// use steadfast::store::files::FilesStore;
///
/// # fn main() -> steadfast::Result<()> {
/// # let temp = tempfile::tempdir().expect("a temporary directory");
/// # let path = temp.path().join("sessions");
/// let store = FilesStore::options().durability(Durability::Fsync).open(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct FilesOptions {
    clock: Arc<dyn Clock>,
    durability: Durability,
    poll_interval: Duration,
    io: Io,
}

impl FilesOptions {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            poll_interval: Duration::from_millis(5),
            io: Io::default(),
        }
    }

    /// Sets the clock that decides when leases and records end.
    ///
    /// All processes on one directory must agree on the time. The default is [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets what an acknowledged write survives.
    ///
    /// The default is the end of the process; [`Durability::Fsync`] waits for the disk at every write of
    /// a record, and survives the loss of power.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how soon the end of another process's lease is noticed.
    ///
    /// Waiting for longer, the driver looks less often, down to a quarter as often. The end of a lease
    /// that was held through this handle, or a clone of it, is noticed at once. The default is 5 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets on which thread files are read and written. The default is [`Io::Inline`].
    pub fn io(mut self, io: Io) -> Self {
        self.io = io;
        self
    }

    /// Opens a directory with these settings, and makes it, for its owner alone, if it is not there.
    ///
    /// # Errors
    ///
    /// Of kind [`ErrorKind::InvalidConfig`] if the poll interval is zero, or the path is no directory or
    /// one that other users can enter, read or write; of kind [`ErrorKind::Unavailable`] if the directory
    /// can't be made.
    pub fn open(self, path: impl AsRef<Path>) -> Result<FilesStore> {
        let Self { clock, durability, poll_interval, io } = self;
        if poll_interval.is_zero() {
            let message = "`poll_interval` is zero; the default is 5 ms";
            return Err(Error::new(ErrorKind::InvalidConfig, message).in_driver(DRIVER));
        }
        let root = Root::open(path.as_ref(), durability)?;
        Ok(FilesStore::new(root, clock, poll_interval, io))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_interval_of_zero_is_refused() {
        let options = FilesOptions::new().poll_interval(Duration::ZERO);
        let error = options.open("never made").expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(!Path::new("never made").exists());
    }
}
