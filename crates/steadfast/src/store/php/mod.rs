//! Stores that are shared with PHP: its files, rows and keys, under its locks.
//!
//! Each driver here is a [`Store`](super::Store) whose records are what PHP stores: the payload is PHP's
//! session as it lies there, the key carries its [name](super::SharedName), the version is that
//! [of the content](super::Version::of_content), and the lease is PHP's own lock, so it does keep PHP from
//! writing. The deadline follows from the time of the last use and the site's lifetime of a session.
//! There is no index of users; none of PHP's programs would keep it.
//!
//! [`set_aside`](super::Store::set_aside) moves whatever is there if this process holds the lock, as it then has been
//! looked at under it. Without the lock it moves only what the driver itself can't read, since PHP may have written.

#[cfg(all(unix, feature = "files"))]
pub mod files;
#[cfg(any(all(unix, feature = "files"), feature = "mysql", feature = "postgres"))]
mod held;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod keys;
#[cfg(feature = "memcached")]
pub mod memcached;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod polling;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod sql;

use std::time::Duration;

use crate::policy::Layout;

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use sql::{RowIds, SharedTable};

/// What a site's PHP programs have agreed on.
#[derive(Clone, Debug)]
pub struct Site {
    /// Whose names and locks are used; never [`Layout::Native`].
    pub layout: Layout,
    /// Name of the cookie, which is a part of names (`ci_session`; `PHPSESSID` without CodeIgniter).
    pub cookie_name: String,
    /// How long an unused session is kept: CodeIgniter's `expiration`, PHP's `session.gc_maxlifetime`.
    pub lifetime: Duration,
    /// For how long a call waits for PHP's lock where it has to take it by itself.
    pub lock_wait: Duration,
}
