//! The driver's settings.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

use super::PostgresStore;
use super::clients::{Clients, Handed, Role, Source};
use super::error::config_fault;
use super::names::Names;
use super::own::Own;
use super::schema;
use super::slot::{Opening, Slot};
use super::statements::Texts;
use crate::error::Result;
use crate::store::Tls;
use crate::store::waits::Waits;

/// The port of a server that was given without one.
pub(crate) const DEFAULT_PORT: u16 = 5432;

/// Most connections: each is a process of the server, which has 100 of them by default.
const MAX_CONNECTIONS: usize = 64;

/// Longest accepted time limit: a request that waits longer has lost its client.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest that a statement waits for a lock. Our own are held for the time of a commit; what takes longer
/// is somebody's open transaction, and others wait behind us.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Settings of the PostgreSQL driver, made by [`PostgresStore::options`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use steadfast::store::postgres::PostgresStore;
///
/// # async fn example() -> steadfast::Result<()> {
/// let options = PostgresStore::options()
///     .server("db.internal", 5432)
///     .user("app")
///     .password("secret")
///     .database("app")
///     .timeout(Duration::from_secs(2));
/// options.create().await?; // or run what `options.ddl()?` prints
/// let store = options.open().await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until `open`"]
pub struct PostgresOptions {
    servers: Vec<(String, u16)>,
    socket: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    schema: String,
    table: String,
    connections: usize,
    prepared: bool,
    listen: bool,
    timeout: Duration,
    connect_timeout: Duration,
    tls: Tls,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            socket: None,
            user: None,
            password: None,
            database: None,
            schema: Names::DEFAULT_SCHEMA.to_owned(),
            table: Names::DEFAULT_TABLE.to_owned(),
            connections: 4,
            prepared: true,
            listen: true,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            tls: Tls::Off,
        }
    }
}

/// # Where the server is
impl PostgresOptions {
    /// Adds a server. The default is `localhost`, port 5432.
    ///
    /// Of several the first is used that takes writes: name all that may become the primary.
    pub fn server(mut self, host: impl Into<String>, port: u16) -> Self {
        self.servers.push((host.into(), port));
        self
    }

    /// Connects by a Unix socket in this directory instead, as `/var/run/postgresql`.
    pub fn socket(mut self, directory: impl Into<PathBuf>) -> Self {
        self.socket = Some(directory.into());
        self
    }

    /// Sets the user. The default is the operating system's user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the password. The default is none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the database. The default is that of the user's name.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Sets whether connections are encrypted, and whose certificates are accepted. Needs the feature
    /// `tls`. The default is [`Tls::Off`].
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }
}

/// # Where the records are
impl PostgresOptions {
    /// Sets the schema that holds the tables. The default is `public`.
    ///
    /// Up to 48 lower-case letters, digits and underscores; so is the table.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets the table of the records. The default is `steadfast_sessions`.
    ///
    /// Damaged records go to a second one, `…_set_aside`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }
}

/// # How it works
impl PostgresOptions {
    /// Sets how many connections the requests of this process share, 1 to 64. The default is 4.
    ///
    /// Each carries many calls at once, unless [`prepared`](Self::prepared) is off. One more is used for lists and purges, and to hear of leases that
    /// ended.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets whether the server keeps anything for a connection: prepared statements, time limits, and that
    /// it listens. The default is `true`.
    ///
    /// Must be `false` behind a pooler, as PgBouncer. Statements are then sent with
    /// their text, still in one round trip, each connection carries one call at a time (give it more
    /// [`connections`](Self::connections)), and waiters look again every 5 to 25 ms.
    pub fn prepared(mut self, prepared: bool) -> Self {
        self.prepared = prepared;
        self
    }

    /// Sets whether waiters of other processes are woken by `NOTIFY`, which is sent only if somebody waits.
    /// Otherwise they look again every 5 to 25 ms. The default is `true`; all nodes should agree.
    pub fn listen(mut self, listen: bool) -> Self {
        self.listen = listen;
        self
    }

    /// Sets how long a statement may take, 10 ms to 60 s. The default is 5 s.
    ///
    /// The server is told to give up a tenth earlier, so that a slow statement fails alone. A connection
    /// on which an answer is overdue is closed.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long a connection may take to be made, 10 ms to 60 s. The default is 3 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

/// # What to do with them
impl PostgresOptions {
    /// Returns the statements that make the tables, for a migration or an operator.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::store::postgres::PostgresStore;
    ///
    /// let ddl = PostgresStore::options().schema("app").ddl()?;
    /// assert!(ddl.contains(r#"CREATE TABLE "app"."steadfast_sessions""#));
    /// # Ok::<(), steadfast::Error>(())
    /// ```
    pub fn ddl(&self) -> Result<String> {
        Ok(schema::ddl(&self.check()?))
    }

    /// Makes the tables unless they are there. Several nodes may do so at once.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if this user may not
    /// create tables in the schema.
    ///
    /// # Cancel safety
    ///
    /// All the tables are made, or none.
    pub async fn create(&self) -> Result<()> {
        let names = self.check()?;
        let own = self.own(&names, &Arc::default())?;
        let service = Slot::new(Role::Service, &self.opening(&names, Box::new(own)));
        schema::create(&*service.connection().await?, &names).await
    }

    /// Connects, and checks that the tables are there. It does not create them.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or if the server
    /// refuses user or database, its certificate is not trusted, the tables are missing, somebody else's or
    /// closed to this user, or `prepared=false` is needed; [`NewerFormat`](crate::ErrorKind::NewerFormat) if
    /// a newer version of this library made the tables; [`Unavailable`](crate::ErrorKind::Unavailable) or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) if the server can't be reached, is a replica or has no
    /// connection left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind.
    pub async fn open(&self) -> Result<PostgresStore> {
        let names = self.check()?;
        let waits = Arc::default();
        let own = self.own(&names, &waits)?;
        PostgresStore::start(self, &names, Box::new(own), waits).await
    }

    /// Works on connections of the application's own, and checks that the tables are there.
    ///
    /// Of the settings, those about the server and `listen` don't apply.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind.
    pub async fn open_with(&self, clients: impl Clients) -> Result<PostgresStore> {
        let names = self.check()?;
        PostgresStore::start(self, &names, Box::new(Handed(clients)), Arc::default()).await
    }
}

impl PostgresOptions {
    pub(super) fn number_of_connections(&self) -> usize {
        self.connections
    }

    pub(super) fn opening(&self, names: &Names, source: Box<dyn Source>) -> Arc<Opening> {
        Arc::new(Opening {
            source,
            texts: Arc::new(Texts::new(names)),
            prepared: self.prepared,
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
        })
    }

    /// Returns the names of schema and table, and what makes connections.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` with all faults of the settings.
    #[cfg(feature = "php")]
    pub(in crate::store) fn connections_of_own(&self) -> Result<(Names, Own)> {
        let names = self.check()?;
        let own = self.own(&names, &Arc::default())?;
        Ok((names, own))
    }

    /// Returns how many connections, and the time limits for connecting and for a statement.
    #[cfg(feature = "php")]
    pub(in crate::store) fn limits(&self) -> (usize, Duration, Duration) {
        (self.connections, self.connect_timeout, self.timeout)
    }

    fn check(&self) -> Result<Names> {
        let names = Names::new(&self.schema, &self.table);
        let mut faults = names.as_ref().err().cloned().unwrap_or_default();
        if self.connections == 0 || self.connections > MAX_CONNECTIONS {
            faults
                .push(format!("`connections` ({}) is not between 1 and {MAX_CONNECTIONS}", self.connections));
        }
        for (name, timeout) in [("timeout", self.timeout), ("connect_timeout", self.connect_timeout)] {
            if timeout < Duration::from_millis(10) || timeout > MAX_TIMEOUT {
                faults.push(format!("`{name}` ({timeout:?}) is not between 10ms and 60s"));
            }
        }
        if self.tls != Tls::Off && !cfg!(feature = "tls") {
            faults.push("`tls` needs the feature `tls` of this library".to_owned());
        }
        if self.tls != Tls::Off && self.socket.is_some() {
            faults.push("`tls` does not go with a Unix socket".to_owned());
        }
        match names {
            Ok(names) if faults.is_empty() => Ok(names),
            _ => Err(config_fault(faults.join("; "))),
        }
    }

    fn own(&self, names: &Names, waits: &Arc<Waits>) -> Result<Own> {
        Ok(Own {
            config: self.client_config(),
            #[cfg(feature = "tls")]
            tls: self
                .tls
                .client_config()
                .map_err(|error| error.in_driver(super::error::DRIVER))?
                .map(|config| tokio_postgres_rustls::MakeRustlsConnect::new((*config).clone())),
            channel: (self.prepared && self.listen).then(|| names.fill_in("{channel}")),
            waits: Arc::clone(waits),
        })
    }

    fn client_config(&self) -> Config {
        let mut config = Config::new();
        match &self.socket {
            Some(directory) => add_socket(&mut config, directory, self.servers.first()),
            None if self.servers.is_empty() => {
                config.host("localhost").port(DEFAULT_PORT);
            }
            None => {
                for (host, port) in &self.servers {
                    config.host(host).port(*port);
                }
            }
        }
        if let Some(user) = &self.user {
            config.user(user);
        }
        if let Some(password) = &self.password {
            config.password(password);
        }
        if let Some(database) = &self.database {
            config.dbname(database);
        }
        if self.prepared {
            config.options(self.session_settings());
        }
        #[cfg(feature = "tls")]
        config.ssl_mode(match self.tls {
            Tls::Off => tokio_postgres::config::SslMode::Disable,
            Tls::PublicCa | Tls::PrivateCa(_) => tokio_postgres::config::SslMode::Require,
        });
        config
            .application_name("steadfast")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(self.connect_timeout)
            .tcp_user_timeout(self.timeout)
            .keepalives_idle(Duration::from_secs(30));
        config
    }

    /// What the server is told when a connection begins, and by which it is known whether it was told.
    fn session_settings(&self) -> String {
        let millis = |limit: Duration| limit.as_millis().max(1);
        format!(
            "-c steadfast.session=kept -c default_transaction_isolation=read\\ committed \
             -c statement_timeout={} -c lock_timeout={}",
            millis(self.timeout / 10 * 9),
            millis(LOCK_TIMEOUT.min(self.timeout / 2)),
        )
    }
}

/// The name of the file in the directory has the port in it.
fn add_socket(config: &mut Config, directory: &Path, server: Option<&(String, u16)>) {
    #[cfg(unix)]
    config.host_path(directory);
    #[cfg(not(unix))]
    config.host(directory.to_string_lossy());
    config.port(server.map_or(DEFAULT_PORT, |(_, port)| *port));
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            servers,
            socket,
            user,
            password: _,
            database,
            schema,
            table,
            connections,
            prepared,
            listen,
            timeout,
            connect_timeout,
            tls,
        } = self;
        f.debug_struct("PostgresOptions")
            .field("servers", servers)
            .field("socket", socket)
            .field("user", user)
            .field("database", database)
            .field("schema", schema)
            .field("table", table)
            .field("connections", connections)
            .field("prepared", prepared)
            .field("listen", listen)
            .field("timeout", timeout)
            .field("connect_timeout", connect_timeout)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn all_faults_of_the_settings_are_reported_at_once() {
        let options = PostgresOptions::default().table("a b").connections(0).timeout(Duration::ZERO);
        let error = options.ddl().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(
            error.to_string(),
            "postgres: `table` is 1 to 48 letters a-z, digits and underscores, and begins with no digit; \
             `connections` (0) is not between 1 and 64; `timeout` (0ns) is not between 10ms and 60s"
        );
    }

    #[test]
    fn the_password_is_not_shown() {
        let options = PostgresOptions::default().user("app").password("hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
        assert!(!format!("{:?}", options.client_config()).contains("hunter2"));
    }

    #[test]
    fn a_pooler_is_asked_to_keep_nothing() {
        assert!(PostgresOptions::default().client_config().get_options().is_some());
        let options = PostgresOptions::default().prepared(false);
        assert_eq!(options.client_config().get_options(), None);
        let names = options.check().unwrap();
        assert_eq!(options.own(&names, &Arc::default()).unwrap().channel, None);
    }
}
