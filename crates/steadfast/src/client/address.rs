//! The address of the client behind the proxies that are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Cidr, Headers};
use crate::ows::trim;

/// In which header the trusted proxies say whom they speak for.
///
/// One is configured, because a proxy that writes one of them passes the other on as the client sent it.
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

impl TrustedProxies {
    fn contain(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// Returns the address of the client: the peer's, or what the trusted proxies in front say.
///
/// Each proxy appends the address that connected to it. So the header's lines are read from the last and
/// each from the right, as long as the address that was read is a trusted proxy's; what stands further
/// left was written by the client. An element that names no address (`unknown`, an obfuscated name,
/// anything malformed) ends the walk at the address before it. IPv4-mapped addresses become IPv4.
///
/// `None` if there is no peer: without one nobody can be trusted.
pub(crate) fn client_ip(
    peer: Option<IpAddr>,
    headers: &impl Headers,
    trusted: &TrustedProxies,
) -> Option<IpAddr> {
    let mut client = peer?.to_canonical();
    if !trusted.contain(client) {
        return Some(client);
    }
    let name = match trusted.header {
        ProxyHeader::XForwardedFor => "x-forwarded-for",
        ProxyHeader::Forwarded => "forwarded",
    };
    for element in headers.all(name).rev().flat_map(elements_from_the_right) {
        let node = match trusted.header {
            ProxyHeader::XForwardedFor => Some(element),
            ProxyHeader::Forwarded => forwarded_for(element),
        };
        let Some(address) = node.and_then(address) else { break };
        client = address;
        if !trusted.contain(client) {
            break;
        }
    }
    Some(client)
}

/// Splits at the commas outside quotes, from the right.
///
/// From the right, so that a quote which the client left open can't swallow what a proxy appended.
fn elements_from_the_right(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(line);
    std::iter::from_fn(move || {
        let line = left?;
        let mut quoted = false;
        for (at, byte) in line.iter().enumerate().rev() {
            match byte {
                b'"' if !is_escaped(&line[..at]) => quoted = !quoted,
                b',' if !quoted => {
                    left = Some(&line[..at]);
                    return Some(&line[at + 1..]);
                }
                _ => {}
            }
        }
        left.take()
    })
}

/// Reports whether the byte that follows is escaped: an odd number of backslashes stands before it.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// Returns the value of the `for` parameter of an element of `Forwarded`; `None` if it is malformed, or
/// has none or two.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut rest = trim(element);
    while !rest.is_empty() {
        if let [b';', after @ ..] = rest {
            rest = trim(after);
            continue;
        }
        let (name, value, after) = parameter(rest)?;
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
        if !matches!(after, [] | [b';', ..]) {
            return None;
        }
        rest = after;
    }
    found
}

/// Splits `name=value` off, where the value may be quoted; returns what follows it too.
fn parameter(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let equals = text.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        return None;
    }
    let [b'"', quoted @ ..] = value else {
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        return Some((name, trim(&value[..end]), &value[end..]));
    };
    let end = (0..quoted.len()).find(|&at| quoted[at] == b'"' && !is_escaped(&quoted[..at]))?;
    Some((name, &quoted[..end], trim(&quoted[end + 1..])))
}

/// Reads an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `::1`, `[::1]`, `[::1]:80`.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(trim(node)).ok()?;
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
            .then(|| address.to_canonical());
    }
    let (address, port) = node.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// A port, or the name that RFC 7239 lets stand for one.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn trust(header: ProxyHeader) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().expect("a network"));
        TrustedProxies { networks: networks.into(), header }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[track_caller]
    fn check(header: ProxyHeader, lines: &[&str], expected: &str) {
        let name = match header {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        };
        let headers: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
        assert_eq!(client_ip(Some(ip(PROXY)), &headers, &trust(header)), Some(ip(expected)));
    }

    #[track_caller]
    fn check_x(lines: &[&str], expected: &str) {
        check(ProxyHeader::XForwardedFor, lines, expected);
    }

    #[track_caller]
    fn check_forwarded(lines: &[&str], expected: &str) {
        check(ProxyHeader::Forwarded, lines, expected);
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_the_client_whatever_it_says() {
        let headers = vec![("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
            let client = client_ip(Some(ip("198.51.100.7")), &headers, &trust(header));
            assert_eq!(client, Some(ip("198.51.100.7")));
            let nobody = TrustedProxies { networks: Vec::new(), header };
            assert_eq!(client_ip(Some(ip(PROXY)), &headers, &nobody), Some(ip(PROXY)));
        }
    }

    #[test]
    fn without_a_peer_nobody_is_believed() {
        let headers = vec![("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client_ip(None, &headers, &trust(ProxyHeader::XForwardedFor)), None);
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let headers = vec![("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        let client = |header| client_ip(Some(ip(PROXY)), &headers, &trust(header));
        assert_eq!(client(ProxyHeader::XForwardedFor), Some(ip("192.0.2.1")));
        assert_eq!(client(ProxyHeader::Forwarded), Some(ip("192.0.2.2")));
    }

    #[test]
    fn mapped_addresses_count_as_ipv4_everywhere() {
        let headers = vec![("x-forwarded-for", "::ffff:192.0.2.1, ::ffff:10.0.0.2")];
        let client = client_ip(Some(ip("::ffff:10.0.0.1")), &headers, &trust(ProxyHeader::XForwardedFor));
        assert_eq!(client, Some(ip("192.0.2.1")));
        check_x(&["[::ffff:192.0.2.1]:443"], "192.0.2.1");
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        check_x(&["192.0.2.1"], "192.0.2.1");
        check_x(&["203.0.113.9, 192.0.2.1, 10.0.0.2,10.0.0.3"], "192.0.2.1");
        check_x(&["203.0.113.9", "192.0.2.1, 10.0.0.2", "10.0.0.3"], "192.0.2.1");
        check_x(&["\t192.0.2.1 \t"], "192.0.2.1");
    }

    #[test]
    fn if_all_are_trusted_the_leftmost_is_the_client() {
        check_x(&["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check_x(&[], PROXY);
    }

    #[test]
    fn addresses_may_have_ports() {
        check_x(&["192.0.2.1:55555"], "192.0.2.1");
        check_x(&["[2001:db8::1]:55555"], "2001:db8::1");
        check_x(&["[2001:db8::1]"], "2001:db8::1");
        check_x(&["2001:db8::1, 2001:db8:1::7"], "2001:db8::1");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        let bad = [
            "",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2",
            "192.0.2.1:",
            "192.0.2.1:123456",
            "192.0.2.1:x",
            "[::1",
            "[::1]80",
            "[192.0.2.1]",
            "::1%eth0",
            "192.0.2.1 x",
            "\"192.0.2.1\"",
            "unix:",
            "010.0.0.1",
            "192.0.2.1:_",
            "[::1]:",
        ];
        for element in bad {
            check_x(&[&format!("192.0.2.9, {element}")], PROXY);
            check_x(&[&format!("192.0.2.9, {element}, 10.0.0.2")], "10.0.0.2");
            check_x(&[&format!("192.0.2.9, {element}"), "10.0.0.2"], "10.0.0.2");
        }
    }

    #[test]
    fn forwarded_is_read_by_its_for_parameter() {
        check_forwarded(&["for=192.0.2.1"], "192.0.2.1");
        check_forwarded(&["proto=https;For=\"192.0.2.1:47011\";by=10.0.0.1"], "192.0.2.1");
        check_forwarded(&["for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17");
        check_forwarded(&["for=\"[2001:db8:cafe::17]:_port\""], "2001:db8:cafe::17");
        check_forwarded(&["for=203.0.113.9, for=192.0.2.1;host=\"a,b;c\\\"d\",for=10.0.0.2"], "192.0.2.1");
        check_forwarded(&["for=203.0.113.9", "for=192.0.2.1", ";for=10.0.0.2;;"], "192.0.2.1");
        check_forwarded(&["for=192.0.2.1 ; proto=https"], "192.0.2.1");
    }

    #[test]
    fn an_element_of_forwarded_without_an_address_ends_the_walk() {
        let bad = [
            "",
            ";",
            "proto=https",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=\"_gazonk:80\"",
            "for=192.0.2.1;for=192.0.2.2",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\"x",
            "f or=192.0.2.1",
            "=192.0.2.1",
            "for=\"192.0.2.1\\\"",
            "for=192.0.2.1;proto",
        ];
        for element in bad {
            check_forwarded(&[&format!("for=203.0.113.9, {element}, for=10.0.0.2")], "10.0.0.2");
        }
    }

    #[test]
    fn a_quote_left_open_by_the_client_hides_nothing_a_proxy_appended() {
        check_forwarded(&["for=203.0.113.9;a=\", for=192.0.2.1"], "192.0.2.1");
        check_forwarded(&["for=203.0.113.9;a=\", for=192.0.2.1;by=\"_p\""], "192.0.2.1");
        check_forwarded(&["for=203.0.113.9;a=\"\\, for=192.0.2.1;by=\"_p\", for=10.0.0.2"], "192.0.2.1");
    }
}
