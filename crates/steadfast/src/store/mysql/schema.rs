//! The tables: made when somebody asks for it, recognised when the store is opened.

use mysql_async::Value;

use crate::error::{ErrorKind, Result};

use super::columns::{bytes, number, values};
use super::error::{Fault, config_fault, failed};
use super::lender::Lender;
use super::link::Link;

/// The statements that make the tables, with a place for the name.
const SCHEMA: &str = include_str!("schema.sql");

/// What the comment of a table says before the number of its schema.
const COMMENT: &str = "steadfast schema ";

/// The schema that this version writes.
const CURRENT: u64 = 1;

/// The oldest servers that this driver is made for: the oldest that still get security updates.
const OLDEST_MYSQL: (u64, u64) = (8, 0);
const OLDEST_MARIADB: (u64, u64) = (10, 5);

/// What a connection is told before its first statement: to refuse what does not fit, to keep no more locks
/// than it needs, and never to wait long for one.
///
/// Connections that this driver makes are told so by themselves. For a pool of the application's it is a text
/// for [`OptsBuilder::setup`](mysql_async::OptsBuilder::setup).
pub const SESSION: &str = "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',autocommit=1,\
    innodb_lock_wait_timeout=1,lock_wait_timeout=2";

/// The other thing that it is told. In a statement of its own, because the two servers have no variable in
/// common for it.
pub(super) const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// What the driver asks once, when it is opened.
const LOOK: &str = "SELECT VERSION(),@@max_allowed_packet,@@autocommit,DATABASE() IS NOT NULL";
const LOOK_AT_TABLE: &str = "SELECT ENGINE,TABLE_COMMENT FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?";

/// What the server said about itself.
pub(super) struct Server {
    /// Longest packet that it takes, in bytes.
    pub(super) max_allowed_packet: usize,
}

/// Returns the statements that make the tables of a name.
pub(super) fn schema(table: &str) -> String {
    SCHEMA.replace("{table}", table)
}

/// Makes the tables unless they are there.
pub(super) async fn create(lender: &Lender, table: &str) -> Result<()> {
    let schema = schema(table);
    let statements: Vec<_> = schema.split_terminator(";\n").collect();
    lender
        .run(|mut link| {
            let statements = &statements;
            async move { (send_all(&mut link, statements).await, link) }
        })
        .await
}

async fn send_all(link: &mut Link, statements: &[&str]) -> Result<(), Fault> {
    for statement in statements {
        link.send((*statement).to_owned()).await?;
    }
    Ok(())
}

/// Looks whether server and table are what this driver is made for, without changing anything.
///
/// # Errors
///
/// `NewerFormat` for a table of a newer version of this library, `InvalidConfig` for a table that is missing
/// or not ours, a server that is too old, or a connection that is set up in another way.
pub(super) async fn inspect(lender: &Lender, table: &str) -> Result<Server> {
    let look = lender.run(|mut link| async move { (look(&mut link, table).await, link) });
    let Look { server, table: about_table, found_rows } = look.await?;
    let [version, max_allowed_packet, autocommit, has_database] = server;
    check_version(&text(version))?;
    if !found_rows {
        return Err(config_fault("the pool's connections must be made with `client_found_rows(true)`"));
    }
    if !is_set(&autocommit) {
        return Err(config_fault(
            "the pool's connections must commit by themselves: add `mysql::SESSION` to the pool's `setup`",
        ));
    }
    if !is_set(&has_database) {
        return Err(config_fault("name a database: mysql://user:password@host/database"));
    }
    check_table(about_table)?;
    let max_allowed_packet = number(&max_allowed_packet).unwrap_or(0);
    Ok(Server { max_allowed_packet: usize::try_from(max_allowed_packet).unwrap_or(usize::MAX) })
}

/// What was found, column by column.
struct Look {
    server: [Value; 4],
    table: Option<[Value; 2]>,
    found_rows: bool,
}

async fn look(link: &mut Link, table: &str) -> Result<Look, Fault> {
    let server = values(link.first(LOOK, Vec::new()).await?.ok_or(Fault::Column)?)?;
    let table = link.first(LOOK_AT_TABLE, vec![bytes(table.as_bytes())]).await?;
    Ok(Look {
        server,
        table: table.map(values).transpose()?,
        found_rows: link.conn().opts().client_found_rows(),
    })
}

fn check_table(about: Option<[Value; 2]>) -> Result<()> {
    let Some([engine, comment]) = about else {
        return Err(config_fault(
            "the table is missing: run `MysqlOptions::create` once, or what `MysqlOptions::ddl` prints",
        ));
    };
    let schema = text(comment).strip_prefix(COMMENT).and_then(|number| number.parse::<u64>().ok());
    match schema {
        Some(CURRENT) => {}
        Some(newer) if newer > CURRENT => {
            return Err(failed(
                ErrorKind::NewerFormat,
                "the table was made by a newer version of Steadfast and is left as it is: \
                 upgrade this node, or give it a table of its own",
            ));
        }
        _ => {
            return Err(config_fault(
                "the table is another application's and is left as it is: give Steadfast a table of its own \
                 by `table`",
            ));
        }
    }
    if !text(engine).eq_ignore_ascii_case("InnoDB") {
        return Err(config_fault("the table's engine must be InnoDB: others have no transactions"));
    }
    Ok(())
}

pub(in crate::store) fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(config_fault("the server does not say its version as MySQL and MariaDB do"));
    };
    let mariadb = version.to_ascii_lowercase().contains("mariadb");
    if (major, minor) < if mariadb { OLDEST_MARIADB } else { OLDEST_MYSQL } {
        return Err(config_fault(
            "the server is too old: MySQL 8.0 or MariaDB 10.5 is the oldest that will do",
        ));
    }
    Ok(())
}

fn text(value: Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}

fn is_set(value: &Value) -> bool {
    number(value).is_ok_and(|number| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_get_no_updates_any_more_are_refused() {
        for good in ["8.0.36", "8.4.0-commercial", "9.1.0", "10.11.6-MariaDB-0+deb12u1", "5.5.5-10.11.2"] {
            let good = good.strip_prefix("5.5.5-").unwrap_or(good);
            check_version(good).expect(good);
        }
        for bad in ["5.7.44-log", "10.4.32-MariaDB", "", "PostgreSQL"] {
            assert_eq!(check_version(bad).expect_err(bad).kind(), ErrorKind::InvalidConfig);
        }
    }

    #[test]
    fn tables_are_told_apart_by_their_comment() {
        let about = |engine: &str, comment: &str| Some([bytes(engine.as_bytes()), bytes(comment.as_bytes())]);
        check_table(about("InnoDB", "steadfast schema 1")).expect("it is ours");
        for (about, kind) in [
            (None, ErrorKind::InvalidConfig),
            (about("InnoDB", ""), ErrorKind::InvalidConfig),
            (about("InnoDB", "users"), ErrorKind::InvalidConfig),
            (about("MyISAM", "steadfast schema 1"), ErrorKind::InvalidConfig),
            (about("InnoDB", "steadfast schema 2"), ErrorKind::NewerFormat),
        ] {
            assert_eq!(check_table(about).expect_err("refused").kind(), kind);
        }
    }

    #[test]
    fn both_tables_are_made_under_the_name() {
        let schema = schema("s");
        assert!(schema.contains("EXISTS `s` (") && schema.contains("EXISTS `s_set_aside` ("));
        assert!(!schema.contains("{table}"));
    }
}
