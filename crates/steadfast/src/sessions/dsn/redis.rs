//! Redis: `redis://`, `redis+unix://`, `redis+sentinel://`, `redis+cluster://`, and with TLS `rediss…`.

use super::address::{Address, Host};
use super::parse::Dsn;
use crate::error::Result;
use crate::sessions::SessionsBuilder;
use crate::store::redis::{RedisOptions, RedisStore, Servers};
use crate::store::{SharedStore, Tls};

const GRAMMAR: &str = "redis[s]://[user:password@]host[:port][/database], redis+unix:///path?database=0, \
     redis[s]+sentinel://host:port,…/master?database=0, redis[s]+cluster://host:port,…; options: prefix, \
     connect_timeout, response_timeout, wait_replicas, wait_timeout, sentinel_user, sentinel_password, tls_ca, \
     and for a socket user, password";

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(super) async fn redis(mut dsn: Dsn<'_>, builder: &SessionsBuilder) -> Result<SharedStore> {
    #[cfg(feature = "php")]
    if let Some(site) = builder.site() {
        // PHP's handlers have a prefix of their own, so that of ours means nothing.
        let prefix = dsn.text("prefix");
        let (options, servers) = read(&mut dsn);
        dsn.finish(GRAMMAR)?;
        let store =
            crate::store::php::redis::PhpRedisStore::connect(options, servers, site, prefix.as_deref());
        return Ok(builder.shared(store.await?));
    }
    let (options, servers) = read(&mut dsn);
    dsn.finish(GRAMMAR)?;
    Ok(builder.shared(options.connect(servers).await?))
}

/// Reads the string; its faults are kept by it.
fn read(dsn: &mut Dsn<'_>) -> (RedisOptions, Servers) {
    let (scheme, kind) = dsn.driver.split_once('+').unwrap_or((dsn.driver, ""));
    let mut options = RedisStore::options().tls(tls(dsn, scheme == "rediss"));
    let servers = match kind {
        "unix" => socket(dsn, &mut options),
        "sentinel" => {
            let (hosts, name) = login(dsn, &mut options);
            if name.is_empty() {
                dsn.fault(
                    "the name of the master follows the hosts, as in redis+sentinel://one,two/mymaster",
                );
            }
            Servers::Sentinels(with_ports(hosts, SENTINEL_PORT), name)
        }
        "cluster" => {
            let (hosts, name) = login(dsn, &mut options);
            if !matches!(&*name, "" | "0") {
                dsn.fault("a cluster has no databases but 0");
            }
            Servers::Cluster(with_ports(hosts, PORT))
        }
        "" => one(dsn, &mut options),
        _ => {
            dsn.fault("after `redis+` comes unix, sentinel or cluster");
            dsn.take_path();
            Servers::Cluster(Vec::new())
        }
    };
    if kind != "cluster"
        && let Some(number) = dsn.parsed("database", "a number from 0 on")
    {
        options = options.database(number);
    }
    (timeouts(dsn, options), servers)
}

fn one(dsn: &mut Dsn<'_>, options: &mut RedisOptions) -> Servers {
    let (hosts, name) = login(dsn, options);
    if !name.is_empty() {
        match name.parse() {
            Ok(number) => *options = options.clone().database(number),
            Err(_) => dsn.fault("the database after the host is a number, as in redis://localhost/0"),
        }
    }
    if hosts.len() > 1 {
        dsn.fault("several hosts are a cluster or sentinels: redis+cluster://… or redis+sentinel://…");
    }
    // Without a host there is a fault, and nothing is opened.
    let (host, port) = with_ports(hosts, PORT).pop().unwrap_or_default();
    Servers::One(host, port)
}

fn socket(dsn: &mut Dsn<'_>, options: &mut RedisOptions) -> Servers {
    let path = dsn.take_path();
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or_else(|| {
        dsn.fault("two slashes and an absolute path follow the colon, as in redis+unix:///run/redis.sock");
        ""
    });
    for (name, set) in
        [("user", RedisOptions::user as fn(_, String) -> _), ("password", RedisOptions::password)]
    {
        if let Some(value) = dsn.text(name) {
            *options = set(options.clone(), value);
        }
    }
    Servers::Socket(path.into())
}

/// Takes the address, its user and its password.
fn login(dsn: &mut Dsn<'_>, options: &mut RedisOptions) -> (Vec<Host>, String) {
    let Address { user, password, hosts, name } = dsn.take_address();
    if let Some(user) = user {
        *options = options.clone().user(user);
    }
    if let Some(password) = password {
        *options = options.clone().password(password);
    }
    (hosts, name)
}

fn with_ports(hosts: Vec<Host>, port: u16) -> Vec<(String, u16)> {
    hosts.into_iter().map(|host| (host.name, host.port.unwrap_or(port))).collect()
}

fn timeouts(dsn: &mut Dsn<'_>, mut options: RedisOptions) -> RedisOptions {
    if let Some(prefix) = dsn.text("prefix") {
        options = options.prefix(prefix);
    }
    if let Some(timeout) = dsn.duration("connect_timeout") {
        options = options.connect_timeout(timeout);
    }
    if let Some(timeout) = dsn.duration("response_timeout") {
        options = options.response_timeout(timeout);
    }
    if let Some(replicas) = dsn.parsed("wait_replicas", "a number of replicas") {
        options = options.wait_replicas(replicas);
    }
    if let Some(timeout) = dsn.duration("wait_timeout") {
        options = options.wait_timeout(timeout);
    }
    if let Some(user) = dsn.text("sentinel_user") {
        options = options.sentinel_user(user);
    }
    if let Some(password) = dsn.text("sentinel_password") {
        options = options.sentinel_password(password);
    }
    options
}

fn tls(dsn: &mut Dsn<'_>, encrypted: bool) -> Tls {
    match (encrypted, dsn.text("tls_ca")) {
        (true, Some(file)) => Tls::PrivateCa(file.into()),
        (true, None) => Tls::PublicCa,
        (false, Some(_)) => {
            dsn.fault("`tls_ca` needs `rediss`");
            Tls::Off
        }
        (false, None) => Tls::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, servers: &Servers, says: &str) {
        let mut dsn = Dsn::parse(text).expect("it has a driver");
        let (options, read) = read(&mut dsn);
        dsn.finish(GRAMMAR).expect(text);
        assert_eq!(&read, servers, "{text}");
        assert!(format!("{options:?}").contains(says), "{text}: {options:?}");
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[track_caller]
    fn check_refused(text: &str, says: &str) {
        let mut dsn = Dsn::parse(text).expect("it has a driver");
        let _ = read(&mut dsn);
        let fault = dsn.finish(GRAMMAR).expect_err(text).to_string();
        assert!(fault.contains(says), "{text}: {fault}");
        assert!(!fault.contains("hush"), "{text}: {fault}");
    }

    fn host(name: &str, port: u16) -> (String, u16) {
        (name.into(), port)
    }

    #[test]
    fn each_form_names_its_servers() {
        let one = Servers::One("localhost".into(), 6379);
        check("redis://localhost", &one, "database: 0, prefix: \"steadfast:\"");
        check("redis://app:hush@localhost:6379/3?prefix=a%3Ab", &one, "database: 3, prefix: \"a:b\"");
        check("redis://localhost?connect_timeout=2s", &one, "connect_timeout: 2s");
        check("redis://localhost?response_timeout=150ms", &one, "response_timeout: 150ms");
        check(
            "redis://localhost?wait_replicas=2&wait_timeout=300ms",
            &one,
            "wait_replicas: 2, wait_timeout: 300ms",
        );
        let socket = Servers::Socket("/run/redis.sock".into());
        check("redis+unix:///run/redis.sock?database=2&password=hush", &socket, "database: 2");
        let sentinels = Servers::Sentinels(vec![host("one", 26379), host("two", 7)], "main".into());
        check(
            "redis+sentinel://:hush@one,two:7/main?database=1&sentinel_password=hush",
            &sentinels,
            "database: 1",
        );
        let cluster = Servers::Cluster(vec![host("one", 6379), host("::1", 7)]);
        check("redis+cluster://one,[::1]:7", &cluster, "database: 0");
        check("rediss+cluster://one,[::1]:7", &cluster, "tls: PublicCa");
        check("rediss://localhost?tls_ca=/ca.pem", &one, "tls: PrivateCa(\"/ca.pem\")");
    }

    #[test]
    fn what_can_t_be_used_is_said() {
        check_refused("redis://:hush@one,two", "several hosts are a cluster or sentinels");
        check_refused("redis://:hush@one/sessions", "the database after the host is a number");
        check_refused("redis+sentinel://:hush@one", "the name of the master follows the hosts");
        check_refused("redis+cluster://:hush@one/1", "a cluster has no databases but 0");
        check_refused("redis+cluster://one?database=1", "there is no option `database`");
        check_refused("redis+unix://socket?password=hush", "an absolute path");
        check_refused("redis+proxy://one", "after `redis+` comes unix, sentinel or cluster");
        check_refused("redis://one?response_timeout=soon", "`response_timeout` is a time");
        check_refused("redis://one?tls_ca=/ca.pem", "tls_ca");
        check_refused("redis://one?pool=3", "there is no option `pool`");
    }
}
