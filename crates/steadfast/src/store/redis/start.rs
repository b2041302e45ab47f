//! The start of a store: its links, and what the server says about itself.

use std::fmt;
use std::sync::Arc;

use redis::{Cmd, Value};

use super::conn::Node;
use super::dial::Dialer;
use super::error::{Fault, config_fault};
use super::link::Link;
use super::options::{RedisOptions, Servers};
use super::scan::parsed;
use super::scripts::Script;
use super::sentinel;
use super::settle::Settle;
use super::waits::Waits;
use crate::error::Result;
use crate::time::Timestamp;

/// Oldest server, for `SET … PXAT` and RESP3.
const OLDEST: (u32, u32) = (6, 2);

/// The servers of a store, ready to be asked.
pub(in crate::store) struct Started {
    pub(in crate::store) link: Arc<Link>,
    pub(in crate::store) settle: Option<Settle>,
    /// Whether the server may drop records when its memory is full.
    pub(in crate::store) evicts: bool,
}

impl Started {
    /// Connects, makes a call that a session needs, and looks at the server. The settings were checked.
    ///
    /// `settle` is the script that looks whether a write is still there, for [`Settle`].
    pub(in crate::store) async fn connect(
        options: RedisOptions,
        servers: Servers,
        waits: &Arc<Waits>,
        probe: (&Script, &Cmd),
        settle: &'static Script,
    ) -> Result<Self> {
        let link = |response_timeout| {
            let (options, servers, waits) = (options.clone(), servers.clone(), Arc::clone(waits));
            Link::new(Dialer { options, servers, response_timeout, waits })
        };
        let settle = (options.wait_replicas > 0).then(|| {
            // A link of its own, because nothing is answered behind a `WAIT` until it is over.
            let link = link(options.wait_timeout + options.response_timeout);
            Settle::new(link, settle, options.wait_replicas, options.wait_timeout)
        });
        let mut started = Self { link: link(options.response_timeout), settle, evicts: false };
        started.inspect(probe).await?;
        if let Servers::Sentinels(sentinels, name) = servers {
            let settle = started.settle.as_ref().map(Settle::link);
            let links = settle.into_iter().chain([&started.link]).map(Arc::downgrade).collect();
            tokio::spawn(sentinel::listen(options, sentinels, name, links));
        }
        Ok(started)
    }

    /// Connects, and reads what the server says about itself, if it may be asked.
    async fn inspect(&mut self, (script, probe): (&Script, &Cmd)) -> Result<()> {
        self.link.live().await.map_err(Fault::at_start)?;
        // A missing right is reported here, not by the first visitor.
        self.link.call(script, probe).await.map_err(Fault::at_start)?;
        let mut live = self.link.live().await.map_err(Fault::at_start)?.conn.clone();
        let Ok(info) = live.send_to(&redis::cmd("INFO"), &Node::Only).await else { return Ok(()) };
        let info = match &info {
            Value::BulkString(text) => String::from_utf8_lossy(text),
            Value::VerbatimString { text, .. } => text.into(),
            _ => return Ok(()),
        };
        let fact = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let mut version =
            fact("redis_version").unwrap_or("7.0").split('.').map(|part| part.parse().unwrap_or(0));
        if (version.next().unwrap_or(0), version.next().unwrap_or(0)) < OLDEST {
            return Err(config_fault("the server is too old: Redis 6.2 or later, or Valkey, is needed"));
        }
        let policy = fact("maxmemory_policy").unwrap_or("noeviction").trim();
        if policy != "noeviction" {
            self.evicts = true;
            #[cfg(feature = "tracing")]
            tracing::warn!(
                driver = super::error::DRIVER,
                policy,
                "the server may evict sessions when its memory is full: set maxmemory-policy to noeviction"
            );
        }
        Ok(())
    }

    /// Asks a server for its time.
    pub(in crate::store) async fn now(&self) -> Result<Timestamp, Fault> {
        let live = self.link.live().await?;
        let answer = live.conn.clone().send_to(&redis::cmd("TIME"), &Node::Only).await;
        self.link.note(&live, answer.as_ref().err());
        let (seconds, micros): (u64, u64) = parsed(answer?)?;
        Ok(Timestamp::from_micros(seconds * 1_000_000 + micros))
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, settle, evicts } = self;
        f.debug_struct("Started")
            .field("link", link)
            .field("settles", &settle.is_some())
            .field("evicts", evicts)
            .finish()
    }
}
