//! CodeIgniter's table: looked at when it is opened, made only on request.

use std::sync::Arc;

use tokio_postgres::SimpleQueryRow;

use crate::error::Result;
use crate::policy::Layout;
use crate::store::php::SharedTable;
use crate::store::php::sql::fault;
use crate::store::postgres::PostgresOptions;
use crate::store::postgres::shared::{DRIVER, Names, at_open};

use super::engine::{Postgres, no_connection};
use super::pool::{Link, Pool};
use super::words::{Clock, Data, PostgresWords};

/// The longest id that CodeIgniter makes.
const LONGEST_ID: usize = 40;

/// Makes the pools. They connect when they are first used.
pub(super) fn connect(options: &PostgresOptions, table: &SharedTable) -> Result<(Postgres<()>, Names)> {
    table.check(DRIVER)?;
    let (names, own) = options.connections_of_own()?;
    let (connections, connect_timeout, _) = options.limits();
    let own = Arc::new(own);
    let calls = Pool::new(&own, connections, connect_timeout);
    let locks = Pool::new(&own, table.lock_connections, connect_timeout);
    Ok((Postgres { calls, locks, words: () }, names))
}

/// Looks at the table, and chooses the words for it.
///
/// # Errors
///
/// `InvalidConfig` if it is missing, closed to this user, or not one that CodeIgniter works with, with what is
/// wrong; or if a pooler has swallowed what the session was to begin with.
pub(super) async fn inspect(
    engine: &Postgres<()>,
    names: &Names,
    shared: &SharedTable,
) -> Result<PostgresWords> {
    let link = engine.calls.lend(no_connection).await?;
    refuse_pooler(&link).await?;
    let table = names.records();
    let columns = columns_of(&link, &table).await?;
    link.give_back();
    if columns.is_empty() {
        let message = format!(
            "there is no table {table}: run CodeIgniter's migration, or what `ddl` returns, or add `create=true`"
        );
        return Err(fault(DRIVER, message));
    }
    if columns.iter().any(|column| !column.is_open) {
        let message =
            format!("this user may not work with the table: GRANT SELECT, INSERT, UPDATE, DELETE ON {table}");
        return Err(fault(DRIVER, message));
    }
    let (clock, data, inet) = check_columns(&columns, shared).map_err(|faults| {
        fault(DRIVER, format!("the table {table} is not CodeIgniter's: {}", faults.join("; ")))
    })?;
    Ok(PostgresWords { table, clock, data, inet, match_ip: shared.match_ip })
}

/// A lock belongs to a session of the server. The connection was told something for its session: who keeps
/// that to itself gives the session to others, too.
async fn refuse_pooler(link: &Link) -> Result<()> {
    let told = rows(link, "SELECT current_setting('steadfast.session',true)").await?;
    if told.first().and_then(|row| row.get(0)) == Some("kept") {
        return Ok(());
    }
    Err(fault(
        DRIVER,
        "a pooler is in between, as PgBouncer, or `prepared` is off: CodeIgniter's advisory locks need connections to \
         PostgreSQL itself",
    ))
}

/// A column, as the server describes it.
struct Column {
    name: String,
    kind: String,
    /// How many characters it holds; none if that has no limit.
    longest: Option<usize>,
    /// Whether this user may read and write the table.
    is_open: bool,
}

async fn columns_of(link: &Link, table: &str) -> Result<Vec<Column>> {
    let may = ["SELECT", "INSERT", "UPDATE", "DELETE"]
        .map(|right| format!("has_table_privilege(attrelid,'{right}')"));
    let ask = format!(
        "SELECT attname,format_type(atttypid,NULL),\
         CASE WHEN atttypid='varchar'::regtype AND atttypmod>4 THEN atttypmod-4 END,({})::int \
         FROM pg_attribute WHERE attrelid=to_regclass('{table}') AND attnum>0 AND NOT attisdropped",
        may.join(" AND "),
    );
    let text = |row: &SimpleQueryRow, n| row.get(n).unwrap_or_default().to_owned();
    let column = |row: &SimpleQueryRow| Column {
        name: text(row, 0),
        kind: text(row, 1),
        longest: row.get(2).and_then(|longest| longest.parse().ok()),
        is_open: row.get(3) == Some("1"),
    };
    Ok(rows(link, &ask).await?.iter().map(column).collect())
}

async fn rows(link: &Link, ask: &str) -> Result<Vec<SimpleQueryRow>> {
    let messages = link.client().simple_query(ask).await.map_err(at_open)?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect())
}

/// Returns how time and payload are kept, and whether addresses are `inet`, or all that is wrong.
fn check_columns(columns: &[Column], shared: &SharedTable) -> Result<(Clock, Data, bool), Vec<String>> {
    let mut faults = Vec::new();
    let mut column = |name: &str| {
        let found = columns.iter().find(|column| column.name == name);
        if found.is_none() {
            faults.push(format!("a column \"{name}\" is missing"));
        }
        found
    };
    let (id, ip, timestamp, data) = (column("id"), column("ip_address"), column("timestamp"), column("data"));
    let least = LONGEST_ID + shared.site.cookie_name.len() + 1;
    if let Some(Column { longest: Some(longest), .. }) = id
        && *longest < least
    {
        faults.push(format!("\"id\" holds {longest} characters, and has to hold {least}"));
    }
    let clock = timestamp.map(|column| match column.kind.as_str() {
        "timestamp with time zone" => Ok(Clock::Timestamp),
        "bigint" | "integer" => Ok(Clock::Seconds),
        other => Err(format!("\"timestamp\" is {other}, and has to be timestamptz, or bigint of seconds")),
    });
    let data = data.map(|column| match column.kind.as_str() {
        "bytea" => Ok(Data::Bytes),
        "text" => Ok(Data::Base64),
        other => Err(format!("\"data\" is {other}, and has to be bytea, or text in base64")),
    });
    let inet = ip.map(|column| match column.kind.as_str() {
        "inet" => Ok(true),
        "character varying" | "text" => Ok(false),
        other => Err(format!("\"ip_address\" is {other}, and has to be inet or varchar")),
    });
    match (clock, data, inet) {
        (Some(Ok(clock)), Some(Ok(data)), Some(Ok(inet))) if faults.is_empty() => Ok((clock, data, inet)),
        (clock, data, inet) => {
            faults.extend(clock.and_then(Result::err));
            faults.extend(data.and_then(Result::err));
            faults.extend(inet.and_then(Result::err));
            Err(faults)
        }
    }
}

/// Returns the statements that make CodeIgniter's table, for an operator to run: those of CodeIgniter 4's migration, or
/// of CodeIgniter 3's manual, whose table counts seconds and holds base64.
///
/// # Errors
///
/// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings.
pub fn ddl(options: &PostgresOptions, table: &SharedTable) -> Result<String> {
    let (_, names) = connect(options, table)?;
    let key = if table.match_ip { "\"id\", \"ip_address\"" } else { "\"id\"" };
    let [ip, clock, data] = match table.site.layout {
        Layout::CodeIgniter3 => ["varchar(45)", "bigint NOT NULL DEFAULT 0", "text"],
        _ => ["inet", "timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP", "bytea"],
    };
    let text = format!(
        "CREATE TABLE IF NOT EXISTS {{records}} (\n    \
             \"id\" varchar(128) NOT NULL,\n    \
             \"ip_address\" {ip} NOT NULL,\n    \
             \"timestamp\" {clock},\n    \
             \"data\" {data} NOT NULL DEFAULT '',\n    \
             CONSTRAINT \"pk_{{table}}\" PRIMARY KEY ({key})\n\
         );\n\
         CREATE INDEX IF NOT EXISTS \"{{table}}_timestamp\" ON {{records}} (\"timestamp\")"
    );
    Ok(names.fill_in(&text))
}

/// Makes CodeIgniter's table unless it is there.
///
/// # Errors
///
/// As [`open`](super::open), but for what concerns the table.
///
/// # Cancel safety
///
/// All of it is made, or nothing.
pub async fn create(options: &PostgresOptions, table: &SharedTable) -> Result<()> {
    let ddl = ddl(options, table)?;
    let (engine, _) = connect(options, table)?;
    let link = engine.calls.lend(no_connection).await?;
    link.client().batch_execute(&ddl).await.map_err(at_open)?;
    link.give_back();
    Ok(())
}
