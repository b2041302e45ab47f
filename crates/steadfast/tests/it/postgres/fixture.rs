//! Tables of the tests' own, in the server that all tests share.

use std::sync::atomic::{AtomicU32, Ordering};

use steadfast::store::postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::{Client, Config, NoTls};

use crate::servers;

/// A table with a name that no other test has. It is dropped with this.
pub(super) struct Table {
    pub(super) name: String,
    server: Config,
}

impl Table {
    /// Makes a table in the database that the tests share.
    pub(super) async fn new() -> Self {
        let table = Self::missing();
        table.options().create().await.unwrap();
        table
    }

    /// Takes a name, without making a table.
    pub(super) fn missing() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { name, server: servers::dsn("POSTGRES").parse().unwrap() }
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
                connect(&server).await.batch_execute(&sql).await.unwrap();
            });
        });
        // A test that has failed already shall not abort the process.
        let dropped = dropping.join();
        assert!(std::thread::panicking() || dropped.is_ok(), "the table is dropped");
    }
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
