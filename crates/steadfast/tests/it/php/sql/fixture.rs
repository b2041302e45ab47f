//! Tables of CodeIgniter, of their own for each test, on the servers that the tests share.

use std::net::IpAddr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row, Value};
use serde_json::json;
use steadfast::store::mysql::{MysqlOptions, MysqlStore};
use steadfast::store::php::{RowIds, SharedTable, Site, mysql, postgres};
use steadfast::store::postgres::{PostgresOptions, PostgresStore};
use steadfast::store::{
    Acquired, Found, Lease, LeaseToken, Loaded, Record, SharedName, SharedStore, Store as _, StoreKey,
    Version,
};
use steadfast::{Layout, Result, Timestamp};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::php::peer::Peer;
use crate::servers::dsn;

/// How long a session lives that nobody uses.
pub(crate) const LIFETIME: Duration = Duration::from_secs(7_200);

/// How long a call waits for a lock where it takes one by itself.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(20);

/// The address that sessions belong to where it is a part of names.
pub(crate) const HOME: &str = "127.0.0.1";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mysql,
    Postgres,
}

/// Whose table it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// That of CodeIgniter 4.
    New,
    /// The same, with the address in its names.
    WithIp,
    /// That of CodeIgniter 3.
    Old,
}

/// A table of one test.
#[derive(Clone, Debug)]
pub(crate) struct Db {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
    pub(crate) table: String,
    number: u32,
    dsn: String,
}

impl Db {
    /// Makes a table as CodeIgniter's migration does.
    pub(crate) async fn new(kind: Kind, form: Form) -> Self {
        let db = Self::without_table(kind, form);
        db.query(&db.ddl()).await;
        db
    }

    /// Returns a table that is not there yet.
    pub(crate) fn without_table(kind: Kind, form: Form) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let table = format!("ci_{}_{number}", process::id());
        let name = match kind {
            Kind::Mysql => "MYSQL",
            Kind::Postgres => "POSTGRES",
        };
        Self { kind, form, table, number, dsn: dsn(name) }
    }

    fn ddl(&self) -> String {
        let (t, key) = (self.quoted(), if self.form == Form::WithIp { "id, ip_address" } else { "id" });
        match (self.kind, self.form) {
            (Kind::Mysql, Form::Old) => format!(
                "CREATE TABLE {t} (id varchar(128) NOT NULL, ip_address varchar(45) NOT NULL, `timestamp` int(10) unsigned \
                 DEFAULT 0 NOT NULL, data blob NOT NULL, PRIMARY KEY ({key}), KEY (`timestamp`)) ENGINE=InnoDB"
            ),
            (Kind::Mysql, _) => format!(
                "CREATE TABLE {t} (id varchar(128) NOT NULL, ip_address varchar(45) NOT NULL, `timestamp` timestamp \
                 DEFAULT CURRENT_TIMESTAMP NOT NULL, data blob NOT NULL, PRIMARY KEY ({key}), KEY (`timestamp`)) ENGINE=InnoDB"
            ),
            (Kind::Postgres, Form::Old) => format!(
                "CREATE TABLE {t} (id varchar(128) NOT NULL PRIMARY KEY, ip_address varchar(45) NOT NULL, \
                 \"timestamp\" bigint DEFAULT 0 NOT NULL, data text DEFAULT '' NOT NULL)"
            ),
            (Kind::Postgres, _) => format!(
                "CREATE TABLE {t} (id varchar(128) NOT NULL, ip_address inet NOT NULL, \"timestamp\" timestamptz \
                 DEFAULT CURRENT_TIMESTAMP NOT NULL, data bytea DEFAULT '' NOT NULL, PRIMARY KEY ({key}))"
            ),
        }
    }

    pub(crate) fn quoted(&self) -> String {
        match self.kind {
            Kind::Mysql => format!("`{}`", self.table),
            Kind::Postgres => format!("\"{}\"", self.table),
        }
    }

    /// Returns user, password, host, port and database.
    fn address(&self) -> [String; 5] {
        let (who, place) = self.dsn.split_once("://").unwrap().1.rsplit_once('@').unwrap();
        let (user, password) = who.split_once(':').unwrap();
        let (server, database) = place.split_once('/').unwrap();
        let (host, port) = server.split_once(':').unwrap();
        [user, password, host, port, database].map(str::to_owned)
    }

    pub(crate) fn shared(&self) -> SharedTable {
        let (layout, row_ids) = match self.form {
            Form::Old => (Layout::CodeIgniter3, RowIds::Bare),
            Form::New | Form::WithIp => (Layout::CodeIgniter4, RowIds::Prefixed),
        };
        SharedTable::new(site(layout)).row_ids(row_ids).match_ip(self.form == Form::WithIp)
    }

    pub(crate) async fn store(&self) -> SharedStore {
        self.open(&self.shared()).await.unwrap()
    }

    /// Makes an id that no other test has: locks go by the id alone, whatever the table.
    pub(crate) fn id(&self, n: u32) -> String {
        format!("{:08x}{:08x}{:016x}", process::id(), self.number, n)
    }

    /// Returns the options that lead to the table.
    pub(crate) fn mysql(&self) -> MysqlOptions {
        let [user, password, host, port, database] = self.address();
        let options = MysqlStore::options().host(host).port(port.parse().unwrap()).user(user);
        options.password(password).database(database).table(&self.table)
    }

    /// Returns the options that lead to the table.
    pub(crate) fn postgres(&self) -> PostgresOptions {
        let [user, password, host, port, database] = self.address();
        let options = PostgresStore::options().server(host, port.parse().unwrap()).user(user);
        options.password(password).database(database).table(&self.table)
    }

    pub(crate) async fn open(&self, shared: &SharedTable) -> Result<SharedStore> {
        match self.kind {
            Kind::Mysql => mysql::open(&self.mysql(), shared).await,
            Kind::Postgres => postgres::open(&self.postgres(), shared).await,
        }
    }

    /// Makes the table that this library would.
    pub(crate) async fn create(&self, shared: &SharedTable) -> Result<()> {
        match self.kind {
            Kind::Mysql => mysql::create(&self.mysql(), shared).await,
            Kind::Postgres => postgres::create(&self.postgres(), shared).await,
        }
    }

    /// Starts a PHP application on the table.
    pub(crate) fn peer(&self) -> Peer {
        let [user, password, host, port, database] = self.address();
        let old = self.form == Form::Old;
        Peer::start(&json!({
            "driver": match self.kind { Kind::Mysql => "mysql", Kind::Postgres => "postgres" },
            "handler": {
                "host": host, "port": port.parse::<u16>().unwrap(), "user": user, "password": password,
                "database": database, "table": self.table, "old": old,
            },
            "layout": if old { "ci3" } else { "ci4" },
            "match_ip": (self.form == Form::WithIp).then_some(HOME),
            "time_to_update": 0,
        }))
    }

    pub(crate) fn key(&self, id: &str) -> StoreKey {
        self.key_at(id, HOME)
    }

    pub(crate) fn key_at(&self, id: &str, ip: &str) -> StoreKey {
        let ip: Option<IpAddr> = (self.form == Form::WithIp).then(|| ip.parse().unwrap());
        SharedName::new(id.as_bytes(), ip).unwrap().key()
    }

    /// Returns the `id` of the row of a session.
    pub(crate) fn row(&self, id: &str) -> String {
        if self.form == Form::Old { id.to_owned() } else { format!("ci_session:{id}") }
    }

    /// Puts a row there as CodeIgniter does, last used so many seconds ago.
    pub(crate) async fn put(&self, id: &str, payload: &[u8], seconds_ago: i64) {
        self.put_at(id, HOME, payload, seconds_ago).await;
    }

    pub(crate) async fn put_at(&self, id: &str, ip: &str, payload: &[u8], seconds_ago: i64) {
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        let (time, data) = match (self.kind, self.form) {
            (Kind::Mysql, Form::Old) => (format!("UNIX_TIMESTAMP()-{seconds_ago}"), format!("x'{hex}'")),
            (Kind::Mysql, _) => (format!("now() - INTERVAL {seconds_ago} second"), format!("x'{hex}'")),
            (Kind::Postgres, Form::Old) => (
                format!("extract(epoch FROM now())::bigint-{seconds_ago}"),
                format!("encode(decode('{hex}','hex'),'base64')"),
            ),
            (Kind::Postgres, _) => {
                (format!("now() - INTERVAL '{seconds_ago} second'"), format!("decode('{hex}','hex')"))
            }
        };
        let (t, row) = (self.quoted(), self.row(id));
        let columns = if self.kind == Kind::Mysql { "`timestamp`" } else { "\"timestamp\"" };
        self.query(&format!(
            "INSERT INTO {t} ({columns}, id, ip_address, data) VALUES ({time}, '{row}', '{ip}', {data})"
        ))
        .await;
    }

    /// Returns the payload in a row, as it lies there.
    pub(crate) async fn bytes(&self, id: &str) -> Option<Vec<u8>> {
        let what = match (self.kind, self.form) {
            (Kind::Mysql, _) => "HEX(data)",
            (Kind::Postgres, Form::Old) => "encode(decode(data,'base64'),'hex')",
            (Kind::Postgres, _) => "encode(data,'hex')",
        };
        let rows =
            self.query(&format!("SELECT {what} FROM {} WHERE id='{}'", self.quoted(), self.row(id))).await;
        let hex = rows.first()?.first()?.clone()?;
        Some((0..hex.len()).step_by(2).map(|n| u8::from_str_radix(&hex[n..n + 2], 16).unwrap()).collect())
    }

    /// Returns which connection holds the lock of a session.
    pub(crate) async fn holder(&self, id: &str) -> Option<String> {
        let ask = match (self.kind, self.form) {
            (Kind::Mysql, Form::WithIp) => format!("SELECT IS_USED_LOCK(MD5('{id}_{HOME}'))"),
            (Kind::Mysql, _) => format!("SELECT IS_USED_LOCK(MD5('{id}'))"),
            (Kind::Postgres, form) => format!(
                "SELECT pid FROM pg_locks WHERE locktype='advisory' AND granted AND {}",
                pg_lock(id, form)
            ),
        };
        self.query(&ask).await.first()?.first()?.clone()
    }

    /// Returns how many connections wait for the lock of a session.
    pub(crate) async fn waiting(&self, id: &str) -> usize {
        let ask = match self.kind {
            Kind::Mysql => {
                let [lock] = &self.query(&format!("SELECT MD5('{id}')")).await[0][..] else {
                    panic!("one column")
                };
                format!(
                    "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE='User lock' \
                     AND (INFO LIKE '%''{id}''%' OR INFO LIKE '%''{}''%')",
                    lock.as_ref().unwrap()
                )
            }
            Kind::Postgres => {
                format!(
                    "SELECT 1 FROM pg_locks WHERE locktype='advisory' AND NOT granted AND {}",
                    pg_lock(id, self.form)
                )
            }
        };
        self.query(&ask).await.len()
    }

    /// Returns when so many connections wait for the lock of a session.
    pub(crate) async fn until_waiting(&self, id: &str, connections: usize) {
        let queue = async { while self.waiting(id).await != connections {} };
        tokio::time::timeout(Duration::from_secs(20), queue).await.expect("they queue up");
    }

    /// Returns when nobody holds the lock of a session.
    pub(crate) async fn until_free(&self, id: &str) {
        let free = async { while self.holder(id).await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(20), free).await.expect("the lock is given back");
    }

    /// Ends a connection, as an operator or a restart does.
    pub(crate) async fn kill(&self, connection: &str) {
        match self.kind {
            Kind::Mysql => self.query(&format!("KILL {connection}")).await,
            Kind::Postgres => self.query(&format!("SELECT pg_terminate_backend({connection})")).await,
        };
    }

    /// Runs a statement on a connection of its own.
    pub(crate) async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self.kind {
            Kind::Mysql => {
                let mut conn = Conn::from_url(&self.dsn).await.unwrap();
                let rows: Vec<Row> = conn.query(sql).await.unwrap();
                conn.disconnect().await.unwrap();
                rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect()
            }
            Kind::Postgres => {
                let (client, connection) = tokio_postgres::connect(&self.dsn, NoTls).await.unwrap();
                tokio::spawn(connection);
                let messages = client.simple_query(sql).await.unwrap();
                let rows = messages.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                rows.map(|row| (0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()).collect()
            }
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?} is no text"),
    }
}

/// The condition of the lock in `pg_locks`.
fn pg_lock(id: &str, form: Form) -> String {
    let low = |text: &str| format!("(hashtext('{text}')::bigint & 4294967295)");
    match form {
        Form::WithIp => {
            format!("objsubid=2 AND classid::bigint={} AND objid::bigint={}", low(id), low(HOME))
        }
        Form::New | Form::Old => format!("objsubid=1 AND objid::bigint={}", low(id)),
    }
}

pub(crate) fn site(layout: Layout) -> Site {
    Site { layout, cookie_name: "ci_session".to_owned(), lifetime: LIFETIME, lock_wait: LOCK_WAIT }
}

pub(crate) fn lease() -> Lease {
    Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(30) }
}

/// A record with a payload, as of a time.
pub(crate) fn record(payload: impl Into<Bytes>, now: Timestamp) -> Record {
    let payload = payload.into();
    Record { version: Version::of_content(&payload), payload, expires_at: now + LIFETIME, user: None }
}

#[track_caller]
pub(crate) fn held(acquired: Acquired) -> Found {
    match acquired {
        Acquired::Held(found) => found,
        other => panic!("not held: {other:?}"),
    }
}

pub(crate) async fn load(store: &SharedStore, key: &StoreKey) -> Option<Found> {
    match store.load(key).await.unwrap() {
        Loaded::Found(found) => Some(found),
        Loaded::Missing => None,
    }
}

/// Takes the lease of a record, however long others have it.
pub(crate) async fn acquired(store: &SharedStore, key: &StoreKey, lease: Lease) -> Found {
    loop {
        match store.acquire(key, lease).await.unwrap() {
            Acquired::Held(found) => return found,
            Acquired::Busy => store.released(key, LOCK_WAIT).await,
            Acquired::Missing => panic!("the record is gone"),
        }
    }
}
