//! Redis Sentinel.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::place::Place;
use crate::{Options, Redis, Reply, Result, Server, Service, redis, resp};

/// What the sentinels call the master.
const NAME: &str = "mymaster";

/// How many servers there are: a master and a replica.
const SERVERS: usize = 2;

/// After how long the sentinels are asked to fail over, if they gave up.
const ASK_AGAIN: Duration = Duration::from_secs(8);

/// How many sentinels there are; two of them decide.
const SENTINELS: usize = 3;

/// A master with one replica, watched by three sentinels that fail over within about a second.
///
/// Its [`services`](Server::services) are the two Redis servers, then the sentinels. Replication is
/// asynchronous, as it always is in Redis: a failover may lose the last writes.
#[derive(Debug)]
#[must_use]
pub struct RedisSentinel(Vec<Service>);

impl RedisSentinel {
    /// Starts all of them and waits until the sentinels know each other and the replica.
    ///
    /// # Errors
    ///
    /// If one can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::new())
    }

    /// Starts the master and its replica with lines of `redis.conf`.
    ///
    /// # Errors
    ///
    /// If one can't be started; with what it printed.
    pub fn start_with(options: &Options) -> Result<Self> {
        let master = Redis::start_with(options)?;
        let replica = master.replica(options)?;
        let watched = master.port();
        let mut services: Vec<Service> = [master, replica].into_iter().map(Redis::into_service).collect();
        for _ in 0..SENTINELS {
            services.push(sentinel(watched)?);
        }
        let all = Self(services);
        all.await_acquaintance()?;
        Ok(all)
    }

    /// Returns the master, as the first sentinel that answers sees it.
    ///
    /// # Errors
    ///
    /// If no sentinel answers.
    pub fn master(&self) -> Result<&Service> {
        let address = self.master_address()?;
        let of_address = |service: &&Service| service.address() == address;
        self.0
            .iter()
            .find(of_address)
            .ok_or_else(|| "the sentinels name a master that is none of ours".into())
    }

    /// Returns the server that is not the master.
    ///
    /// # Errors
    ///
    /// If no sentinel answers.
    pub fn replica(&self) -> Result<&Service> {
        let master = self.master()?.address();
        let other = self.0[..SERVERS].iter().find(|service| service.address() != master);
        other.ok_or_else(|| "there is no replica".into())
    }

    /// Kills the master, waits until the replica has taken over, and returns the service that was killed.
    ///
    /// # Errors
    ///
    /// If the sentinels do not fail over in time.
    pub fn fail_over(&self) -> Result<&Service> {
        let old = self.master()?;
        old.kill()?;
        self.await_new_master(old.address())?;
        Ok(old)
    }

    /// Waits until there is another master than `old`, and it says so itself.
    ///
    /// # Errors
    ///
    /// If the sentinels do not fail over in time.
    pub fn await_new_master(&self, old: SocketAddr) -> Result<()> {
        let asked = Cell::new(Instant::now());
        crate::service::wait_until("another master takes over", || {
            // On a busy machine they may not agree in time, or find that the replica told nothing of late. By
            // themselves they try again much later.
            if asked.get().elapsed() > ASK_AGAIN {
                asked.set(Instant::now());
                drop(redis::call(&self.sentinels()[0], &["SENTINEL", "FAILOVER", NAME]));
            }
            let master = self.master_address()?;
            let role = resp::command(master, &["ROLE"])?;
            let is_master = matches!(&role, Reply::List(parts) if parts[0].text() == "master");
            Ok(master != old && is_master)
        })
    }

    /// Waits until the master has a replica that has copied everything: after the old master came back.
    ///
    /// # Errors
    ///
    /// If none has in time.
    pub fn await_replica(&self) -> Result<()> {
        crate::service::wait_until("the master has a replica", || {
            let info = redis::call(self.master()?, &["INFO", "replication"])?;
            Ok(info.text().contains("state=online"))
        })
    }

    /// Waits until every sentinel knows the two others, and the replica.
    fn await_acquaintance(&self) -> Result<()> {
        crate::service::wait_until("the sentinels know each other", || {
            let knows_all = |sentinel| -> Result<bool> {
                let master = redis::call(sentinel, &["SENTINEL", "MASTER", NAME])?;
                let counts = |name, count| master.field(name) == Some(count);
                Ok(counts("num-other-sentinels", "2")
                    && counts("num-slaves", "1")
                    && counts("flags", "master"))
            };
            self.sentinels().iter().try_fold(true, |all, sentinel| Ok(knows_all(sentinel)? && all))
        })
    }

    fn sentinels(&self) -> &[Service] {
        &self.0[SERVERS..]
    }

    fn master_address(&self) -> Result<SocketAddr> {
        let ask = |sentinel: &Service| {
            let reply = redis::call(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).ok()?;
            let Reply::List(parts) = reply else { return None };
            format!("{}:{}", parts.first()?.text(), parts.get(1)?.text()).parse().ok()
        };
        self.sentinels().iter().find_map(ask).ok_or_else(|| "no sentinel names a master".into())
    }
}

impl Server for RedisSentinel {
    fn dsn(&self) -> String {
        let addresses: Vec<_> =
            self.sentinels().iter().map(|service| service.address().to_string()).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}

/// Starts a sentinel that watches a master on a port.
fn sentinel(watched: u16) -> Result<Service> {
    let options = Options::new();
    let place = Place::for_server("redis-sentinel", &options)?;
    let own = format!(
        "bind 127.0.0.1\nport {}\n\
         sentinel monitor {NAME} 127.0.0.1 {watched} 2\n\
         sentinel down-after-milliseconds {NAME} 500\n\
         sentinel failover-timeout {NAME} 3000\n",
        place.port
    );
    let sentinel = redis::launch(place, &own, &options, &["--sentinel"])?;
    // They tell each other more often than every two seconds, or a start would take that long.
    let often = ["info-period", "200", "publish-period", "200", "ask-period", "200", "ping-period", "100"];
    redis::call(&sentinel, &[&["SENTINEL", "DEBUG"][..], &often].concat())?;
    Ok(sentinel)
}
