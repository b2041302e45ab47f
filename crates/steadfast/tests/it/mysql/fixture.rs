//! Tables of their own, and records to put into them.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use steadfast::store::mysql::{MysqlOptions, MysqlStore};
use steadfast::store::{Created, Found, Loaded, Record, Store, StoreKey, Version};
use steadfast::{Error, ErrorKind, Timestamp};
use steadfast_servers::MariaDb;

use crate::servers::dsn;

/// The server that the tests share.
pub(crate) fn shared() -> Server {
    Server::at(&dsn("MYSQL"))
}

/// Where a server is, and who we are there.
pub(crate) struct Server {
    opts: Opts,
    /// The process, if it is a test's own.
    _kept: Option<MariaDb>,
}

impl Server {
    pub(crate) fn at(dsn: &str) -> Self {
        Self { opts: Opts::from_str(dsn).unwrap(), _kept: None }
    }

    /// Ends the process with this value.
    pub(crate) fn keeping(self, process: MariaDb) -> Self {
        Self { _kept: Some(process), ..self }
    }

    /// Returns the options that lead there, with a table that nobody else has.
    pub(crate) fn options(&self) -> MysqlOptions {
        MysqlStore::options()
            .host(self.opts.ip_or_hostname())
            .port(self.opts.tcp_port())
            .user(self.opts.user().unwrap())
            .password(self.opts.pass().unwrap())
            .database(self.opts.db_name().unwrap())
            .connections(8)
            .table(fresh_name())
    }

    /// Returns a store whose table was made.
    pub(crate) async fn store(&self) -> MysqlStore {
        made(self.options()).await
    }

    /// Returns the client library's options, for a pool or a connection of the test's.
    pub(crate) fn client(&self) -> OptsBuilder {
        OptsBuilder::from_opts(self.opts.clone()).prefer_socket(false)
    }

    pub(crate) async fn connection(&self) -> Conn {
        Conn::new(self.client()).await.unwrap()
    }

    /// Runs SQL beside the driver.
    pub(crate) async fn run(&self, sql: &str) {
        self.connection().await.query_drop(sql).await.unwrap();
    }
}

/// Makes the tables and connects.
pub(crate) async fn made(options: MysqlOptions) -> MysqlStore {
    options.create().await.unwrap();
    options.open().await.unwrap()
}

/// Returns the name of a table that no other test of any process has.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}_{:x}_{number}", std::process::id(), Version::fresh().as_u64())
}

pub(crate) fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 16])
}

pub(crate) fn record(payload: impl Into<Bytes>) -> Record {
    Record { payload: payload.into(), version: Version::fresh(), expires_at: Timestamp::MAX, user: None }
}

pub(crate) async fn create(store: &MysqlStore, key: &StoreKey, record: &Record) {
    assert_eq!(store.create(key, record).await.unwrap(), Created::Stored);
}

pub(crate) async fn found(store: &MysqlStore, key: &StoreKey) -> Record {
    match store.load(key).await.unwrap() {
        Loaded::Found(Found { record, .. }) => record,
        Loaded::Missing => panic!("the record is there"),
    }
}

/// Checks that an error is of a kind, is this driver's, says something, and tells no secret.
#[track_caller]
pub(crate) fn check(error: &Error, kind: ErrorKind, says: &str) {
    let text = format!("{} {error:?}", steadfast::chain(error));
    assert_eq!(error.kind(), kind, "{text}");
    assert_eq!(error.driver(), Some("mysql"), "{text}");
    assert!(text.contains(says), "{text}");
    assert!(!text.contains("not-so-secret"), "{text}");
}
