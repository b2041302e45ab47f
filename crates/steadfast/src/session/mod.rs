//! What a handler holds: [`Session`] to read and write, [`SessionView`] to read.

mod csrf;
mod flash;
mod identity;
mod key;
mod metadata;
mod state;
mod temp;
mod values;
mod view;

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::lifecycle::Exchange;
use crate::time::Timestamp;

pub use key::{Key, KeyFor};
pub use metadata::Metadata;
pub use view::SessionView;

pub(crate) use state::{Phase, State, Step, UserChange};

/// Tells the present time. Only temp values have to know it, so no clock is read for the others.
type Now<'a> = &'a dyn Fn() -> Timestamp;

/// A request's session, to read and write.
///
/// It was loaded when the handler was called, so that nothing here waits for the store; changes are staged
/// and written by one commit before the head of the response leaves. Clones, and the sessions that
/// middleware of the same request takes, are one and the same.
///
/// Nothing is written, and no cookie sent, unless something changed, flash values aged, or the secret has
/// served its time. After the response's head has left,
/// reads see what was committed, and writes are [`Closed`](crate::ErrorKind::Closed). For what goes on
/// longer there is [`detach`](Self::detach).
///
/// # Examples
///
/// ```
/// # use steadfast::Session;
/// async fn count(session: Session) -> steadfast::Result<String> {
///     let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
///     session.set("visits", visits)?;
///     Ok(format!("visit {visits}"))
/// }
/// ```
///
/// # Names
///
/// Each method carries the name of its counterpart in CodeIgniter as an alias for the search. The table
/// of all of them is in `docs/from-codeigniter.md`.
#[doc(alias = "$_SESSION")]
#[derive(Clone)]
pub struct Session {
    exchange: Arc<Exchange>,
}

impl Session {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }

    /// Does steps under the lock of the request's session.
    fn edit<T>(&self, edit: impl FnOnce(&mut State, Now<'_>) -> Result<T>) -> Result<T> {
        self.exchange.with(|work| {
            let now = work.clock(self.exchange.core());
            edit(&mut work.state, &now)
        })
    }

    /// Reads under the lock of the request's session.
    fn read<T>(&self, read: impl FnOnce(&State, Now<'_>) -> T) -> T {
        self.exchange.with(|work| {
            let now = work.clock(self.exchange.core());
            read(&work.state, &now)
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}
