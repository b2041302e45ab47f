//! Where a server is, and who asks: `//user:password@host:port,host:port/name`.

use std::fmt;
use std::str::FromStr as _;

use super::parse::Dsn;

/// What stands between the colon and the question mark in the connection string of a server.
///
/// User, password and name may be written with percent signs. Not `Debug` by derivation: it holds a
/// password.
#[derive(PartialEq, Eq)]
pub(super) struct Address {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// At least one, unless there was a fault.
    pub(super) hosts: Vec<Host>,
    /// What follows the hosts, without its slash: the name of a database, for most servers.
    pub(super) name: String,
}

/// A server: a name or an address, and a port if one was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Host {
    /// An IPv6 address stands without its brackets.
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Dsn<'_> {
    /// Takes the address of a server, or of several.
    pub(super) fn take_address(&mut self) -> Address {
        let path = self.take_path();
        let Some(rest) = path.strip_prefix("//") else {
            self.fault("two slashes and a host follow the colon");
            return Address { user: None, password: None, hosts: Vec::new(), name: String::new() };
        };
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => (self.part(user, "the user"), self.part(password, "the password")),
        };
        let name = self.part(name, "what follows the host").unwrap_or_default();
        let hosts = hosts.split(',').filter_map(|host| self.host(host)).collect();
        Address { user, password, hosts, name }
    }

    /// Decodes a part that may be written with percent signs; an empty one is none.
    fn part(&mut self, part: &str, what: &str) -> Option<String> {
        match percent_encoding::percent_decode_str(part).decode_utf8() {
            Ok(text) => (!text.is_empty()).then(|| text.into_owned()),
            Err(_) => {
                self.fault(format_args!("{what} is not UTF-8 text"));
                None
            }
        }
    }

    fn host(&mut self, host: &str) -> Option<Host> {
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, port)) => (name, port.strip_prefix(':')),
            None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
        };
        if name.is_empty() {
            self.fault("a host is missing");
            return None;
        }
        let port = match port.map(u16::from_str) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => {
                self.fault("a port is a number from 1 to 65535");
                return None;
            }
        };
        Some(Host { name: name.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(dsn: &str) -> (Address, Option<String>) {
        let mut dsn = Dsn::parse(dsn).expect("it has a driver");
        let address = dsn.take_address();
        (address, dsn.finish("…").err().map(|error| error.to_string()))
    }

    fn host(name: &str, port: impl Into<Option<u16>>) -> Host {
        Host { name: name.into(), port: port.into() }
    }

    #[test]
    fn an_address_has_a_user_a_password_hosts_and_a_name() {
        let (found, faults) = address("redis://app:p%40ss%2Fw:rd@one:6380,[::1]:7,two/3");
        let hosts = vec![host("one", 6380), host("::1", 7), host("two", None)];
        let (user, password) = (Some("app".into()), Some("p@ss/w:rd".into()));
        assert_eq!((found, faults), (Address { user, password, hosts, name: "3".into() }, None));
    }

    #[test]
    fn user_password_port_and_name_may_be_missing() {
        let (found, faults) = address("redis://localhost");
        let hosts = vec![host("localhost", None)];
        assert_eq!(
            (found, faults),
            (Address { user: None, password: None, hosts, name: String::new() }, None)
        );
        let (found, _) = address("redis://:secret@h");
        assert_eq!((found.user, found.password), (None, Some("secret".into())));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (dsn, says) in [
            ("redis:localhost", "two slashes and a host follow the colon"),
            ("redis://:secret@", "a host is missing"),
            ("redis://:secret@h:0", "a port is a number"),
            ("redis://:secret@h:99999", "a port is a number"),
            ("redis://:secret%ff@h", "the password is not UTF-8 text"),
        ] {
            let (found, faults) = address(dsn);
            let faults = faults.unwrap_or_default();
            assert!(faults.contains(says), "{dsn}: {faults}");
            assert!(!faults.contains("secret") && !format!("{found:?}").contains("secret"));
        }
    }
}
