//! The glue to web frameworks. No decision is made here.

mod service;

#[cfg(feature = "axum")]
pub mod axum;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{COOKIE, HeaderMap, HeaderName};
use http::request::Parts;

use crate::client::{
    Headers, MAX_USER_AGENT_BYTES, RequestKind, agent_fingerprint, client_ip, ip_fingerprint, request_kind,
};
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{Access, Client, Core, Exchange, Opening};
use crate::session::{Session, SessionView};

pub use service::{CommitError, SessionLayer, SessionService};

/// The address of a request's peer, for servers other than axum's: put it into the request's extensions.
///
/// With axum, serve with `into_make_service_with_connect_info::<SocketAddr>()` instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What the layer leaves in a request for those inside it.
#[derive(Clone)]
pub(crate) struct Attached(Arc<Exchange>);

impl Headers for HeaderMap {
    fn all<'a>(&'a self, name: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.get_all(HeaderName::from_static(name)).iter().map(|value| value.as_bytes())
    }
}

/// Opens the request's session, to read and write, in the policy's concurrency mode.
///
/// For middleware and frameworks without extractors of ours: it needs the layer outside of it.
///
/// # Errors
///
/// [`NotSetUp`](ErrorKind::NotSetUp) without the layer, and whatever opening the session fails with.
///
/// # Cancel safety
///
/// If the future is dropped, nothing is held.
pub async fn session(parts: &Parts) -> Result<Session> {
    let exchange = attached(parts)?;
    let access = exchange.core().policy.concurrency.into();
    open(&exchange, access, parts).await?;
    Ok(Session::new(exchange))
}

/// Opens the request's session, to read.
///
/// # Errors
///
/// As [`session`].
///
/// # Cancel safety
///
/// Reads only.
pub async fn session_view(parts: &Parts) -> Result<SessionView> {
    let exchange = attached(parts)?;
    open(&exchange, Access::View, parts).await?;
    Ok(SessionView::new(exchange))
}

pub(crate) fn attached(parts: &Parts) -> Result<Arc<Exchange>> {
    let attached = parts.extensions.get::<Attached>().map(|attached| Arc::clone(&attached.0));
    attached.ok_or_else(|| {
        Error::new(ErrorKind::NotSetUp, "no session layer around this route; add `.layer(sessions.layer())`")
    })
}

pub(crate) async fn open(exchange: &Arc<Exchange>, access: Access, parts: &Parts) -> Result<()> {
    let client = || client(exchange.core(), parts, access);
    exchange.open(access, Opening::Request(client)).await
}

/// Finds out what is known of the client, as far as the access needs it: what only reads ages no flash values
/// and signs nobody in.
fn client(core: &Core, parts: &Parts, access: Access) -> Result<Client> {
    let (policy, headers) = (&core.policy, &parts.headers);
    let lines = headers.get_all(COOKIE).iter().map(|line| line.as_bytes());
    let ip = client_ip(peer(parts), headers, &policy.trusted_proxies);
    if ip.is_none() && policy.match_ip.is_some() {
        return Err(Error::new(
            ErrorKind::NotSetUp,
            "`match_ip` needs the peer's address; serve with `into_make_service_with_connect_info::<SocketAddr>()`",
        ));
    }
    let agent = headers.get(http::header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    let agent = &agent[..agent.len().min(MAX_USER_AGENT_BYTES)];
    let writes = access > Access::View;
    Ok(Client {
        user_agent: if writes { String::from_utf8_lossy(agent).into_owned() } else { String::new() },
        bound_ip: policy.match_ip.zip(ip).map(|(part, ip)| ip_fingerprint(ip, part)),
        bound_agent: policy.match_user_agent.then(|| agent_fingerprint(agent)),
        background: writes && request_kind(headers) == RequestKind::Background,
        before: core
            .import
            .as_ref()
            .map(|import| client(&import.core, parts, access).map(Box::new))
            .transpose()?,
        ..Client::of_cookies(core, lines, ip)
    })
}

fn peer(parts: &Parts) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(::axum::extract::ConnectInfo(peer)) =
        parts.extensions.get::<::axum::extract::ConnectInfo<SocketAddr>>()
    {
        return Some(peer.ip());
    }
    parts.extensions.get::<PeerAddr>().map(|PeerAddr(peer)| peer.ip())
}
