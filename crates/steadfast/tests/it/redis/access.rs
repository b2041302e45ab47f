//! Logging in, and what the user of the server may do.

use std::num::NonZeroUsize;
use std::time::Duration;

use steadfast::store::redis::{RedisOptions, RedisStore, Servers};
use steadfast::store::{
    Acquired, Lease, LeaseEnd, LeaseToken, Loaded, Predecessor, Record, Renewed, Store, Tls,
};
use steadfast::{Error, ErrorKind, Sessions, chain};
use steadfast_servers::{Options, Redis, Reply, Server as _};

use super::fixture::{key, lease, load, own_prefix, patient, record, stored, user};
use crate::servers::dsn;

/// The rule of `docs/drivers/redis.md`, read from there, with a password.
pub(super) fn rule(name: &str) -> String {
    let page = include_str!("../../../../../docs/drivers/redis.md");
    let rule = page.lines().find(|line| line.starts_with("user sessions ")).expect("the page has the rule");
    rule.replace("user sessions ", &format!("user {name} ")).replace(">PASSWORD", ">hush")
}

fn at(server: &Redis) -> Servers {
    Servers::One("127.0.0.1".into(), server.port())
}

fn all_of(error: &Error) -> String {
    format!("{error:?} {} {}", chain(error), error)
}

#[track_caller]
fn check(error: &Error, kind: ErrorKind, says: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(error.driver(), Some("redis"));
    assert!(!all_of(error).contains("hush"), "{error:?}");
}

#[tokio::test]
async fn a_login_that_is_refused_is_a_wrong_setting_and_says_no_password() {
    let options = Options::new().set("user app on >hush ~* &* +@all").set("user default off");
    let server = Redis::start_with(&options).unwrap();
    let refused = async |options: RedisOptions| options.connect(at(&server)).await.unwrap_err();
    for options in [patient(), patient().user("app").password("hush-hush"), patient().password("hush-hush")] {
        check(&refused(options).await, ErrorKind::InvalidConfig, "check `user` and `password`");
    }
    let app = patient().user("app").password("hush");
    check(&refused(app.clone().database(99)).await, ErrorKind::InvalidConfig, "no such database");
    let store = app.database(3).connect(at(&server)).await.unwrap();
    assert!(!format!("{store:?}").contains("hush"));
}

#[tokio::test]
async fn the_rule_of_the_page_lets_the_driver_do_all_it_does_and_no_more() {
    let server = Redis::start_with(&Options::new().set(rule("app"))).unwrap();
    let connect = || patient().user("app").password("hush").connect(at(&server));
    let (store, other) = (connect().await.unwrap(), connect().await.unwrap());
    everything(&store, &other).await;
    let Reply::List(denied) = server.command(&["ACL", "LOG"]).unwrap() else { panic!("a list") };
    assert!(denied.is_empty(), "{denied:?}");

    let elsewhere = patient().user("app").password("hush").prefix("other:");
    let error = elsewhere.connect(at(&server)).await.unwrap_err();
    check(&error, ErrorKind::InvalidConfig, "the ACL rule of the driver's page");
}

#[tokio::test]
async fn a_provider_that_forbids_info_and_subscribe_is_worked_with() {
    let rule = format!("{} -info -subscribe", rule("app"));
    let server = Redis::start_with(&Options::new().set(rule)).unwrap();
    let connect = || patient().user("app").password("hush").connect(at(&server));
    everything(&connect().await.unwrap(), &connect().await.unwrap()).await;
}

#[tokio::test]
async fn a_unix_socket_and_a_database_are_used() {
    let server = Redis::start_with(
        &Options::new().set("unixsocket redis.sock").set("unixsocketperm 777").set("dir {folder}"),
    );
    let server = server.unwrap();
    let socket = server.services()[0].folder().join("redis.sock");
    let store = patient().database(5).connect(Servers::Socket(socket)).await.unwrap();
    let key = stored(&store, &record("by the socket")).await;
    assert!(load(&store, &key).await.is_some());
    let keys = server.command(&["INFO", "keyspace"]).unwrap();
    assert!(keys.text().contains("db5:keys=1"), "{keys:?}");
}

#[tokio::test]
async fn each_connection_string_opens_what_it_names() {
    for server in ["REDIS", "REDIS_CLUSTER", "REDIS_SENTINEL"] {
        let string = format!("{}?prefix={}", dsn(server), own_prefix());
        let sessions = Sessions::connect(&string).await.unwrap();
        assert_eq!((sessions.driver(), sessions.count().await.unwrap()), ("redis", 0), "{server}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_is_named() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let port = steadfast_servers::free_port();
    let options = Options::new()
        .file("cert.pem", made.cert.pem())
        .file("key.pem", made.signing_key.serialize_pem())
        .set(format!("tls-port {port}"))
        .set("tls-cert-file {folder}/cert.pem")
        .set("tls-key-file {folder}/key.pem")
        .set("tls-ca-cert-file {folder}/cert.pem")
        .set("tls-auth-clients no");
    let _server = Redis::start_with(&options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let at = |host: &str, port| Servers::One(host.into(), port);
    let store =
        patient().tls(Tls::PrivateCa(authority.clone())).connect(at("localhost", port)).await.unwrap();
    let key = stored(&store, &record("encrypted")).await;
    assert!(load(&store, &key).await.is_some());

    // Not signed by an authority that the machine trusts; not the name that the certificate has.
    for (options, host) in [
        (patient().tls(Tls::PublicCa), "localhost"),
        (patient().tls(Tls::PrivateCa(authority.clone())), "127.0.0.1"),
    ] {
        let error = options.connect(at(host, port)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error:?}");
        assert!(error.to_string().contains("`tls_ca`"), "{error}");
    }
}

/// Makes every call of the contract.
pub(super) async fn everything(store: &RedisStore, other: &RedisStore) {
    let (user, limit) = (user(), NonZeroUsize::new(10).unwrap());
    let one = Record { user: Some(user), ..record("one") };
    let first = stored(store, &one).await;
    let plain = stored(store, &record("plain")).await;
    assert!(store.now().await.unwrap().as_secs() > 0);
    let held = Lease { token: LeaseToken::fresh(), ttl: Duration::from_millis(200) };
    assert!(matches!(store.acquire(&first, held).await.unwrap(), Acquired::Held(_)));
    assert_eq!(store.renew(&first, held).await.unwrap(), Renewed::Extended);
    assert_eq!(other.acquire(&first, lease()).await.unwrap(), Acquired::Busy);
    let waiter = {
        let other = other.clone();
        tokio::spawn(async move { other.released(&first, Duration::from_secs(20)).await })
    };
    // Registered or not by then, the waiter returns.
    tokio::task::yield_now().await;
    store.release(&first, held.token).await.unwrap();
    waiter.await.unwrap();
    let _ = store.touch(&first, one.expires_at).await.unwrap();
    let two = Record { user: Some(super::fixture::user()), ..record("two") };
    let _ = store.update(&first, one.version, &two, LeaseEnd::None).await.unwrap();
    let (three, next) = (Record { user: Some(user), ..record("three") }, key());
    let _ = store
        .replace(&first, two.version, Predecessor::Update(&record("frozen")), &next, &three)
        .await
        .unwrap();
    assert_eq!(store.of_user(&user, None, limit).await.unwrap().len(), 1);
    assert_eq!(store.count().await.unwrap(), 3);
    assert_eq!(store.page(None, limit).await.unwrap().len(), 3);
    store.set_aside(&plain).await.unwrap();
    let _ = store.delete(&next, None).await.unwrap();
    // An entry whose record is gone by itself.
    let gone = stored(store, &Record { user: Some(user), ..record("gone") }).await;
    let _ = store.touch(&gone, steadfast::Timestamp::EPOCH).await.unwrap();
    assert_eq!(store.load(&gone).await.unwrap(), Loaded::Missing);
    store.purge(limit).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1);
}
