//! The driver's settings.

use std::fmt;
use std::time::Duration;

use super::MemcachedStore;
use super::error::config_fault;
use super::ring::Member;
use super::stream::Endpoint;
use crate::error::Result;

/// The port of a server without one.
const USUAL_PORT: u16 = 11211;

/// Longest prefix: the server takes keys of up to 250 bytes, and every item carries it.
const LONGEST_PREFIX: usize = 200;

/// Longest accepted timeout: a request that waits longer has lost its client.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How sessions are spread over several servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Distribution {
    /// By weight, with 160 points on average for each server, hashed with MD5: what libmemcached calls
    /// weighted ketama, and PHP `memcached.sess_consistent_hash_type=ketama_weighted`. The default.
    /// `distribution=weighted`.
    #[default]
    Weighted,
    /// All servers alike, with 100 points for each: what PHP's session handler does unless told otherwise.
    /// `distribution=unweighted`.
    Unweighted,
    /// All servers alike, by the remainder of the key's hash: what PHP's `Memcached` class does unless told
    /// otherwise, and so CodeIgniter. A server more or less moves almost all sessions. `distribution=modulo`.
    Modulo,
}

/// Settings of the Memcached driver, made by [`MemcachedStore::options`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use steadfast::store::memcached::MemcachedStore;
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = MemcachedStore::options()
///     .server("10.0.0.1:11211")
///     .weighted_server("10.0.0.2:11211", 2)
///     .prefix("shop:")
///     .response_timeout(Duration::from_millis(500))
///     .connect()
///     .await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until `connect`"]
pub struct MemcachedOptions {
    servers: Vec<(String, u32)>,
    pub(in crate::store) distribution: Option<Distribution>,
    pub(in crate::store) prefix: String,
    pub(super) login: Option<(String, String)>,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
}

impl Default for MemcachedOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            distribution: None,
            prefix: "sf:".into(),
            login: None,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
        }
    }
}

impl MemcachedOptions {
    /// Adds a server with the weight 1: `host`, `host:port`, `[IPv6]:port`, or the path of a Unix socket,
    /// which begins with a slash. The port is 11211 unless given.
    ///
    /// All nodes must name the servers in the same words, since the names choose what lies where.
    pub fn server(self, address: impl Into<String>) -> Self {
        self.weighted_server(address, 1)
    }

    /// Adds a server that gets more of the sessions, by [`Distribution::Weighted`]: from 1 to 1000.
    pub fn weighted_server(mut self, address: impl Into<String>, weight: u32) -> Self {
        self.servers.push((address.into(), weight));
        self
    }

    /// Sets how sessions are spread over several servers. The same on all nodes.
    pub fn distribution(mut self, distribution: Distribution) -> Self {
        self.distribution = Some(distribution);
        self
    }

    /// Sets what the keys of all items begin with. The default is `sf:`.
    ///
    /// Up to 200 visible ASCII characters. Two sites that share a server need different ones.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets user and password, for servers that were started with a file of them (`-Y`).
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    /// Sets how long opening a connection may take, and then how long the server has to answer its first
    /// questions. Between 1 ms and 60 s; the default is 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a call waits for the server. When it has not answered by then, the connection is closed
    /// and all that wait for it fail. Between 1 ms and 60 s; the default is 1 s.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Connects to the servers.
    ///
    /// It is enough if one of several can be reached; the others are tried again when a session needs them.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or for a server
    /// that is too old, was started with `-C`, or wants another password;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) or [`TimedOut`](crate::ErrorKind::TimedOut) if no
    /// server can be reached.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind.
    pub async fn connect(self) -> Result<MemcachedStore> {
        let servers = self.check()?;
        MemcachedStore::start(&self, servers).await
    }

    /// Checks the settings; returns where the servers are, and their places on the ring.
    pub(in crate::store) fn check(&self) -> Result<Vec<(Endpoint, Member)>> {
        let mut faults = Vec::new();
        let mut servers: Vec<(Endpoint, Member)> = Vec::with_capacity(self.servers.len());
        for (address, weight) in &self.servers {
            match server(address, *weight) {
                Ok((endpoint, _)) if servers.iter().any(|(other, _)| *other == endpoint) => {
                    faults.push("a server is named twice".to_owned());
                }
                Ok(server) => servers.push(server),
                Err(fault) => faults.push(fault),
            }
        }
        if self.servers.is_empty() {
            faults.push("there is no server".into());
        }
        if self.prefix.len() > LONGEST_PREFIX || !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.push(format!("`prefix` is up to {LONGEST_PREFIX} visible ASCII characters"));
        }
        for (name, timeout) in
            [("connect_timeout", self.connect_timeout), ("response_timeout", self.response_timeout)]
        {
            if timeout < Duration::from_millis(1) || timeout > LONGEST_TIMEOUT {
                faults.push(format!("`{name}` ({timeout:?}) is not between 1ms and 60s"));
            }
        }
        if faults.is_empty() { Ok(servers) } else { Err(config_fault(faults.join("; "))) }
    }
}

impl fmt::Debug for MemcachedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, distribution, prefix, login: _, connect_timeout, response_timeout } = self;
        f.debug_struct("MemcachedOptions")
            .field("servers", servers)
            .field("distribution", distribution)
            .field("prefix", prefix)
            .field("connect_timeout", connect_timeout)
            .field("response_timeout", response_timeout)
            .finish_non_exhaustive()
    }
}

/// Reads the address of a server.
fn server(address: &str, weight: u32) -> Result<(Endpoint, Member), String> {
    if !(1..=1000).contains(&weight) {
        return Err(format!("a weight ({weight}) is not between 1 and 1000"));
    }
    if address.starts_with('/') {
        let member = Member { host: address.into(), port: 0, weight };
        return Ok((Endpoint::Unix(address.into()), member));
    }
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(USUAL_PORT), |port| port.parse().ok().filter(|port| *port > 0));
    match port {
        Some(port) if !host.is_empty() => {
            let endpoint = Endpoint::Tcp { host: host.into(), port };
            Ok((endpoint, Member { host: host.into(), port, weight }))
        }
        _ => Err("a server is not a host, `host:port`, `[IPv6]:port` or the path of a socket".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn all_faults_of_the_settings_are_reported_at_once() {
        let options = MemcachedOptions::default()
            .weighted_server("a", 0)
            .server("a:0")
            .server("b")
            .server("b:11211")
            .prefix("a b")
            .login("user", "hidden")
            .connect_timeout(Duration::ZERO);
        assert!(!format!("{options:?}").contains("hidden"));
        let error = options.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(
            error.to_string(),
            "memcached: a weight (0) is not between 1 and 1000; a server is not a host, `host:port`, \
             `[IPv6]:port` or the path of a socket; a server is named twice; `prefix` is up to 200 visible \
             ASCII characters; `connect_timeout` (0ns) is not between 1ms and 60s"
        );
        let error = MemcachedOptions::default().check().unwrap_err();
        assert!(error.to_string().contains("there is no server"));
    }

    #[test]
    fn an_address_is_a_host_a_port_or_a_path() {
        let endpoint = |address| server(address, 1).map(|(endpoint, _)| endpoint);
        let tcp = |host: &str, port| Ok(Endpoint::Tcp { host: host.into(), port });
        assert_eq!(endpoint("one"), tcp("one", 11211));
        assert_eq!(endpoint("one:7"), tcp("one", 7));
        assert_eq!(endpoint("[::1]"), tcp("::1", 11211));
        assert_eq!(endpoint("[::1]:7"), tcp("::1", 7));
        assert_eq!(endpoint("/run/m.sock"), Ok(Endpoint::Unix("/run/m.sock".into())));
        for wrong in ["", ":1", "a:", "a:x", "a:70000", "[]:1", "[::1"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
