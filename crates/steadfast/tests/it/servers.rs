//! The servers that the drivers are tested against. They are real, and somebody else has started them.

use std::net::SocketAddr;
use std::time::Duration;

use steadfast_servers::Proxy;
pub(crate) use steadfast_servers::shared_dsn as dsn;

/// The way to a server in another building and back, for whom the conformance suite walks it.
const FAR: Duration = Duration::from_millis(4);

/// Starts a proxy that makes the way to a server longer.
pub(crate) fn far_away(server: SocketAddr) -> Proxy {
    let proxy = Proxy::start(server).unwrap();
    proxy.latency(FAR);
    proxy
}

/// Returns the only address in a connection string.
pub(crate) fn address(dsn: &str) -> SocketAddr {
    let authority = dsn.split_once("://").unwrap().1.split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().parse().unwrap()
}
