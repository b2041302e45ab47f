//! Connections of the application's own, from its own pool.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio_postgres::Client;

use super::error::failed;
use crate::error::{ErrorKind, Result};

/// Hands out connections that the application makes itself, for
/// [`PostgresOptions::open_with`](super::PostgresOptions::open_with).
///
/// The store takes `connections` of them and one more, shares each among all its calls, and gives it back
/// when it is lost or the store is dropped. Leave that many free in your pool, or make them anew here.
///
/// The connections are yours, and so are their settings. The store needs `default_transaction_isolation` to
/// be `read committed`, as it is by default; a `statement_timeout` below the store's `timeout` is wise.
/// Nobody hands on their notifications, so waiters look again and again, as with `listen=false`.
///
/// # Examples
///
/// Connections without a pool; one of `deadpool-postgres` or `bb8-postgres` is handed in the same way.
///
/// ```no_run
/// use std::error::Error;
/// use steadfast::store::postgres::{Clients, PostgresStore};
/// use tokio_postgres::{Client, NoTls};
///
/// struct Mine(tokio_postgres::Config);
///
/// impl Clients for Mine {
///     type Client = Client;
///
///     async fn get(&self) -> Result<Client, Box<dyn Error + Send + Sync>> {
///         let (client, connection) = self.0.connect(NoTls).await?;
///         tokio::spawn(connection);
///         Ok(client)
///     }
///
///     fn client(held: &Client) -> &Client {
///         held
///     }
/// }
///
/// # async fn example(config: tokio_postgres::Config) -> steadfast::Result<()> {
/// let store = PostgresStore::options().open_with(Mine(config)).await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
pub trait Clients: Send + Sync + 'static {
    /// What is held as long as the connection is used.
    type Client: Send + Sync + 'static;

    /// Makes a connection, or takes one out of a pool. It may be dropped before it has ended.
    fn get(&self) -> impl Future<Output = Result<Self::Client, Box<dyn StdError + Send + Sync>>> + Send;

    /// Returns the client in what is held.
    fn client(held: &Self::Client) -> &Client;
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Role {
    /// The calls of requests, each of which takes a moment.
    Requests,
    /// Lists, counts and purges, which may take longer, and notifications.
    Service,
}

/// A connection on its way.
pub(in crate::store) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Held>>> + Send + 'a>>;

/// Where connections come from.
pub(in crate::store) trait Source: fmt::Debug + Send + Sync {
    fn connect(&self, role: Role) -> Connecting<'_>;
}

/// A connection that is held.
pub(in crate::store) trait Held: Send + Sync {
    fn client(&self) -> &Client;

    /// Reports whether the ends of leases are heard of through this connection.
    fn listens(&self) -> bool;

    /// Reports whether the server was told at the beginning what to keep for this connection.
    fn needs_session(&self) -> bool;

    /// Ends the connection, whatever is still under way on it.
    fn abandon(&self);
}

/// The application's own connections.
pub(super) struct Handed<C>(pub(super) C);

impl<C: Clients> Source for Handed<C> {
    fn connect(&self, _role: Role) -> Connecting<'_> {
        Box::pin(async {
            let held = self.0.get().await.map_err(|cause| {
                failed(ErrorKind::Unavailable, "the application handed out no connection").with_source(cause)
            })?;
            Ok(Box::new(HandedClient::<C>(held)) as Box<dyn Held>)
        })
    }
}

impl<C> fmt::Debug for Handed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handed(..)")
    }
}

struct HandedClient<C: Clients>(C::Client);

impl<C: Clients> Held for HandedClient<C> {
    fn client(&self) -> &Client {
        C::client(&self.0)
    }

    fn listens(&self) -> bool {
        false
    }

    fn needs_session(&self) -> bool {
        false
    }

    fn abandon(&self) {
        // It goes back to its owner when it is dropped.
    }
}
