//! Extractors that choose the concurrency mode for one handler: the same types for every framework.

use crate::session::Session;

/// The session, with the guarantee that no other handler of it runs meanwhile.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # mod example {
/// use steadfast::axum::Exclusive;
///
/// async fn count(Exclusive(session): Exclusive) -> steadfast::Result<String> {
///     let n = session.get::<u32>("n")?.unwrap_or(0) + 1; // nobody writes between this read …
///     session.set("n", n)?; // … and this write
///     Ok(n.to_string())
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Exclusive(pub Session);

/// The session, shared with other handlers that run meanwhile; what each did is joined at its commit.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # mod example {
/// use steadfast::axum::Merge;
///
/// async fn count(Merge(session): Merge) -> steadfast::Result<()> {
///     session.increment("n", 1)?; // joined with the increments of all others
///     Ok(())
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Merge(pub Session);
