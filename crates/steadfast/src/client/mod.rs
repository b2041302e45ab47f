//! What a request tells about its client: where it comes from, what it is for, what it can be bound to.

mod address;
mod binding;
mod cidr;
mod kind;

pub(crate) use address::{TrustedProxies, client_ip};
pub(crate) use binding::{MAX_USER_AGENT_BYTES, agent_fingerprint, ip_fingerprint};
pub(crate) use kind::{RequestKind, request_kind};

pub use address::ProxyHeader;
pub use cidr::Cidr;

/// Gives the header values of a request. Implemented by adaptors.
pub(crate) trait Headers {
    /// Returns the values of all lines of a header, in the order of the lines.
    ///
    /// The name is in lower case; names of headers compare without regard to case.
    fn all<'a>(&'a self, name: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]>;
}

/// Headers as a list, for tests.
#[cfg(test)]
impl Headers for Vec<(&str, &str)> {
    fn all<'a>(&'a self, name: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }
}
