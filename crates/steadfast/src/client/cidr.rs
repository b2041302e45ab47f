//! Networks, as a prefix of their addresses.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or one address, `::1`.
///
/// IPv4 addresses written as IPv6 (`::ffff:10.0.0.1`) count as IPv4.
///
/// # Examples
///
/// ```
/// use std::net::IpAddr;
/// use steadfast::Cidr;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network: Cidr = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(network.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!network.contains("11.0.0.1".parse()?));
/// assert_eq!(Cidr::from(IpAddr::from([127, 0, 0, 1])).to_string(), "127.0.0.1/32");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// Never IPv4-mapped; all bits after the prefix are zero.
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reports whether an address belongs to the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && mask(address, self.prefix) == self.network
    }

    /// Reports whether every address of its family belongs to the network.
    pub(crate) fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

impl From<IpAddr> for Cidr {
    /// Makes the network of one address.
    fn from(address: IpAddr) -> Self {
        let network = address.to_canonical();
        Self { network, prefix: bits(network) }
    }
}

impl FromStr for Cidr {
    type Err = Error;

    /// Reads an address, or an address, a slash and the length of the prefix.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) for anything else, and for an address with
    /// bits after the prefix: whoever writes `10.0.0.1/8` means either one address or another network.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            let text = text.escape_debug();
            let message = format!("`{text}` is no network: write it as 10.0.0.0/8, 2001:db8::/32 or ::1");
            Error::new(ErrorKind::InvalidConfig, message)
        };
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| invalid());
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let prefix = parse_prefix(prefix).filter(|&prefix| prefix <= bits(address)).ok_or_else(invalid)?;
        if mask(address, prefix) != address {
            let meant = Self { network: mask(address, prefix), prefix };
            let message = format!("`{text}` has bits after its prefix: write {meant} or {address}");
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        Ok(canonical(address, prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, prefix } = self;
        write!(f, "{network}/{prefix}")
    }
}

/// Clears all bits after the prefix.
pub(super) fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::from((v4.to_bits() & keep).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & keep))
        }
    }
}

/// Turns a network inside `::ffff:0:0/96` into the IPv4 network it stands for.
fn canonical(address: IpAddr, prefix: u8) -> Cidr {
    let network = address.to_canonical();
    match prefix.checked_sub(96) {
        Some(short) if network.is_ipv4() && address.is_ipv6() => Cidr { network, prefix: short },
        _ => Cidr { network: address, prefix },
    }
}

/// Reads digits only: `parse` alone would take `+8` too.
fn parse_prefix(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Cidr>().expect("a network").to_string(), expected);
    }

    #[test]
    fn networks_and_single_addresses_are_read() {
        check("10.0.0.0/8", "10.0.0.0/8");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("192.0.2.1/32", "192.0.2.1/32");
        check("192.0.2.1", "192.0.2.1/32");
        check("::1", "::1/128");
        check("2001:DB8::/32", "2001:db8::/32");
        check("::/0", "::/0");
    }

    #[test]
    fn a_mapped_network_is_an_ipv4_network() {
        check("::ffff:10.0.0.0/104", "10.0.0.0/8");
        check("::ffff:10.0.0.1", "10.0.0.1/32");
        check("::ffff:0:0/96", "0.0.0.0/0");
    }

    #[test]
    fn anything_else_is_refused() {
        let bad = [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/256",
            "10.0.0.0/-1",
            "::/129",
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.0 /8",
            " ::1",
            "[::1]",
            "::1%eth0",
            "10.0.0.0/8/8",
            "localhost",
        ];
        for text in bad {
            let error = text.parse::<Cidr>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        }
    }

    #[test]
    fn bits_after_the_prefix_are_refused_with_both_meanings() {
        let error = "10.0.0.1/8".parse::<Cidr>().expect_err("stray bits");
        assert_eq!(error.to_string(), "`10.0.0.1/8` has bits after its prefix: write 10.0.0.0/8 or 10.0.0.1",);
    }

    #[track_caller]
    fn check_contains(network: &str, address: &str, expected: bool) {
        let network: Cidr = network.parse().expect("a network");
        assert_eq!(network.contains(address.parse().expect("an address")), expected);
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        check_contains("10.0.0.0/8", "10.255.255.255", true);
        check_contains("10.0.0.0/8", "11.0.0.0", false);
        check_contains("10.0.0.128/25", "10.0.0.127", false);
        check_contains("0.0.0.0/0", "255.1.2.3", true);
        check_contains("192.0.2.1", "192.0.2.1", true);
        check_contains("192.0.2.1", "192.0.2.2", false);
        check_contains("2001:db8::/33", "2001:db8:7fff::1", true);
        check_contains("2001:db8::/33", "2001:db8:8000::1", false);
    }

    #[test]
    fn families_are_not_mixed_but_mapped_addresses_count_as_ipv4() {
        check_contains("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check_contains("::/0", "10.1.2.3", false);
        check_contains("::/0", "::ffff:10.1.2.3", false);
        check_contains("0.0.0.0/0", "::1", false);
    }
}
