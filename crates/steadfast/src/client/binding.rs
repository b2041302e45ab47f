//! What a session can be bound to, as digests: a record holds no address and no agent for this.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::cidr::mask;
use crate::policy::IpMatch;

/// How much of a `User-Agent` is looked at, in bytes. Real ones have about 120; the rest is noise or
/// worse.
pub(crate) const MAX_USER_AGENT_BYTES: usize = 512;

/// Returns a digest of the part of an address that has to stay the same.
///
/// Equal for equal parts under the same rule; under another rule it differs, so a changed setting ends
/// the sessions that were bound under the old one. IPv4-mapped addresses count as IPv4.
pub(crate) fn ip_fingerprint(ip: IpAddr, part: IpMatch) -> [u8; 8] {
    let ip = ip.to_canonical();
    let prefix = match (part, ip) {
        (IpMatch::Exact, IpAddr::V4(_)) => 32,
        (IpMatch::Exact, IpAddr::V6(_)) => 128,
        (IpMatch::Prefix { v4, .. }, IpAddr::V4(_)) => v4,
        (IpMatch::Prefix { v6, .. }, IpAddr::V6(_)) => v6,
    };
    match mask(ip, prefix) {
        IpAddr::V4(v4) => fingerprint(b"ip4", &[&[prefix], v4.octets().as_slice()].concat()),
        IpAddr::V6(v6) => fingerprint(b"ip6", &[&[prefix], v6.octets().as_slice()].concat()),
    }
}

/// Returns a digest of a `User-Agent`; of an empty one if the request has none.
pub(crate) fn agent_fingerprint(agent: &[u8]) -> [u8; 8] {
    fingerprint(b"agent", &agent[..agent.len().min(MAX_USER_AGENT_BYTES)])
}

/// The first 64 bits of SHA-256. Enough to tell clients apart; it is no proof of anything, and whoever
/// can read the record could try all addresses anyway.
fn fingerprint(kind: &[u8], bytes: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(bytes).finalize();
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: IpMatch = IpMatch::Prefix { v4: 24, v6: 64 };

    #[track_caller]
    fn check(part: IpMatch, one: &str, other: &str, same: bool) {
        let of = |ip: &str| ip_fingerprint(ip.parse().expect("an address"), part);
        assert_eq!(of(one) == of(other), same);
    }

    #[test]
    fn the_whole_address_or_its_network_has_to_stay_the_same() {
        check(IpMatch::Exact, "192.0.2.1", "192.0.2.1", true);
        check(IpMatch::Exact, "192.0.2.1", "192.0.2.2", false);
        check(IpMatch::Exact, "2001:db8::1", "2001:db8::2", false);
        check(NETWORK, "192.0.2.1", "192.0.2.254", true);
        check(NETWORK, "192.0.2.1", "192.0.3.1", false);
        check(NETWORK, "2001:db8::1", "2001:db8::ffff:1", true);
        check(NETWORK, "2001:db8::1", "2001:db8:0:1::1", false);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        check(IpMatch::Exact, "::ffff:192.0.2.1", "192.0.2.1", true);
        check(NETWORK, "::ffff:192.0.2.1", "192.0.2.9", true);
    }

    #[test]
    fn a_changed_rule_changes_the_fingerprint() {
        let ip: IpAddr = "192.0.2.0".parse().expect("an address");
        assert_ne!(ip_fingerprint(ip, IpMatch::Exact), ip_fingerprint(ip, NETWORK));
    }

    #[test]
    fn prefixes_of_any_length_are_handled() {
        for (v4, v6) in [(0, 0), (1, 1), (32, 128)] {
            check(IpMatch::Prefix { v4, v6 }, "192.0.2.1", "192.0.2.1", true);
            check(IpMatch::Prefix { v4, v6 }, "2001:db8::1", "2001:db8::1", true);
        }
        check(IpMatch::Prefix { v4: 0, v6: 0 }, "192.0.2.1", "2001:db8::1", false);
    }

    /// Records hold these bytes, so they may never change.
    #[test]
    fn fingerprints_stay_what_they_are() {
        let ip = ip_fingerprint("192.0.2.1".parse().expect("an address"), NETWORK);
        assert_eq!(crate::hex::encode(&ip), "07831aa77a04b786");
        assert_eq!(crate::hex::encode(&agent_fingerprint(b"Mozilla/5.0")), "1d971f75f17029f2");
    }

    #[test]
    fn agents_are_compared_as_far_as_they_are_looked_at() {
        let long = vec![b'x'; MAX_USER_AGENT_BYTES];
        let longer = [long.as_slice(), b"y"].concat();
        assert_eq!(agent_fingerprint(&long), agent_fingerprint(&longer));
        assert_ne!(agent_fingerprint(b"a"), agent_fingerprint(b"b"));
        assert_ne!(agent_fingerprint(b""), agent_fingerprint(b"a"));
    }
}
