//! All servers of a store, and which of them has a key.

use std::fmt;
use std::sync::Arc;

use super::keys::Keys;
use super::options::{Distribution, MemcachedOptions};
use super::ring::{Member, Ring};
use super::server::Server;
use super::stream::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// The servers of a store.
pub(in crate::store) struct Pool {
    pub(super) servers: Vec<Server>,
    ring: Ring,
}

impl Pool {
    /// Opens a connection to each server. The settings were checked.
    pub(in crate::store) async fn open(
        options: &MemcachedOptions,
        distribution: Distribution,
        servers: Vec<(Endpoint, Member)>,
        keys: &Keys,
    ) -> Result<Arc<Self>> {
        let (endpoints, members): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
        let servers = endpoints.into_iter().map(|endpoint| Server::new(endpoint, keys, options)).collect();
        let pool = Arc::new(Self { servers, ring: Ring::new(distribution, &members) });
        pool.greet_all().await?;
        Ok(pool)
    }

    /// Opens a connection to each server at the same time. One that can be reached is enough, unless another
    /// one is wrongly set up.
    async fn greet_all(self: &Arc<Self>) -> Result<()> {
        let mut greetings = tokio::task::JoinSet::new();
        for at in 0..self.servers.len() {
            let pool = Arc::clone(self);
            greetings.spawn(async move { pool.servers[at].link().await.map(drop) });
        }
        let results: Vec<Result<()>> = greetings.join_all().await;
        let reached = results.iter().any(Result::is_ok);
        let unusable = |error: &Error| !reached || error.kind() == ErrorKind::InvalidConfig;
        match results.into_iter().filter_map(Result::err).find(unusable) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Returns the server that has a key.
    pub(in crate::store) fn server(&self, key: &[u8]) -> &Server {
        &self.servers[self.index(key)]
    }

    pub(in crate::store) fn index(&self, key: &[u8]) -> usize {
        self.ring.server(key)
    }

    /// Asks the first server that answers for its time.
    pub(in crate::store) async fn now(&self, keys: &Keys) -> Result<Timestamp> {
        let mut failure = None;
        for server in &self.servers {
            let asked = async {
                let link = server.link().await?;
                server.ask_with_time(&link, server.packet(keys)).await
            };
            match asked.await {
                Ok((told, _)) => return Ok(told.now),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.expect("there is a server, and it failed"))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("servers", &self.servers).finish_non_exhaustive()
    }
}
