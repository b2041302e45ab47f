//! Tables of the tests' own, in the server that all tests share or in another one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use steadfast::store::postgres::{PostgresOptions, PostgresStore};
use steadfast::store::{Acquired, Created, Lease, LeaseToken, Loaded, Record, Store, StoreKey, Version};
use steadfast::{Error, ErrorKind, Timestamp};
use steadfast_servers::Proxy;
use tokio_postgres::{Client, Config, NoTls};

use crate::servers;

/// Longer than anything that a test waits for.
pub(super) const FOR_AGES: Duration = Duration::from_secs(3600);

/// How long something that should happen soon may take on a slow machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const KEY: StoreKey = StoreKey::from_bytes([7; 16]);

/// A table with a name that no other test has. It is dropped with this.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) server: Config,
}

impl Table {
    /// Makes a table in the database that the tests share.
    pub(super) async fn new() -> Self {
        Self::on(&servers::dsn("POSTGRES")).await
    }

    /// Makes a table in a database.
    pub(super) async fn on(dsn: &str) -> Self {
        let table = Self::missing_on(dsn);
        table.options().create().await.unwrap();
        table
    }

    /// Takes a name, without making a table.
    pub(super) fn missing() -> Self {
        Self::missing_on(&servers::dsn("POSTGRES"))
    }

    fn missing_on(dsn: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { name, server: dsn.parse().unwrap() }
    }

    /// Returns settings to reach it by another address, as that of a proxy.
    pub(super) fn options_by(&self, dsn: &str) -> PostgresOptions {
        options_of(&dsn.parse().unwrap()).table(&self.name).connections(2)
    }

    /// Returns settings to reach it directly.
    pub(super) fn options(&self) -> PostgresOptions {
        options_of(&self.server).table(&self.name).connections(2)
    }

    /// Returns settings to reach it through PgBouncer, in transaction mode.
    pub(super) fn options_of_the_pooler(&self) -> PostgresOptions {
        let pooler = servers::dsn("PGBOUNCER").parse().unwrap();
        options_of(&pooler).table(&self.name).connections(2).prepared(false)
    }

    pub(super) async fn open(&self) -> PostgresStore {
        self.options().open().await.unwrap()
    }

    /// Connects without the driver.
    pub(super) async fn client(&self) -> Client {
        connect(&self.server).await
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let (name, server) = (self.name.clone(), self.server.clone());
        // A thread, because this may run within a runtime.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sql = format!("DROP TABLE IF EXISTS {name}, {name}_set_aside");
                // A server of the test's own may be gone by now, with all its tables.
                if let Ok((client, connection)) = server.connect(NoTls).await {
                    tokio::spawn(connection);
                    client.batch_execute(&sql).await.unwrap();
                }
            });
        });
        // A test that has failed already shall not abort the process.
        let dropped = dropping.join();
        assert!(std::thread::panicking() || dropped.is_ok(), "the table is dropped");
    }
}

/// Starts a proxy in front of the server that the tests share, and says how it is reached.
pub(super) fn proxied() -> (Proxy, String) {
    let dsn = servers::dsn("POSTGRES");
    let server: Config = dsn.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], server.get_ports()[0]).into()).unwrap();
    let through = proxy.dsn(&dsn);
    (proxy, through)
}

/// Connects without the driver.
pub(super) async fn connect(server: &Config) -> Client {
    let (client, connection) = server.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns the settings of a server as it is written for other clients.
pub(super) fn options_of(server: &Config) -> PostgresOptions {
    let [tokio_postgres::config::Host::Tcp(host)] = server.get_hosts() else { panic!("one host") };
    PostgresStore::options()
        .server(host, server.get_ports()[0])
        .user(server.get_user().unwrap())
        .password(str::from_utf8(server.get_password().unwrap_or_default()).unwrap())
        .database(server.get_dbname().unwrap())
}

/// Waits for something that should happen soon.
pub(super) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happens).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

pub(super) fn record(payload: impl Into<Bytes>) -> Record {
    Record { payload: payload.into(), version: Version::fresh(), expires_at: in_a_day(), user: None }
}

pub(super) fn in_a_day() -> Timestamp {
    Timestamp::EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(86_400)
}

pub(super) async fn create(store: &PostgresStore, key: &StoreKey) -> Record {
    let record = record("payload");
    assert_eq!(store.create(key, &record).await.unwrap(), Created::Stored);
    record
}

pub(super) async fn is_there(store: &PostgresStore, key: &StoreKey) -> bool {
    matches!(store.load(key).await.unwrap(), Loaded::Found(_))
}

pub(super) fn lease() -> Lease {
    Lease { token: LeaseToken::fresh(), ttl: FOR_AGES }
}

pub(super) async fn hold(store: &PostgresStore, key: &StoreKey) -> Lease {
    let lease = lease();
    assert!(matches!(store.acquire(key, lease).await.unwrap(), Acquired::Held(_)));
    lease
}

/// Checks what an error is and says, with its causes, and that it says it for this driver.
#[track_caller]
pub(super) fn assert_says(error: &Error, kind: ErrorKind, words: &str) {
    let said = steadfast::chain(error).to_string();
    assert_eq!(error.kind(), kind, "{said}");
    assert!(said.contains(words), "{words}: {said}");
    assert_eq!(error.driver(), Some("postgres"));
}
