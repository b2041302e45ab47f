//! Sentinel: where the master is, and word of its being replaced.

use std::sync::Weak;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value, cmd};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::Fault;
use super::link::Link;
use super::options::RedisOptions;
use super::server::{self, Login};

/// What sentinels publish when a failover is done: `name old-host old-port new-host new-port`.
const SWITCHED: &str = "+switch-master";

/// Pause between two tries to listen to one of the sentinels.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Asks all sentinels at once where the master is. Their answers come in any order, and may differ for a moment
/// after a failover.
///
/// Some of them may be gone, and the one that is asked first must not cost the time of all.
pub(super) fn masters(
    options: &RedisOptions,
    sentinels: &[(String, u16)],
    name: &str,
) -> JoinSet<Result<(String, u16), Fault>> {
    let mut asked = JoinSet::new();
    for sentinel in sentinels {
        let (options, sentinel, name) = (options.clone(), sentinel.clone(), name.to_owned());
        asked.spawn(async move { ask(&options, &sentinel, &name).await });
    }
    asked
}

async fn ask(options: &RedisOptions, sentinel: &(String, u16), name: &str) -> Result<(String, u16), Fault> {
    let config = server::config(options.connect_timeout, options.connect_timeout);
    let mut connection = connect(options, sentinel, &config).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer: Option<(String, u16)> =
        question.query_async(&mut connection).await.map_err(|error| Fault::of(&error))?;
    answer.ok_or(Fault::NoMaster)
}

async fn connect(
    options: &RedisOptions,
    (host, port): &(String, u16),
    config: &redis::AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Fault> {
    let login = Login {
        user: options.sentinel_user.as_deref(),
        password: options.sentinel_password.as_deref(),
        database: 0,
    };
    let info = server::describe(options, server::address(options, host, *port), &login)?;
    let connected = server::client(info)?.get_multiplexed_async_connection_with_config(config).await;
    connected.map_err(|error| Fault::of(&error))
}

/// Listens to one sentinel after another, and lets the links look for the master again when it was replaced.
///
/// A connection to a master that lives on as a replica, or cut off with some of its clients, may seem well for
/// long. Ends with the store.
pub(super) async fn listen(
    options: RedisOptions,
    sentinels: Vec<(String, u16)>,
    name: String,
    links: Vec<Weak<Link>>,
) {
    let refresh = || links.iter().filter_map(Weak::upgrade).for_each(|link| link.refresh());
    for (turn, sentinel) in sentinels.iter().cycle().enumerate() {
        let (heard, mut news) = mpsc::unbounded_channel();
        let config = server::config(options.connect_timeout, options.connect_timeout).set_push_sender(heard);
        if let Ok(mut connection) = connect(&options, sentinel, &config).await
            && connection.subscribe(SWITCHED).await.is_ok()
        {
            if turn > 0 {
                // What happened while nobody listened is not told again.
                refresh();
            }
            while links.iter().any(|link| link.strong_count() > 0) {
                let Ok(push) = tokio::time::timeout(LISTEN_AGAIN, news.recv()).await else { continue };
                let Some(push) = push.filter(|push| push.kind != PushKind::Disconnection) else { break };
                if is_about(&push, &name) {
                    refresh();
                    // The sentinel that is asked for the new master may be the last to learn of it.
                    tokio::time::sleep(LISTEN_AGAIN).await;
                    refresh();
                }
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
        if links.iter().all(|link| link.strong_count() == 0) {
            return;
        }
    }
}

fn is_about(push: &PushInfo, master: &str) -> bool {
    let Some(Value::BulkString(news)) = push.data.last() else { return false };
    push.kind == PushKind::Message && news.split(|byte| *byte == b' ').next() == Some(master.as_bytes())
}
