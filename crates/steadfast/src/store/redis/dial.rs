//! Opens connections: finds the master, logs in, and says where pushed messages go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::{ConnectionAddr, ProtocolVersion, PushInfo, PushKind, Value};

use super::conn::{Conn, Node};
use super::error::Fault;
use super::options::{RedisOptions, Servers};
use super::sentinel;
use super::server::{self, Login};
use super::waits::Waits;

/// Opens connections of one kind.
pub(super) struct Dialer {
    pub(super) options: RedisOptions,
    pub(super) servers: Servers,
    /// How long an answer may take.
    pub(super) response_timeout: Duration,
    /// Who is told of messages.
    pub(super) waits: Arc<Waits>,
}

/// A new connection, and whether it has ended meanwhile.
pub(super) struct Dialed {
    pub(super) conn: Conn,
    pub(super) ended: Arc<AtomicBool>,
}

impl Dialer {
    /// Opens a connection within `connect_timeout`.
    pub(super) async fn dial(&self) -> Result<Dialed, Fault> {
        let dialed = tokio::time::timeout(self.options.connect_timeout, self.dial_at_leisure()).await;
        match dialed.unwrap_or(Err(Fault::ConnectTimedOut)) {
            Err(Fault::TimedOut) => Err(Fault::ConnectTimedOut),
            dialed => dialed,
        }
    }

    async fn dial_at_leisure(&self) -> Result<Dialed, Fault> {
        match &self.servers {
            Servers::One(host, port) => self.server(server::address(&self.options, host, *port)).await,
            Servers::Socket(path) => self.server(ConnectionAddr::Unix(path.clone())).await,
            Servers::Sentinels(sentinels, name) => self.master(sentinels, name).await,
            Servers::Cluster(nodes) => self.cluster(nodes).await,
        }
    }

    /// Reaches the master that the sentinels name. One of them may not know yet that there is another one, so
    /// all that they name are tried.
    async fn master(&self, sentinels: &[(String, u16)], name: &str) -> Result<Dialed, Fault> {
        let (mut tried, mut why) = (Vec::new(), Fault::NoMaster);
        let mut named = sentinel::masters(&self.options, sentinels, name);
        while let Some(answer) = named.join_next().await {
            match answer {
                Ok(Ok(address)) if tried.contains(&address) => {}
                Ok(Ok((host, port))) => match self.master_at(&host, port).await {
                    Ok(dialed) => return Ok(dialed),
                    Err(fault) => {
                        why = fault;
                        tried.push((host, port));
                    }
                },
                Ok(Err(fault @ Fault::Refused(_))) if tried.is_empty() => why = fault,
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(why)
    }

    async fn master_at(&self, host: &str, port: u16) -> Result<Dialed, Fault> {
        let mut dialed = self.server(server::address(&self.options, host, port)).await?;
        is_master(&mut dialed.conn).await?;
        Ok(dialed)
    }

    async fn server(&self, address: ConnectionAddr) -> Result<Dialed, Fault> {
        let info = server::describe(&self.options, address, &self.login())?;
        let ended = Arc::new(AtomicBool::new(false));
        let (waits, end) = (Arc::clone(&self.waits), Arc::clone(&ended));
        let config = server::config(self.options.connect_timeout, self.response_timeout).set_push_sender(
            move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    end.store(true, Ordering::Relaxed);
                }
                waits.heard(&push)
            },
        );
        let connected = server::client(info)?.get_multiplexed_async_connection_with_config(&config).await;
        Ok(Dialed { conn: Conn::Server(connected.map_err(|error| Fault::of(&error))?), ended })
    }

    async fn cluster(&self, nodes: &[(String, u16)]) -> Result<Dialed, Fault> {
        let describe = |(host, port): &(String, u16)| {
            server::describe(&self.options, server::address(&self.options, host, *port), &self.login())
        };
        let nodes = nodes.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        let waits = Arc::clone(&self.waits);
        let builder = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .tcp_settings(server::sockets())
            .connection_timeout(self.options.connect_timeout)
            .response_timeout(self.response_timeout)
            .overall_response_timeout(Some(self.response_timeout))
            .retries(0)
            .push_sender(move |push: PushInfo| waits.heard(&push));
        #[cfg(feature = "tls")]
        let builder = with_tls(builder, &self.options)?;
        let client = builder.build().map_err(|error| Fault::of(&error))?;
        let connected = client.get_async_connection().await.map_err(|error| Fault::of(&error))?;
        // The end of one of its connections is not the end of the cluster's.
        Ok(Dialed { conn: Conn::Cluster(connected), ended: Arc::default() })
    }

    fn login(&self) -> Login<'_> {
        Login {
            user: self.options.user.as_deref(),
            password: self.options.password.as_deref(),
            database: self.options.database,
        }
    }
}

#[cfg(feature = "tls")]
fn with_tls(builder: ClusterClientBuilder, options: &RedisOptions) -> Result<ClusterClientBuilder, Fault> {
    if !server::is_encrypted(options) {
        return Ok(builder);
    }
    let builder = builder.tls(redis::cluster::TlsMode::Secure);
    Ok(match server::certificates(options)? {
        Some(certificates) => builder.certs(certificates),
        None => builder,
    })
}

/// Checks that a server is the master it was taken for: sentinels learn of a change a little late.
///
/// `HELLO` tells the role, and needs no right that logging in does not need.
async fn is_master(conn: &mut Conn) -> Result<(), Fault> {
    let Value::Map(facts) = conn.send_to(&redis::cmd("HELLO"), &Node::Only).await? else {
        return Err(Fault::Nonsense);
    };
    let is = |value: &Value, word: &str| match value {
        Value::BulkString(bytes) => bytes == word.as_bytes(),
        Value::SimpleString(text) => text == word,
        _ => false,
    };
    let role = facts.iter().find(|(name, _)| is(name, "role")).map(|(_, role)| role);
    if role.is_some_and(|role| is(role, "master")) { Ok(()) } else { Err(Fault::NotMaster) }
}
