//! Memcached: `memcached://host:port,host:port`, `memcached+unix:///path`.

use std::num::ParseIntError;
use std::str::FromStr;

use super::SessionsBuilder;
use super::address::{Address, Host};
use super::parse::Dsn;
use crate::error::Result;
use crate::store::SharedStore;
use crate::store::memcached::{Distribution, MemcachedOptions, MemcachedStore};

const GRAMMAR: &str = "memcached://USER:PASSWORD@HOST:PORT,HOST:PORT or memcached+unix:///PATH, \
                       ?weights=N,N&distribution=weighted|unweighted|modulo&prefix=TEXT&connect_timeout=TIME\
                       &response_timeout=TIME";

pub(super) async fn open(mut dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    #[cfg(feature = "php")]
    if let Some(site) = builder.site() {
        // PHP's handlers have a prefix of their own, so that of ours means nothing.
        let prefix = dsn.text("prefix");
        let options = options(&mut dsn);
        dsn.finish(GRAMMAR)?;
        let store =
            crate::store::php::memcached::PhpMemcachedStore::connect(options, site, prefix.as_deref());
        return Ok(builder.shared(store.await?));
    }
    let options = options(&mut dsn);
    dsn.finish(GRAMMAR)?;
    Ok(builder.shared(options.connect().await?))
}

fn options(dsn: &mut Dsn<'_>) -> MemcachedOptions {
    let mut options = MemcachedStore::options();
    let addresses = if dsn.driver == "memcached+unix" { socket(dsn) } else { servers(dsn, &mut options) };
    let weights = weights(dsn, addresses.len());
    for (address, weight) in addresses.into_iter().zip(weights) {
        options = options.weighted_server(address, weight);
    }
    let distributions = [
        ("weighted", Distribution::Weighted),
        ("unweighted", Distribution::Unweighted),
        ("modulo", Distribution::Modulo),
    ];
    if let Some(distribution) = dsn.choice("distribution", &distributions) {
        options = options.distribution(distribution);
    }
    if let Some(prefix) = dsn.text("prefix") {
        options = options.prefix(prefix);
    }
    if let Some(timeout) = dsn.duration("connect_timeout") {
        options = options.connect_timeout(timeout);
    }
    if let Some(timeout) = dsn.duration("response_timeout") {
        options = options.response_timeout(timeout);
    }
    options
}

/// Takes the path of a Unix socket.
fn socket(dsn: &mut Dsn<'_>) -> Vec<String> {
    match dsn.take_path().strip_prefix("//") {
        Some(path) if path.starts_with('/') => vec![path.to_owned()],
        _ => {
            dsn.fault("two slashes and the absolute path of a socket follow the colon");
            Vec::new()
        }
    }
}

/// Takes the servers, and the login with them.
fn servers(dsn: &mut Dsn<'_>, options: &mut MemcachedOptions) -> Vec<String> {
    let Address { user, password, hosts, name } = dsn.take_address();
    if !name.is_empty() {
        dsn.fault("nothing follows the hosts: Memcached has no databases, but `prefix`");
    }
    match (user, password) {
        (Some(user), Some(password)) => *options = options.clone().login(user, password),
        (None, None) => {}
        _ => dsn.fault("a login is a user and a password"),
    }
    hosts.into_iter().map(written).collect()
}

fn written(Host { name, port }: Host) -> String {
    let name = if name.contains(':') { format!("[{name}]") } else { name };
    match port {
        Some(port) => format!("{name}:{port}"),
        None => name,
    }
}

/// Weights with commas between them.
struct Weights(Vec<u32>);

impl FromStr for Weights {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Takes the weights: one for each server.
fn weights(dsn: &mut Dsn<'_>, servers: usize) -> Vec<u32> {
    const WHAT: &str = "a number for each server, with commas between them";
    match dsn.parsed("weights", WHAT) {
        Some(Weights(weights)) if weights.len() == servers => return weights,
        Some(_) => dsn.fault(format_args!("`weights` is {WHAT}")),
        None => {}
    }
    vec![1; servers]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dsn: &str) -> (String, Option<String>) {
        let mut dsn = Dsn::parse(dsn).expect("it has a driver");
        let options = format!("{:?}", options(&mut dsn));
        (options, dsn.finish("…").err().map(|error| error.to_string()))
    }

    #[test]
    fn every_part_is_read() {
        let (options, faults) = read(
            "memcached://app:hidden@one,[::1]:7,two:9?weights=1,2,3&distribution=unweighted&prefix=shop%3A\
             &connect_timeout=2s&response_timeout=150ms",
        );
        assert_eq!(faults, None);
        assert!(!options.contains("hidden"), "{options}");
        for part in
            [r#"("one", 1), ("[::1]:7", 2), ("two:9", 3)"#, "Unweighted", r#""shop:""#, ": 2s", ": 150ms"]
        {
            assert!(options.contains(part), "{part} in {options}");
        }
        let (options, faults) = read("memcached+unix:///run/memcached.sock");
        assert!(faults.is_none() && options.contains("/run/memcached.sock"), "{options}");
    }

    #[track_caller]
    fn check(dsn: &str, says: &str) {
        let (_, faults) = read(dsn);
        let faults = faults.unwrap_or_default();
        assert!(faults.contains(says), "{dsn}: {faults}");
        assert!(!faults.contains("hidden"), "{faults}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("memcached://h/3", "nothing follows the hosts");
        check("memcached://hidden@h", "a login is a user and a password");
        check("memcached://a,b?weights=1", "`weights` is a number for each server");
        check("memcached://a?weights=x", "`weights` is a number for each server");
        check("memcached://a?distribution=random", "`distribution` is one of: weighted, unweighted, modulo");
        check("memcached://a?timeout=1s", "there is no option `timeout`");
        check("memcached+unix://run/x", "the absolute path of a socket");
    }
}
