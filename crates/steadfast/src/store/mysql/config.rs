//! The driver's settings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::Pool;

use crate::error::Result;
use crate::store::Tls;

use super::MysqlStore;
use super::error::config_fault;
use super::open;
use super::schema;
use super::sql::check_table;

/// Largest accepted number of connections: a server has some hundreds for all nodes together.
const MAX_CONNECTIONS: usize = 1_000;

/// Longest accepted `timeout`: a request that waits longer has lost its client.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of the MySQL driver, made by [`MysqlStore::options`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use steadfast::store::mysql::MysqlStore;
///
/// # async fn example() -> steadfast::Result<()> {
/// let options = MysqlStore::options()
///     .host("db.internal")
///     .user("app")
///     .password(std::env::var("DB_PASSWORD").unwrap_or_default())
///     .database("shop")
///     .timeout(Duration::from_secs(2));
/// options.create().await?; // once, or let an operator run what `ddl` returns
/// let store = options.open().await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until `open`"]
pub struct MysqlOptions {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) socket: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: Option<String>,
    pub(in crate::store) table: String,
    pub(in crate::store) connections: usize,
    pub(in crate::store) timeout: Duration,
    pub(super) poll_interval: Duration,
    pub(in crate::store) multi_statements: bool,
    pub(super) tls: Tls,
    pub(in crate::store) pool: Option<Pool>,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 3306,
            socket: None,
            user: None,
            password: None,
            database: None,
            table: "steadfast_sessions".to_owned(),
            connections: 16,
            timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(20),
            multi_statements: true,
            tls: Tls::Off,
            pool: None,
        }
    }
}

impl MysqlOptions {
    /// Sets the server's name or address. The default is `localhost`, by TCP as any other.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Sets the server's port. The default is 3306.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets a Unix socket to connect through, in place of host and port.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// Sets the user. It needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on the two tables.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the user's password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the database that holds the tables. There is no default.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Sets the table of the records: 1 to 54 ASCII letters, digits and underscores, not a digit first.
    ///
    /// A second table, for damaged records, has the same name with `_set_aside` behind it. The default is
    /// `steadfast_sessions`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets how many connections this store opens at most, 1 to 1,000; the default is 16.
    ///
    /// A call has one for a round trip or two, never while a handler runs. The nodes together must stay
    /// below the server's `max_connections`.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets how long a call may take: for a connection and for the server's answer together.
    ///
    /// Between 10 ms and 60 s; the default is 5 s. A policy's `store_deadline` ends a call before that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest pause between two looks at a lease that another process holds.
    ///
    /// Between 1 ms and 10 s; the default is 20 ms. The first pause is a quarter of it. A lease that is ended
    /// in this process needs no look.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets whether several statements are sent at once where that saves a round trip. The default.
    ///
    /// Without, one statement is sent at a time, for proxies that route or refuse by statement, as ProxySQL
    /// does: taking a lease then costs two round trips, a change of privilege four.
    pub fn multi_statements(mut self, multi_statements: bool) -> Self {
        self.multi_statements = multi_statements;
        self
    }

    /// Sets whether and against whose certificates connections are encrypted. The default is
    /// [`Tls::Off`](crate::store::Tls::Off).
    ///
    /// A connection through a Unix socket is never encrypted: it stays within the machine.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Takes connections from a pool of the application's. What was said about server, user, TLS and
    /// connections then does not count.
    ///
    /// Its connections must be made with `client_found_rows(true)` and have a database. They should be told
    /// [`SESSION`](super::SESSION) by `setup`, and not be reset when they go back to the pool
    /// (`PoolOpts::with_reset_connection(false)`), which costs a round trip and all prepared statements.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use mysql_async::{OptsBuilder, Pool, PoolOpts};
    /// use steadfast::store::mysql::{MysqlStore, SESSION};
    ///
    /// # async fn example() -> steadfast::Result<()> {
    /// let pool = Pool::new(
    ///     OptsBuilder::default()
    ///         .ip_or_hostname("db.internal")
    ///         .db_name(Some("shop"))
    ///         .client_found_rows(true)
    ///         .prefer_socket(false)
    ///         .setup(vec![SESSION])
    ///         .pool_opts(PoolOpts::default().with_reset_connection(false)),
    /// );
    /// let store = MysqlStore::options().pool(pool.clone()).open().await?;
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Returns the statements that make the tables, for an operator to run.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the table has a name that it can't have.
    ///
    /// # Examples
    ///
    /// ```
    /// let ddl = steadfast::store::mysql::MysqlStore::options().table("logins").ddl()?;
    /// assert!(ddl.contains("CREATE TABLE IF NOT EXISTS `logins`"));
    /// # Ok::<(), steadfast::Error>(())
    /// ```
    pub fn ddl(&self) -> Result<String> {
        check_table(&self.table)?;
        Ok(schema::schema(&self.table))
    }

    /// Makes the tables where they are missing, and leaves those that are there alone.
    ///
    /// The user needs `CREATE` for this.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), but for what concerns the table.
    ///
    /// # Cancel safety
    ///
    /// One table may be there without the other. Another call makes the rest.
    pub async fn create(&self) -> Result<()> {
        self.check()?;
        schema::create(&open::lender(self)?, &self.table).await
    }

    /// Connects, and looks whether server and table are what this driver needs. Nothing is changed.
    ///
    /// Called within the runtime in which the store is used: connections belong to it.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings, or if the server
    /// refuses user, password or database, is older than MySQL 8.0 or MariaDB 10.5, or the table is missing or
    /// another application's; [`NewerFormat`](crate::ErrorKind::NewerFormat) if a newer version of this library
    /// made the table; [`Unavailable`](crate::ErrorKind::Unavailable) or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) if the server can't be reached.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind.
    pub async fn open(self) -> Result<MysqlStore> {
        self.check()?;
        open::store(&self).await
    }

    pub(in crate::store) fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        if let Err(fault) = check_table(&self.table) {
            faults.push(fault.to_string());
        }
        if self.pool.is_none() {
            if self.database.as_ref().is_none_or(String::is_empty) {
                faults.push("a database is missing".to_owned());
            }
            if self.host.is_empty() && self.socket.is_none() {
                faults.push("a host is missing".to_owned());
            }
        }
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            faults
                .push(format!("`connections` ({}) is not between 1 and {MAX_CONNECTIONS}", self.connections));
        }
        if self.timeout < Duration::from_millis(10) || self.timeout > MAX_TIMEOUT {
            faults.push(format!("`timeout` ({:?}) is not between 10ms and 60s", self.timeout));
        }
        if self.poll_interval < Duration::from_millis(1) || self.poll_interval > Duration::from_secs(10) {
            faults.push(format!("`poll_interval` ({:?}) is not between 1ms and 10s", self.poll_interval));
        }
        if faults.is_empty() { Ok(()) } else { Err(config_fault(faults.join("; "))) }
    }
}

impl fmt::Debug for MysqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("table", &self.table)
            .field("connections", &self.connections)
            .field("timeout", &self.timeout)
            .field("poll_interval", &self.poll_interval)
            .field("multi_statements", &self.multi_statements)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn all_faults_of_the_settings_are_reported_at_once() {
        let options = MysqlOptions::default()
            .host("")
            .table("a`b")
            .connections(0)
            .timeout(Duration::ZERO)
            .poll_interval(Duration::from_secs(11));
        let error = options.check().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        for fault in ["`table` is", "a database", "a host", "`connections` (0)", "`timeout` (0ns)", "(11s)"] {
            assert!(error.to_string().contains(fault), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let options = MysqlOptions::default().user("app").password("hunter2").database("shop");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
