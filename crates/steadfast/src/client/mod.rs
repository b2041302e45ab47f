//! What a request tells about its client: where it comes from, what it is for, what it can be bound to.

mod cidr;

pub use cidr::Cidr;

/// In which header the trusted proxies say whom they speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: what nearly every proxy writes. The default.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), its `for` parameter.
    Forwarded,
}

/// Which peers are believed, and which of their headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    pub(crate) networks: Vec<Cidr>,
    pub(crate) header: ProxyHeader,
}
