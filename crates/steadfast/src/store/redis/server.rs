//! How a server is reached: address, login, sockets, TLS, as the client library wants to be told.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo,
};

use super::error::Fault;
use super::options::RedisOptions;
use crate::store::Tls;

/// A connection that is silent for so long is asked for a sign of life …
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// … and one that doesn't take what was sent for so long is given up. Longer than a lost packet takes, shorter
/// than the quarter of an hour of the operating system.
const UNSENT: Duration = Duration::from_secs(5);

/// Commands that may wait for their turn on a connection. The library's 50 would slow a burst down.
const QUEUE: usize = 1_024;

/// Who asks, and by which means.
pub(super) struct Login<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) database: u32,
}

/// Describes a server to the client library.
pub(super) fn describe(
    options: &RedisOptions,
    address: ConnectionAddr,
    login: &Login<'_>,
) -> Result<ConnectionInfo, Fault> {
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name()
        .set_db(login.database.into());
    if let Some(user) = login.user {
        redis = redis.set_username(user);
    }
    if let Some(password) = login.password {
        redis = redis.set_password(password);
    }
    let info = address.into_connection_info().map_err(|error| Fault::of(&error))?;
    let info = info.set_tcp_settings(sockets()).set_redis_settings(redis);
    with_authorities(options, info)
}

/// Returns the address of a host, with TLS or without.
pub(super) fn address(options: &RedisOptions, host: &str, port: u16) -> ConnectionAddr {
    if is_encrypted(options) {
        return ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None };
    }
    ConnectionAddr::Tcp(host.to_owned(), port)
}

pub(super) fn sockets() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(UNSENT);
    settings
}

/// Returns the settings of a connection whose answers may take so long.
pub(super) fn config(connect_timeout: Duration, response_timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_response_timeout(Some(response_timeout))
        .set_pipeline_buffer_size(QUEUE)
}

pub(super) fn client(info: ConnectionInfo) -> Result<Client, Fault> {
    Client::open(info).map_err(|error| Fault::of(&error))
}

pub(super) fn is_encrypted(options: &RedisOptions) -> bool {
    options.tls != Tls::Off
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS a file is read")]
fn with_authorities(_options: &RedisOptions, info: ConnectionInfo) -> Result<ConnectionInfo, Fault> {
    Ok(info)
}

#[cfg(feature = "tls")]
fn with_authorities(options: &RedisOptions, info: ConnectionInfo) -> Result<ConnectionInfo, Fault> {
    let Some(certificates) = certificates(options)? else { return Ok(info) };
    let client = Client::build_with_tls(info, certificates).map_err(|_| Fault::Tls)?;
    Ok(client.get_connection_info().clone())
}

/// Reads the certificates of the authorities; `None` for those that the machine trusts.
///
/// The client library asks for the process's provider of cryptography and panics if there is none.
#[cfg(feature = "tls")]
pub(super) fn certificates(options: &RedisOptions) -> Result<Option<redis::TlsCertificates>, Fault> {
    if is_encrypted(options) && rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may be first; then theirs is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let Tls::PrivateCa(file) = &options.tls else { return Ok(None) };
    let root_cert = std::fs::read(file).map_err(|_| Fault::Tls)?;
    Ok(Some(redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) }))
}
