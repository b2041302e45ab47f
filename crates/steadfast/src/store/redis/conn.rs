//! One connection that all calls share, to a server or to a cluster.

use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, Pipeline, RedisError, RedisResult, RetryMethod, Value};

use super::error::Fault;

/// How often a command of a cluster is sent elsewhere, or again, because a node refused it.
const TRIES: u32 = 5;

/// The pause before it is sent again, doubled each time.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection. A clone is another handle to it.
#[derive(Clone)]
pub(in crate::store) enum Conn {
    Server(MultiplexedConnection),
    /// The library's, which knows which slot is where.
    Cluster(ClusterConnection),
}

/// A server to be asked by itself: the only one, or a master of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) enum Node {
    Only,
    Master { host: String, port: u16 },
}

impl Conn {
    /// Sends a command to the server that has its key.
    pub(super) async fn send(&mut self, cmd: &Cmd) -> Result<Value, Fault> {
        answered(match self {
            Self::Server(server) => server.send_packed_command(cmd).await,
            // Boxed, so that the calls of a single server have no room for what only a cluster does.
            Self::Cluster(cluster) => Box::pin(send_in_cluster(cluster, cmd)).await,
        })
    }

    /// Sends a command to a server, whichever keys it has.
    pub(in crate::store) async fn send_to(&mut self, cmd: &Cmd, node: &Node) -> Result<Value, Fault> {
        let route = match node {
            Node::Only => SingleNodeRoutingInfo::RandomPrimary,
            Node::Master { host, port } => {
                SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port }
            }
        };
        answered(match self {
            Self::Server(server) => server.send_packed_command(cmd).await,
            Self::Cluster(cluster) => {
                cluster.route_command(cmd.clone(), RoutingInfo::SingleNode(route)).await
            }
        })
    }

    /// Sends commands in one go to the master that has a key.
    pub(super) async fn send_all(&mut self, commands: Pipeline, key: &[u8]) -> Result<Vec<Value>, Fault> {
        let count = commands.len();
        let answers = match self {
            Self::Server(server) => server.send_packed_commands(&commands, 0, count).await,
            Self::Cluster(cluster) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                cluster.route_pipeline(commands, 0, count, route).await
            }
        };
        answers.map_err(|error| Fault::of(&error))?.into_iter().map(|answer| answered(Ok(answer))).collect()
    }

    /// Returns the servers that have records, in an order that stays the same.
    pub(super) async fn nodes(&mut self) -> Result<Vec<Node>, Fault> {
        let Self::Cluster(cluster) = self else { return Ok(vec![Node::Only]) };
        let every_master = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let Value::Map(answers) = answered(cluster.route_command(redis::cmd("PING"), every_master).await)?
        else {
            return Err(Fault::Nonsense);
        };
        let mut nodes: Vec<_> = answers
            .iter()
            .map(|(address, _)| address_of(address))
            .collect::<Option<_>>()
            .ok_or(Fault::Nonsense)?;
        nodes.sort_unstable();
        Ok(nodes.into_iter().map(|(host, port)| Node::Master { host, port }).collect())
    }

    /// Subscribes to a channel; what comes is pushed to where the connection was told.
    pub(super) async fn subscribe(&mut self, channel: &str) -> Result<(), Fault> {
        let subscribed = match self {
            Self::Server(server) => server.subscribe(channel).await,
            Self::Cluster(cluster) => cluster.subscribe(channel).await,
        };
        subscribed.map_err(|error| Fault::of(&error))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Sends a command to the node that has its key, and follows slots that move.
///
/// Only what a node refused is sent again: it has not happened. The library would also repeat what may have
/// happened, and so might create anew what was created and deleted before.
async fn send_in_cluster(cluster: &mut ClusterConnection, cmd: &Cmd) -> RedisResult<Value> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        let error = match cluster.req_packed_command(cmd).await.and_then(Value::extract_error) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match error.retry_method() {
            // By now the library has begun to look where the slots are, and waits for it with what follows.
            RetryMethod::MovedRedirect => {}
            RetryMethod::AskRedirect => match ask_elsewhere(cluster, cmd, &error).await {
                Some(answer) => return answer,
                None => tokio::time::sleep(pause).await,
            },
            RetryMethod::RefreshSlotsAndRetry | RetryMethod::ReconnectFromInitialConnections => {
                tokio::time::sleep(pause).await;
            }
            RetryMethod::WaitAndRetry if error.code() == Some("TRYAGAIN") => tokio::time::sleep(pause).await,
            _ => return Err(error),
        }
        pause *= 2;
    }
    cluster.req_packed_command(cmd).await
}

/// Sends a command to the node that a key is just moving to; nothing if that node is not known yet.
async fn ask_elsewhere(
    cluster: &mut ClusterConnection,
    cmd: &Cmd,
    error: &RedisError,
) -> Option<RedisResult<Value>> {
    let (address, _slot) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: port.parse().ok()? };
    let mut commands = redis::pipe();
    commands.cmd("ASKING").add_command(cmd.clone());
    match cluster.route_pipeline(commands, 0, 2, node).await {
        Ok(answers) => answers.into_iter().nth(1).map(Ok),
        Err(error) if matches!(error.retry_method(), RetryMethod::ReconnectFromInitialConnections) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Reads an address as the library writes it: `host:port`, an IPv6 address without brackets.
fn address_of(value: &Value) -> Option<(String, u16)> {
    let text = match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        _ => return None,
    };
    let (host, port) = text.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// Turns a refusal, which the library takes for an answer, into a fault.
fn answered(answer: RedisResult<Value>) -> Result<Value, Fault> {
    answer.and_then(Value::extract_error).map_err(|error| Fault::of(&error))
}
