//! `mysql://user:password@host:port/database?table=…`, and the same with `mariadb://`.

use super::SessionsBuilder;
use super::parse::Dsn;
use crate::error::Result;
use crate::store::SharedStore;
use crate::store::mysql::{MysqlOptions, MysqlStore};

const GRAMMAR: &str = "mysql://user:password@host:port/database?table=…&socket=…&connections=…&timeout=…\
    &poll_interval=…&statements=multi|single&tls=off|on&tls_ca=…&tls_cert=…&tls_key=…";

pub(super) async fn mysql(mut dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    let options = options(&mut dsn);
    dsn.finish(GRAMMAR)?;
    Ok(builder.shared(options.connect().await?))
}

fn options(dsn: &mut Dsn<'_>) -> MysqlOptions {
    let mut options = address(dsn);
    if let Some(socket) = dsn.text("socket") {
        options = options.socket(socket);
    }
    if let Some(table) = dsn.text("table") {
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
    match dsn.choice("statements", &[("multi", true), ("single", false)]) {
        Some(true) => options = options.multi_statements(),
        Some(false) => options = options.single_statements(),
        None => {}
    }
    tls(dsn, options)
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
        [] => {}
        [host] => {
            options = options.host(&host.name);
            if let Some(port) = host.port {
                options = options.port(port);
            }
        }
        [_, _, ..] => dsn.fault("there is one host: a name or a proxy that leads to the primary"),
    }
    options
}

#[cfg(feature = "tls")]
fn tls(dsn: &mut Dsn<'_>, mut options: MysqlOptions) -> MysqlOptions {
    let off = match dsn.choice("tls", &[("on", true), ("off", false)]) {
        Some(true) => {
            options = options.tls();
            false
        }
        Some(false) => true,
        None => false,
    };
    let (ca, certificate, key) = (dsn.text("tls_ca"), dsn.text("tls_cert"), dsn.text("tls_key"));
    if off && (ca.is_some() || certificate.is_some() || key.is_some()) {
        dsn.fault("`tls` is off, and other options say with which certificates it is on");
    }
    if let Some(ca) = ca {
        options = options.tls_ca(ca);
    }
    match (certificate, key) {
        (None, None) => {}
        (Some(certificate), Some(key)) => options = options.tls_identity(certificate, key),
        _ => dsn.fault("`tls_cert` and `tls_key` belong together"),
    }
    options
}

/// Without the feature only `tls=off` is understood: a connection that should be encrypted never is not.
#[cfg(not(feature = "tls"))]
fn tls(dsn: &mut Dsn<'_>, options: MysqlOptions) -> MysqlOptions {
    if dsn.option("tls").is_some_and(|tls| tls != "off") {
        dsn.fault("`tls` needs the feature of its name, which this build does not have");
    }
    options
}
