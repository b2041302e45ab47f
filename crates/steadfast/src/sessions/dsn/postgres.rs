//! `postgres://user:password@host:port/database?…`

use super::parse::Dsn;
use crate::error::Result;
use crate::sessions::SessionsBuilder;
use crate::store::SharedStore;
use crate::store::postgres::{DEFAULT_PORT, PostgresOptions, PostgresStore};

const GRAMMAR: &str = "postgres://user:password@host:port,host:port/database?schema=NAME&table=NAME\
     &create=true|false&connections=N&prepared=true|false&listen=true|false&timeout=5s&connect_timeout=3s\
     &socket=DIRECTORY&tls=on|off&tls_ca=FILE; with a layout of CodeIgniter's also \
     row_ids=prefixed|bare&lock_connections=N";

const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];

pub(super) async fn postgres(dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    #[cfg(feature = "php")]
    if let Some(site) = builder.site() {
        use crate::store::php::postgres as shared;
        let mut dsn = dsn;
        let table = super::php::table(&mut dsn, builder, site);
        let (options, create) = options(dsn, Some(super::php::TABLE))?;
        if create {
            shared::create(&options, &table).await?;
        }
        return Ok(builder.shared(shared::open(&options, &table).await?));
    }
    let (options, create) = options(dsn, None)?;
    if create {
        options.create().await?;
    }
    Ok(builder.shared(options.open().await?))
}

/// Returns the settings, and whether the tables are to be created.
fn options(mut dsn: Dsn<'_>, usual_table: Option<&str>) -> Result<(PostgresOptions, bool)> {
    let mut options = PostgresStore::options();
    let address = dsn.take_address();
    for host in address.hosts {
        options = options.server(host.name, host.port.unwrap_or(DEFAULT_PORT));
    }
    if let Some(user) = address.user {
        options = options.user(user);
    }
    if let Some(password) = address.password {
        options = options.password(password);
    }
    if !address.name.is_empty() {
        options = options.database(address.name);
    }
    if let Some(socket) = dsn.text("socket") {
        options = options.socket(socket);
    }
    if let Some(schema) = dsn.text("schema") {
        options = options.schema(schema);
    }
    if let Some(table) = dsn.text("table").or_else(|| usual_table.map(str::to_owned)) {
        options = options.table(table);
    }
    if let Some(connections) = dsn.parsed("connections", "a number from 1 to 64") {
        options = options.connections(connections);
    }
    if let Some(prepared) = dsn.choice("prepared", &SWITCH) {
        options = options.prepared(prepared);
    }
    if let Some(listen) = dsn.choice("listen", &SWITCH) {
        options = options.listen(listen);
    }
    if let Some(timeout) = dsn.duration("timeout") {
        options = options.timeout(timeout);
    }
    if let Some(timeout) = dsn.duration("connect_timeout") {
        options = options.connect_timeout(timeout);
    }
    options = options.tls(dsn.take_tls());
    let create = dsn.choice("create", &SWITCH).unwrap_or(false);
    dsn.finish(GRAMMAR)?;
    Ok((options, create))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read() {
        let dsn = "postgres://app:hunter2@one:1,two/shop?schema=s&table=t&create=true&connections=2&prepared=false\
             &listen=false&timeout=2s&connect_timeout=1s&tls_ca=/etc/ca.pem";
        let (options, create) = options(Dsn::parse(dsn).expect("a driver"), None).expect("all is known");
        let shown = format!("{options:?}");
        for part in [
            r#"[("one", 1), ("two", 5432)]"#,
            r#"user: Some("app")"#,
            r#"database: Some("shop")"#,
            r#"schema: "s", table: "t", connections: 2, prepared: false, listen: false"#,
            r#"timeout: 2s, connect_timeout: 1s, tls: PrivateCa("/etc/ca.pem")"#,
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(create && !shown.contains("hunter2"));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let dsn = "postgres://app:hunter2@/shop?prepared=1&connections=x&sslmode=require";
        let error = options(Dsn::parse(dsn).expect("a driver"), None).expect_err("refused").to_string();
        for part in ["a host is missing", "`prepared` is one of", "`connections` is", "no option `sslmode`"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(!error.contains("hunter2"));
    }
}
