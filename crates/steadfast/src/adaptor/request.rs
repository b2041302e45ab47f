//! What is found out of a request: its session, and as much of its client as the session needs.

use std::net::IpAddr;
use std::sync::Arc;

use crate::client::{
    Headers, MAX_USER_AGENT_BYTES, RequestKind, agent_fingerprint, client_ip, ip_fingerprint, request_kind,
};
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{Access, Client, Core, Exchange, Opening};

/// The head of a request, as a framework has it.
pub(super) trait RequestHead {
    /// What to do where a route has no sessions around it.
    const NO_LAYER: &'static str;

    /// What to do where the policy needs the peer's address and there is none.
    const NO_PEER: &'static str;

    /// Returns the exchange that the layer attached.
    fn exchange(&self) -> Option<Arc<Exchange>>;

    /// Returns the lines of the `Cookie` headers.
    fn cookies(&self) -> impl Iterator<Item = &[u8]>;

    /// Returns the `User-Agent`; an empty one if there is none.
    fn user_agent(&self) -> &[u8];

    /// Returns the address of whoever is at the other end of the connection.
    fn peer(&self) -> Option<IpAddr>;

    /// Returns all headers.
    fn headers(&self) -> &impl Headers;
}

/// Opens the session of a request; in the policy's concurrency mode, if no access is asked for.
pub(super) async fn open(head: &impl RequestHead, access: Option<Access>) -> Result<Arc<Exchange>> {
    let exchange = attached(head)?;
    let access = access.unwrap_or_else(|| exchange.core().policy.concurrency.into());
    let client = || client(exchange.core(), head, access);
    let is_background = || request_kind(head.headers()) == RequestKind::Background;
    exchange.open(access, Opening::Request { client, is_background }).await?;
    Ok(exchange)
}

fn attached<R: RequestHead>(head: &R) -> Result<Arc<Exchange>> {
    head.exchange().ok_or_else(|| Error::new(ErrorKind::NotSetUp, R::NO_LAYER))
}

/// Finds out what is known of the client, as far as the access needs it: what only reads ages no flash values
/// and signs nobody in.
fn client<R: RequestHead>(core: &Core, head: &R, access: Access) -> Result<Client> {
    let (policy, headers) = (&core.policy, head.headers());
    let ip = client_ip(head.peer(), headers, &policy.trusted_proxies);
    if ip.is_none() && policy.match_ip.is_some() {
        return Err(Error::new(ErrorKind::NotSetUp, R::NO_PEER));
    }
    let writes = access > Access::View;
    let asks_for_agent = writes || policy.match_user_agent;
    let agent = if asks_for_agent { head.user_agent() } else { b"" };
    let agent = &agent[..agent.len().min(MAX_USER_AGENT_BYTES)];
    Ok(Client {
        user_agent: if writes { text(agent) } else { String::new() },
        bound_ip: policy.match_ip.zip(ip).map(|(part, ip)| ip_fingerprint(ip, part)),
        bound_agent: policy.match_user_agent.then(|| agent_fingerprint(agent)),
        before: core
            .import
            .as_ref()
            .map(|import| client(&import.core, head, access).map(Box::new))
            .transpose()?,
        ..Client::of_cookies(core, head.cookies(), ip)
    })
}

/// Makes text of a header. Nearly always it is text already, which is found out much faster than it is repaired.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
