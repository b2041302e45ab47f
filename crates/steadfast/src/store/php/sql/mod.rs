//! What the drivers for CodeIgniter's tables have in common: all but the words of the engine.
//!
//! Data flow: [`SqlStore`] names the row that a key stands for (`names`), takes the lock that goes with it
//! where a call needs one (`locks`), and runs the engine's [`Words`] on a connection that the [`Engine`]
//! lends. Both engines bind the lock to the connection that took it, so a lock *is* a connection here: as
//! long as it is held nobody else gets that connection, and one of unknown state is closed, which frees it.
//!
//! The operator's page is `docs/layouts/sql.md`.

mod engine;
mod listing;
mod locks;
mod names;
mod options;
mod replace;
mod store;
mod words;

pub(in crate::store::php) use engine::{Answer, Engine, Failure, Purpose, Step};
pub(in crate::store::php) use names::{Name, RowNames};
pub use options::{RowIds, SharedTable};
pub(in crate::store::php) use store::SqlStore;
pub(in crate::store::php) use words::{Words, fault, literal};
