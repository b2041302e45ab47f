//! `mysql://user:password@host:port/database?…`, and the same with `mariadb://`.

use super::SessionsBuilder;
use super::parse::Dsn;
use crate::error::Result;
use crate::store::SharedStore;
use crate::store::mysql::{MysqlOptions, MysqlStore};

const GRAMMAR: &str = "mysql://user:password@host:port/database?table=NAME&create=true|false&socket=PATH\
     &connections=N&timeout=5s&poll_interval=20ms&multi_statements=true|false&tls=on|off&tls_ca=FILE; with a layout of CodeIgniter's also \
     row_ids=prefixed|bare&lock_connections=N";

const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];

pub(super) async fn mysql(dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    #[cfg(feature = "php")]
    if let Some(site) = builder.site() {
        use crate::store::php::mysql as shared;
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
fn options(mut dsn: Dsn<'_>, usual_table: Option<&str>) -> Result<(MysqlOptions, bool)> {
    let mut options = address(&mut dsn);
    if let Some(socket) = dsn.text("socket") {
        options = options.socket(socket);
    }
    if let Some(table) = dsn.text("table").or_else(|| usual_table.map(str::to_owned)) {
        options = options.table(table);
    }
    if let Some(connections) = dsn.parsed("connections", "a number from 1 to 1000") {
        options = options.connections(connections);
    }
    if let Some(timeout) = dsn.duration("timeout") {
        options = options.timeout(timeout);
    }
    if let Some(interval) = dsn.duration("poll_interval") {
        options = options.poll_interval(interval);
    }
    if let Some(multi_statements) = dsn.choice("multi_statements", &SWITCH) {
        options = options.multi_statements(multi_statements);
    }
    options = options.tls(dsn.take_tls());
    let create = dsn.choice("create", &SWITCH).unwrap_or(false);
    dsn.finish(GRAMMAR)?;
    Ok((options, create))
}

/// Takes user, password, host, port and database.
fn address(dsn: &mut Dsn<'_>) -> MysqlOptions {
    let address = dsn.take_address();
    let mut options = MysqlStore::options().database(address.name);
    if let Some(user) = address.user {
        options = options.user(user);
    }
    if let Some(password) = address.password {
        options = options.password(password);
    }
    match &address.hosts[..] {
        // Its absence is a fault that has been reported.
        [] => options,
        [host] => match host.port {
            Some(port) => options.host(&host.name).port(port),
            None => options.host(&host.name),
        },
        [_, _, ..] => {
            dsn.fault("there is one host: a name or a proxy that leads to the primary");
            options
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read() {
        let dsn = "mysql://app:hunter2@one:1/shop?table=t&create=true&socket=/run/s&connections=2&timeout=2s\
             &poll_interval=5ms&multi_statements=false&tls_ca=/etc/ca.pem";
        let (options, create) = options(Dsn::parse(dsn).expect("a driver"), None).expect("all is known");
        let shown = format!("{options:?}");
        for part in [
            r#"host: "one", port: 1, socket: Some("/run/s")"#,
            r#"user: Some("app"), database: Some("shop"), table: "t", connections: 2, timeout: 2s"#,
            r#"poll_interval: 5ms, multi_statements: false, tls: PrivateCa("/etc/ca.pem")"#,
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(create && !shown.contains("hunter2"));
    }
}
