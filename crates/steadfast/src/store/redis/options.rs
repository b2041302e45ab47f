//! The driver's settings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::config_fault;
use super::store::RedisStore;
use crate::error::Result;
use crate::store::Tls;

/// Longest accepted timeout: a request that waits longer has lost its client.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest accepted prefix, in bytes: it is kept once for every session.
const MAX_PREFIX: usize = 128;

/// Where the records are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Servers {
    /// One server: a name or an address, and a port.
    One(String, u16),
    /// One server on this machine, by its Unix socket.
    Socket(PathBuf),
    /// The master of this name, which the sentinels know. A failover is followed.
    Sentinels(Vec<(String, u16)>, String),
    /// A cluster, by some of its nodes; it tells the others.
    Cluster(Vec<(String, u16)>),
}

/// Settings of the Redis driver, made by [`RedisStore::options`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use steadfast::store::redis::{RedisStore, Servers};
///
/// # async fn example() -> steadfast::Result<()> {
/// let store = RedisStore::options()
///     .password("secret")
///     .prefix("shop:")
///     .response_timeout(Duration::from_millis(300))
///     .connect(Servers::One("10.0.0.5".into(), 6379))
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until `connect`"]
pub struct RedisOptions {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) database: u32,
    pub(super) prefix: String,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) wait_replicas: u32,
    pub(super) wait_timeout: Duration,
    pub(super) tls: Tls,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            user: None,
            password: None,
            sentinel_user: None,
            sentinel_password: None,
            database: 0,
            prefix: "steadfast:".into(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
            wait_replicas: 0,
            wait_timeout: Duration::from_secs(1),
            tls: Tls::Off,
        }
    }
}

impl RedisOptions {
    /// Sets the user of the server's access control list. The default is the server's `default` user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the password. The default is none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the user at the sentinels, which have an access control list of their own.
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Self {
        self.sentinel_user = Some(user.into());
        self
    }

    /// Sets the password at the sentinels. The default is none: that of the servers is not sent to them.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }

    /// Sets the number of the database. The default is 0; a cluster has no other.
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// Sets what the names of all keys and channels begin with.
    ///
    /// Applications that share a server need prefixes of their own. 1 to 128 bytes without braces; the
    /// default is `steadfast:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a new connection may take, with the log-in and the search for the master.
    ///
    /// Between 1 ms and 60 s; the default is 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a call may wait for its answer.
    ///
    /// After two calls in a row without an answer a new connection is tried. Between 1 ms and 60 s; the
    /// default is 500 ms.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Sets how many replicas must have the end of a session, a revocation or a change of privilege before it
    /// is acknowledged.
    ///
    /// The default is 0: the master's word is enough, and a failover may lose what it had not passed on.
    pub fn wait_replicas(mut self, replicas: u32) -> Self {
        self.wait_replicas = replicas;
        self
    }

    /// Sets how long to wait for them. Between 1 ms and 60 s; the default is 1 s.
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait_timeout = timeout;
        self
    }

    /// Sets whether connections are encrypted, and whose certificates are accepted.
    ///
    /// The public authorities are those that the machine trusts. The default is no encryption; any other needs
    /// the feature `tls`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Connects, and checks the login, the server's version and whether it may evict sessions.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or if the server
    /// refuses the login, the database or a command, or is older than 6.2;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) or [`TimedOut`](crate::ErrorKind::TimedOut) if it can't
    /// be reached.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind but a connection that closes.
    pub async fn connect(self, servers: Servers) -> Result<RedisStore> {
        self.check(&servers)?;
        RedisStore::start(self, servers).await
    }

    pub(in crate::store) fn check(&self, servers: &Servers) -> Result<()> {
        let mut faults = Vec::new();
        match servers {
            Servers::One(host, _) if host.is_empty() => faults.push("the host is empty".to_owned()),
            Servers::Socket(path) if path.as_os_str().is_empty() => {
                faults.push("the path of the socket is empty".to_owned());
            }
            Servers::Sentinels(hosts, _) | Servers::Cluster(hosts) if hosts.is_empty() => {
                faults.push("there is no host".to_owned());
            }
            Servers::Sentinels(_, master) if master.is_empty() => {
                faults.push("the name of the master is empty".to_owned());
            }
            Servers::Cluster(_) if self.database != 0 => {
                faults.push(format!("`database` ({}) is not 0: a cluster has no other", self.database));
            }
            _ => {}
        }
        if self.prefix.is_empty() || self.prefix.len() > MAX_PREFIX || self.prefix.contains(['{', '}']) {
            faults.push(format!("`prefix` has 1 to {MAX_PREFIX} bytes and no braces"));
        }
        if self.user.is_some() && self.password.is_none() {
            faults.push("`user` needs `password`".to_owned());
        }
        if self.sentinel_user.is_some() && self.sentinel_password.is_none() {
            faults.push("`sentinel_user` needs `sentinel_password`".to_owned());
        }
        for (name, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("wait_timeout", self.wait_timeout),
        ] {
            if timeout < Duration::from_millis(1) || timeout > MAX_TIMEOUT {
                faults.push(format!("`{name}` ({timeout:?}) is not between 1ms and 60s"));
            }
        }
        if self.tls != Tls::Off && matches!(servers, Servers::Socket(_)) {
            faults.push("a Unix socket has no TLS".to_owned());
        }
        if self.tls != Tls::Off && cfg!(not(feature = "tls")) {
            faults.push("TLS needs the feature `tls` of Steadfast".to_owned());
        }
        if faults.is_empty() { Ok(()) } else { Err(config_fault(faults.join("; "))) }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("wait_replicas", &self.wait_replicas)
            .field("wait_timeout", &self.wait_timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(options: &RedisOptions, servers: &Servers, says: &str) {
        assert_eq!(options.check(servers).expect_err("refused").to_string(), format!("redis: {says}"));
    }

    #[test]
    fn all_faults_of_the_settings_are_reported_at_once() {
        let options = RedisOptions::default()
            .user("app")
            .database(1)
            .prefix("{x}")
            .connect_timeout(Duration::ZERO)
            .response_timeout(Duration::from_secs(61));
        check(
            &options,
            &Servers::Cluster(vec![("h".into(), 1)]),
            "`database` (1) is not 0: a cluster has no other; `prefix` has 1 to 128 bytes and no braces; \
             `user` needs `password`; `connect_timeout` (0ns) is not between 1ms and 60s; \
             `response_timeout` (61s) is not between 1ms and 60s",
        );
        check(&RedisOptions::default(), &Servers::Cluster(Vec::new()), "there is no host");
        check(&RedisOptions::default(), &Servers::One(String::new(), 1), "the host is empty");
        let sentinels = Servers::Sentinels(vec![("h".into(), 1)], String::new());
        check(&RedisOptions::default(), &sentinels, "the name of the master is empty");
    }

    #[test]
    fn a_password_is_not_printed() {
        let options = RedisOptions::default().password("hush").sentinel_password("hush");
        assert!(!format!("{options:?}").contains("hush"));
    }
}
