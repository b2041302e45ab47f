//! From settings to a pool, and to a store whose server and table have been looked at.

use std::time::Duration;

use mysql_async::{Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, SslOpts};

use crate::error::Result;
use crate::store::Tls;

use super::MysqlStore;
use super::config::MysqlOptions;
#[cfg(feature = "tls")]
use super::error::DRIVER;
use super::error::{When, config_fault};
use super::lender::Lender;
use super::schema::{ISOLATION, SESSION, inspect};

/// Longest packet that the client takes, in bytes: as much as the protocol can. What the server takes is
/// asked once and checked before a statement is sent.
const LONGEST_PACKET: usize = 1 << 30;

/// After so many seconds without work a connection is replaced before its next use. Servers end them after
/// eight hours, firewalls sooner.
const STALE_AFTER: usize = 600;

/// After this time without work a connection is closed, but for one.
const IDLE: Duration = Duration::from_secs(60);

/// How long the network may be silent before the operating system asks whether the server is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Statements kept prepared per connection: more than this driver has.
const STATEMENTS: usize = 64;

/// Takes the pool that was given, or makes one. It connects when it is first used.
pub(super) fn lender(options: &MysqlOptions) -> Result<Lender> {
    let pool = match &options.pool {
        Some(pool) => pool.clone(),
        None => pool(options, options.connections, &[])?,
    };
    Ok(Lender::new(pool, options.timeout, When::AtStart))
}

/// Opens a store.
pub(super) async fn store(options: &MysqlOptions) -> Result<MysqlStore> {
    let lender = lender(options)?;
    let server = inspect(&lender, &options.table).await?;
    Ok(MysqlStore::new(lender.running(), options, &server))
}

/// Makes a pool of the store's own, of so many connections, each of which is told something more at first.
pub(in crate::store) fn pool(options: &MysqlOptions, connections: usize, also: &[&str]) -> Result<Pool> {
    Ok(Pool::new(connection(options, connections, also)?))
}

fn connection(options: &MysqlOptions, connections: usize, also: &[&str]) -> Result<Opts> {
    let constraints =
        PoolConstraints::new(1, connections).ok_or_else(|| config_fault("`connections` is at least 1"))?;
    let pool = PoolOpts::new()
        .with_constraints(constraints)
        .with_inactive_connection_ttl(IDLE)
        // A reset would cost a round trip for each use, and every prepared statement.
        .with_reset_connection(false);
    let socket = match &options.socket {
        None => None,
        Some(path) => {
            Some(path.to_str().ok_or_else(|| config_fault("`socket` is not UTF-8 text"))?.to_owned())
        }
    };
    // The client library sends them from the last to the first.
    let said = also.iter().copied().rev().chain([ISOLATION, SESSION]);
    let setup = if options.multi_statements {
        vec![said.rev().collect::<Vec<_>>().join(";")]
    } else {
        said.map(str::to_owned).collect()
    };
    let builder = OptsBuilder::default()
        .ip_or_hostname(&options.host)
        .tcp_port(options.port)
        .socket(socket)
        .user(options.user.as_deref())
        .pass(options.password.as_deref())
        .db_name(options.database.as_deref())
        .setup(setup)
        .pool_opts(pool)
        .stmt_cache_size(STATEMENTS)
        .tcp_keepalive(Some(KEEP_ALIVE))
        // An update that finds a row and changes nothing has found it.
        .client_found_rows(true)
        // These three spare the questions that the library would ask on each new connection.
        .prefer_socket(false)
        .max_allowed_packet(Some(LONGEST_PACKET))
        .wait_timeout(Some(STALE_AFTER));
    Ok(builder.ssl_opts(tls(&options.tls)?).into())
}

/// Returns what the client library has to know about TLS. What is wrong with a file is told here, at start.
#[cfg(feature = "tls")]
fn tls(tls: &Tls) -> Result<Option<SslOpts>> {
    use rustls::crypto::{CryptoProvider, ring};

    tls.client_config().map_err(|error| error.in_driver(DRIVER))?;
    // The client library takes what the process has chosen, and panics if nobody has.
    if CryptoProvider::get_default().is_none() {
        // An error says that somebody else was faster.
        let _ = ring::default_provider().install_default();
    }
    Ok(match tls {
        Tls::Off => None,
        Tls::PublicCa => Some(SslOpts::default()),
        Tls::PrivateCa(file) => Some(
            SslOpts::default().with_disable_built_in_roots(true).with_root_certs(vec![file.clone().into()]),
        ),
    })
}

/// A connection that should be encrypted is never made without.
#[cfg(not(feature = "tls"))]
fn tls(tls: &Tls) -> Result<Option<SslOpts>> {
    match tls {
        Tls::Off => Ok(None),
        Tls::PublicCa | Tls::PrivateCa(_) => {
            Err(config_fault("TLS needs the feature `tls`, which this build does not have"))
        }
    }
}
