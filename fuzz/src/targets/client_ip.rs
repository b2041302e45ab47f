use std::net::IpAddr;

use steadfast::ProxyHeader;
use steadfast::fuzzing::client_ip;

/// A client can't choose the address that it is seen with: a peer that is not trusted is the client, and
/// what a trusted proxy appends is the client, whatever stood in the header before.
pub(crate) fn run(data: &[u8]) {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let client = IpAddr::from([203, 0, 113, 7]);
    for (header, appended) in
        [(ProxyHeader::XForwardedFor, "203.0.113.7"), (ProxyHeader::Forwarded, "for=203.0.113.7")]
    {
        assert_eq!(client_ip(client, &[data], header), client);
        let line = [data, b", ", appended.as_bytes()].concat();
        assert_eq!(client_ip(proxy, &[&line], header), client);
        assert_eq!(client_ip(proxy, &[data, appended.as_bytes()], header), client);
        // What the client wrote is read if nothing was appended; addresses have one form.
        let claimed = client_ip(proxy, &[data], header);
        assert_eq!(claimed, claimed.to_canonical());
    }
}
