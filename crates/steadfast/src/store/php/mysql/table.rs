//! CodeIgniter's table: looked at when it is opened, made only on request.

use bytes::Bytes;

use crate::error::Result;
use crate::policy::Layout;
use crate::store::mysql::MysqlOptions;
use crate::store::mysql::shared::{DRIVER, When, check_version, explain, pool};
use crate::store::php::SharedTable;
use crate::store::php::sql::{Answer, Purpose, fault};

use super::engine::Mysql;
use super::words::{Clock, MysqlWords};

/// What a connection is told beside the usual: `TIMESTAMP`s are read and written without an hour that is there
/// twice.
const IN_UTC: &str = "SET SESSION time_zone='+00:00'";

/// More than the text of the largest batch has beside its payloads, in bytes.
const REST_OF_BATCH: usize = 4_096;

/// The longest id that CodeIgniter makes.
const LONGEST_ID: usize = 40;

/// Makes the pools. They connect when they are first used.
pub(super) fn connect(options: &MysqlOptions, table: &SharedTable) -> Result<Mysql<()>> {
    table.check(DRIVER)?;
    options.check()?;
    if options.pool.is_some() {
        return Err(fault(
            DRIVER,
            "a table that is shared with CodeIgniter needs connections of its own: leave `pool` out",
        ));
    }
    Ok(Mysql {
        calls: pool(options, options.connections, &[IN_UTC])?,
        locks: pool(options, table.lock_connections, &[IN_UTC])?,
        multi_statements: options.multi_statements,
        timeout: options.timeout,
        words: (),
    })
}

/// Looks at the table, and chooses the words for it.
///
/// # Errors
///
/// `InvalidConfig` if it is missing, or not one that CodeIgniter works with: with what is wrong.
pub(super) async fn inspect(
    engine: &Mysql<()>,
    options: &MysqlOptions,
    shared: &SharedTable,
) -> Result<MysqlWords> {
    let answers = look(engine, &options.table).await?;
    let [server, kind, columns] = &answers[..] else {
        return Err(fault(DRIVER, "the server did not answer about the table"));
    };
    let server = server.rows.first().map(|row| texts(row)).unwrap_or_default();
    let [version, longest_packet] = &server[..] else {
        return Err(fault(DRIVER, "the server does not say its version"));
    };
    check_version(version)?;
    let Some(kind) = kind.rows.first().map(|row| texts(row)) else {
        return Err(fault(
            DRIVER,
            format!(
                "there is no table `{}`: run CodeIgniter's migration, or what `ddl` returns, or add `create=true`",
                options.table
            ),
        ));
    };
    if !kind[0].eq_ignore_ascii_case("InnoDB") {
        return Err(fault(
            DRIVER,
            "the table's engine must be InnoDB, which has transactions: ALTER TABLE … ENGINE=InnoDB",
        ));
    }
    let columns: Vec<_> = columns.rows.iter().map(|row| Column::new(texts(row))).collect();
    let (clock, longest_data) = check_columns(&columns, shared).map_err(|faults| {
        fault(DRIVER, format!("the table `{}` is not CodeIgniter's: {}", options.table, faults.join("; ")))
    })?;
    // In hexadecimal every byte is two letters, and a replacement has two payloads.
    let longest_in_packet = longest_packet.parse::<usize>().unwrap_or(0).saturating_sub(REST_OF_BATCH) / 4;
    Ok(MysqlWords {
        table: format!("`{}`", options.table),
        clock,
        longest_payload: longest_data.min(longest_in_packet),
        match_ip: shared.match_ip,
    })
}

async fn look(engine: &Mysql<()>, table: &str) -> Result<Vec<Answer>> {
    let of_table = format!("TABLE_SCHEMA=DATABASE() AND TABLE_NAME='{table}'");
    let ask = vec![
        "SELECT VERSION(),@@max_allowed_packet".to_owned(),
        format!("SELECT ENGINE FROM information_schema.TABLES WHERE {of_table} AND ENGINE IS NOT NULL"),
        format!(
            "SELECT COLUMN_NAME,DATA_TYPE,COLUMN_TYPE,COALESCE(CHARACTER_MAXIMUM_LENGTH,0) \
             FROM information_schema.COLUMNS WHERE {of_table}"
        ),
    ];
    let mut link = engine.connection(Purpose::Call, When::AtStart).await?;
    let answers = engine.send(&mut link, ask).await.map_err(|fault| explain(fault, When::AtStart))?;
    link.give_back();
    Ok(answers)
}

/// A column, as the server describes it.
struct Column {
    name: String,
    kind: String,
    /// Its kind with all that belongs to it: `int(10) unsigned`.
    described: String,
    longest: usize,
}

impl Column {
    fn new(texts: Vec<String>) -> Self {
        let mut texts = texts.into_iter().map(|text| text.to_ascii_lowercase());
        let mut next = || texts.next().unwrap_or_default();
        Self { name: next(), kind: next(), described: next(), longest: next().parse().unwrap_or(0) }
    }
}

/// Returns how the time is kept, and how much data fits, or all that is wrong.
fn check_columns(columns: &[Column], shared: &SharedTable) -> Result<(Clock, usize), Vec<String>> {
    let mut faults = Vec::new();
    let mut column = |name: &str| {
        let found = columns.iter().find(|column| column.name == name);
        if found.is_none() {
            faults.push(format!("a column `{name}` is missing"));
        }
        found
    };
    let (id, ip, timestamp, data) = (column("id"), column("ip_address"), column("timestamp"), column("data"));
    let longest_name = LONGEST_ID + shared.site.cookie_name.len() + 1;
    for (column, least) in [(id, longest_name), (ip, if shared.match_ip { 45 } else { 15 })] {
        let Some(Column { name, described, longest, .. }) = column else { continue };
        if *longest < least {
            faults.push(format!("`{name}` is {described}, and has to hold {least} characters"));
        }
    }
    let clock = timestamp.and_then(clock_of);
    if let (Some(Column { described, .. }), None) = (timestamp, clock) {
        faults.push(format!("`timestamp` is {described}, and has to be TIMESTAMP, or an integer of seconds"));
    }
    let longest_data =
        data.filter(|data| data.kind.ends_with("blob") || data.kind == "varbinary").map(|data| data.longest);
    if let (Some(Column { described, .. }), None) = (data, longest_data) {
        faults.push(format!("`data` is {described}, and has to hold bytes: make it MEDIUMBLOB"));
    }
    match (clock, longest_data) {
        (Some(clock), Some(longest)) if faults.is_empty() => Ok((clock, longest)),
        _ => Err(faults),
    }
}

fn clock_of(column: &Column) -> Option<Clock> {
    let is_unsigned = column.described.contains("unsigned");
    match column.kind.as_str() {
        "timestamp" => Some(Clock::Timestamp),
        "int" if is_unsigned => Some(Clock::Seconds(u32::MAX.into())),
        "int" => Some(Clock::Seconds(i32::MAX.unsigned_abs().into())),
        // The end of the year 9999.
        "bigint" => Some(Clock::Seconds(253_402_300_799)),
        _ => None,
    }
}

fn texts(row: &[Option<Bytes>]) -> Vec<String> {
    let text = |cell: &Option<Bytes>| {
        cell.as_ref().map_or_else(String::new, |cell| String::from_utf8_lossy(cell).into_owned())
    };
    row.iter().map(text).collect()
}

/// Returns the statement that makes CodeIgniter's table, for an operator to run.
///
/// It is the table of CodeIgniter 4's migration, or that of CodeIgniter 3's manual, which counts seconds; but with a
/// `MEDIUMBLOB`: a `BLOB` holds 65,535 bytes, and CodeIgniter lets the server cut what is longer.
///
/// # Errors
///
/// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all faults of the settings.
pub fn ddl(options: &MysqlOptions, table: &SharedTable) -> Result<String> {
    table.check(DRIVER)?;
    options.check()?;
    let key = if table.match_ip { "`id`, `ip_address`" } else { "`id`" };
    let clock = match table.site.layout {
        Layout::CodeIgniter3 => "int(10) unsigned NOT NULL DEFAULT 0",
        _ => "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
    };
    Ok(format!(
        "CREATE TABLE IF NOT EXISTS `{}` (\n    \
             `id` varchar(128) NOT NULL,\n    \
             `ip_address` varchar(45) NOT NULL,\n    \
             `timestamp` {clock},\n    \
             `data` mediumblob NOT NULL,\n    \
             PRIMARY KEY ({key}),\n    \
             KEY `timestamp` (`timestamp`)\n\
         ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        options.table
    ))
}

/// Makes CodeIgniter's table unless it is there.
///
/// # Errors
///
/// As [`open`](super::open), but for what concerns the table.
///
/// # Cancel safety
///
/// The table is made or it is not.
pub async fn create(options: &MysqlOptions, table: &SharedTable) -> Result<()> {
    let (engine, ddl) = (connect(options, table)?, ddl(options, table)?);
    let mut link = engine.connection(Purpose::Call, When::AtStart).await?;
    engine.send(&mut link, vec![ddl]).await.map_err(|fault| explain(fault, When::AtStart))?;
    link.give_back();
    Ok(())
}
