//! Redis.

use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::resp::{self, Reply};
use crate::{Options, Result, Server, Service};

/// Keeps every acknowledged write over a `kill -9`: the log is written before an answer is. It is not
/// synced, as no test cuts the power.
const DEFAULTS: &str = "\
save \"\"
appendonly yes
appendfsync no
repl-diskless-sync-delay 0
";

/// A Redis server of its own, without a password unless the options say so.
#[derive(Debug)]
#[must_use]
pub struct Redis([Service; 1]);

impl Redis {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::new())
    }

    /// Starts it with lines of `redis.conf`, such as `maxmemory 3mb`, `requirepass secret`,
    /// `user alice on >secret ~* &* +@all` or `appendonly no`.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start_with(options: &Options) -> Result<Self> {
        Ok(Self([service("redis", options)?]))
    }

    /// Starts a replica of this one and waits until it has copied everything.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn replica(&self, options: &Options) -> Result<Self> {
        let replica = Self::start_with(&options.clone().set(format!("replicaof 127.0.0.1 {}", self.port())))?;
        crate::service::wait_until("the replica has copied everything", || {
            Ok(resp::command(replica.address(), &["INFO", "replication"])?
                .text()
                .contains("master_link_status:up"))
        })?;
        Ok(replica)
    }

    /// Returns the process, for a store that is made of several.
    pub(crate) fn into_service(self) -> Service {
        let Self([service]) = self;
        service
    }

    /// Sends a command, as `redis-cli` does.
    ///
    /// # Errors
    ///
    /// If the server can't be reached, or answers with an error.
    pub fn command(&self, words: &[&str]) -> Result<Reply> {
        call(&self.0[0], words)
    }
}

impl Server for Redis {
    fn dsn(&self) -> String {
        format!("redis://{}", self.address())
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}

/// Starts a `redis-server` with lines of its configuration.
pub(crate) fn service(name: &str, options: &Options) -> Result<Service> {
    let place = Place::for_server(name, options)?;
    let own = format!("bind 127.0.0.1\nport {}\n{DEFAULTS}", place.port);
    launch(place, &own, options, &[])
}

/// Starts a `redis-server` with a configuration of its own, which it may rewrite.
pub(crate) fn launch(place: Place, own: &str, options: &Options, arguments: &[&str]) -> Result<Service> {
    let lines = place.settings(options).join("\n");
    place.write("redis.conf", format!("{own}{lines}\n").as_bytes())?;
    let mut command = Command::new("redis-server");
    command.arg(place.folder().join("redis.conf")).args(arguments);
    // Asked politely, a master waits for its replicas.
    Service::launch(place, &command, Signal::KILL, Box::new(is_ready))
}

/// Sends a command to a service; an error that it answers is one.
pub(crate) fn call(service: &Service, words: &[&str]) -> Result<Reply> {
    match resp::command(service.address(), words)? {
        Reply::Error(error) => Err(format!("redis refuses {}: {error}", words[0]).into()),
        reply => Ok(reply),
    }
}

/// Reports whether it has read its data. Asking for a password is an answer, too.
fn is_ready(stream: &mut TcpStream) -> bool {
    match resp::send(stream, &["PING"]) {
        Ok(Reply::Error(error)) => error.starts_with("NOAUTH"),
        answer => answer.is_ok(),
    }
}
