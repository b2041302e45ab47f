//! SQLite: one connection with prepared statements; each change is a transaction of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{CachedStatement, Connection};

use super::{Key, Raw};
use crate::Result;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS ceiling \
    (key BLOB PRIMARY KEY, blob BLOB NOT NULL, holder INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID";

pub(crate) struct Sqlite(Mutex<Connection>);

impl Sqlite {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, sql: &str, params: impl rusqlite::Params) -> Result<()> {
        let connection = self.connection();
        if prepared(&connection, sql)?.execute(params)? == 1 { Ok(()) } else { Err("no such blob".into()) }
    }
}

fn prepared<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>> {
    Ok(connection.prepare_cached(sql)?)
}

impl Raw for Sqlite {
    async fn connect(dsn: &str) -> Result<Self> {
        let connection = Connection::open(dsn.strip_prefix("sqlite:").ok_or("no file")?)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute(TABLE, [])?;
        Ok(Self(Mutex::new(connection)))
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.change("INSERT INTO ceiling (key, blob) VALUES (?1, ?2)", (key, blob))
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        let connection = self.connection();
        let mut select = prepared(&connection, "SELECT blob FROM ceiling WHERE key = ?1")?;
        Ok(select.query_row([key], |row| row.get(0))?)
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.change("UPDATE ceiling SET blob = ?2 WHERE key = ?1", (key, blob))
    }

    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let connection = self.connection();
        let sql = "UPDATE ceiling SET holder = ?2 WHERE key = ?1 AND holder = 0 RETURNING blob";
        Ok(prepared(&connection, sql)?.query_row((key, token.cast_signed()), |row| row.get(0))?)
    }

    async fn release(&self, key: Key, token: u64, blob: Vec<u8>) -> Result<()> {
        let sql = "UPDATE ceiling SET blob = ?3, holder = 0 WHERE key = ?1 AND holder = ?2";
        self.change(sql, (key, token.cast_signed(), blob))
    }
}
