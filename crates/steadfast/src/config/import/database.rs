//! CodeIgniter's database groups, as connection strings of ours.

use std::collections::HashMap;

use super::query::encode;
use super::redis::Found;

/// What was read about the groups of `Config\Database`, of `database.php` and of a `.env`.
#[derive(Default)]
pub(super) struct Databases {
    /// The group that the sessions name.
    pub(super) group: Option<String>,
    /// The group that everything else uses.
    pub(super) default_group: Option<String>,
    /// By group and key, both in lower case; none where it is code.
    values: HashMap<(String, String), Option<String>>,
}

impl Databases {
    /// Notes a value, unless there is one.
    pub(super) fn note(&mut self, group: &str, key: &str, value: Option<String>) {
        let place = (group.to_ascii_lowercase(), key.to_ascii_lowercase());
        self.values.entry(place).or_insert(value);
    }

    /// Makes the connection string of a table in the group of the sessions; else says what is missing.
    pub(super) fn dsn(&self, handler: &str, table: &str) -> Result<Found, String> {
        let group = self.group.as_ref().or(self.default_group.as_ref()).map_or("default", String::as_str);
        let group = group.to_ascii_lowercase();
        let get = |key: &str| match self.values.get(&(group.clone(), key.to_owned())) {
            Some(None) => Err(format!(
                "is a table of the database group `{group}`, whose `{key}` is no literal; set `store`"
            )),
            Some(Some(text)) => Ok(text.as_str()),
            None => Ok(""),
        };
        let scheme = match (handler, get("dbdriver")?.to_ascii_lowercase().as_str()) {
            ("MySQLiHandler", _) | (_, "mysqli") => "mysql",
            ("PostgreHandler", _) | (_, "postgre") => "postgres",
            _ => return Err(missing(&group)),
        };
        if !get("dsn")?.is_empty() {
            return Err(format!(
                "is a table of the database group `{group}`, which has a `DSN`; set `store`"
            ));
        }
        let (host, database) = (get("hostname")?, get("database")?);
        if table.is_empty() || database.is_empty() {
            return Err(missing(&group));
        }
        let mut notes = Vec::new();
        if scheme == "mysql" && host == "localhost" {
            notes.push("is in a database on `localhost`, which PHP reaches by a Unix socket and this by TCP");
        }
        if !["", "false", "0"].contains(&get("encrypt")?) {
            notes.push(
                "is in a database with `encrypt`, which is not taken over; add `tls` or `tls_ca` to `store`",
            );
        }
        let prefix = get("dbprefix")?;
        if !prefix.is_empty() {
            notes.push("is taken with the `DBPrefix` of its group before it, as the query builder does");
        }
        let login = match (get("username")?, get("password")?) {
            ("", _) => String::new(),
            (user, "") => format!("{}@", encode(user)),
            (user, password) => format!("{}:{}@", encode(user), encode(password)),
        };
        let port = match get("port")? {
            "" | "0" => String::new(),
            port => format!(":{port}"),
        };
        let schema = match get("schema")? {
            schema if scheme == "postgres" && !["", "public"].contains(&schema) => {
                format!("&schema={}", encode(schema))
            }
            _ => String::new(),
        };
        let (address, socket) = match host.starts_with('/') {
            true => ("localhost", format!("&socket={}", encode(host))),
            false if host.is_empty() => ("localhost", String::new()),
            false => (host, String::new()),
        };
        let table = encode(&format!("{prefix}{table}"));
        let dsn =
            format!("{scheme}://{login}{address}{port}/{}?table={table}{schema}{socket}", encode(database));
        Ok(Found { dsn, notes })
    }
}

fn missing(group: &str) -> String {
    format!(
        "is a table of the database group `{group}`, which was not found, or not in full; set `store`, as \
         `mysql://USER:PASSWORD@HOST/DATABASE?table=ci_sessions` or `postgres://…`"
    )
}
