//! Ways to reach a server whose sessions are shared: TLS, Unix sockets, Sentinel. The connections are the native
//! drivers'; here one session is lived through each of them, while a real PHP reaches the server in its own way.

use mysql_async::prelude::Queryable as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use steadfast::testing::TestBrowser;
use steadfast::{Layout, Policy, Session, Sessions};
use steadfast_servers::{MariaDb, Memcached, Options, Postgres, Redis, RedisSentinel, Server};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixListener};

use super::peer::Peer;
use crate::app::{Adaptor, Around};
use crate::site::Visitor;

/// The name that the certificates are for.
const HOST: &str = "localhost";

/// A certificate of a server, its key, and who vouches for it.
struct Tls {
    files: TempDir,
    certificate: String,
    key: String,
    authority: String,
}

impl Tls {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        Self { files, certificate, key, authority: authority.pem() }
    }

    /// Gives a server the certificate, by what its settings are called.
    fn options(&self, certificate: &str, key: &str, authority: &str) -> Options {
        Options::new()
            .file("cert.pem", self.certificate.clone())
            .file("key.pem", self.key.clone())
            .file("ca.pem", self.authority.clone())
            .set(format!("{certificate}{{folder}}/cert.pem"))
            .set(format!("{key}{{folder}}/key.pem"))
            .set(format!("{authority}{{folder}}/ca.pem"))
    }

    /// Returns what a connection string names the authority by.
    fn trusted(&self) -> String {
        format!("tls_ca={}", self.files.path().join("ca.pem").display())
    }
}

/// Lives a session: PHP's lock is waited for, written under and given back; the id changes, the session ends.
async fn lives(dsn: &str, php: Value) {
    let policy = Policy::builder().layout(Layout::CodeIgniter4).dangerous_insecure_cookie().build().unwrap();
    let sessions = Sessions::builder().policy(policy).connect(dsn).await.unwrap();
    let mut visitor = Visitor::of(TestBrowser::new(Adaptor::Axum.app(vec![Around::Sessions(sessions)])));
    visitor.page(|s| s.set("n", 1)).await;
    let before = id_of(&visitor);
    let mut peer = Peer::start(&php);
    let count = json!([{ "op": "wait" }, { "op": "incr", "key": "n" }]);
    peer.send(&json!({ "cookie": before, "ops": count, "events": false }));
    peer.event("waiting").await;
    assert_eq!(visitor.view(|s| s.get::<i64>("n")).await, Some(1), "a view waits for nobody");
    let mut waits = visitor.clone();
    let page = tokio::spawn(async move { waits.page(|s: &Session| s.increment("n", 1)).await });
    peer.go_on();
    assert_eq!(peer.answer().await.status, 200);
    assert_eq!(page.await.unwrap(), 3);
    let mut late = visitor.clone();
    late.merge(|s| s.increment("n", 1)).await;
    visitor.page(|s| s.login("alice")).await;
    let id = id_of(&visitor);
    assert_ne!(id, before);
    let read = json!([{ "op": "get", "key": "n" }]);
    assert_eq!(peer.results(Some(&id), read.clone()).await, [json!(4)]);
    visitor.page(|s| s.logout()).await;
    assert_eq!(peer.request(Some(&id), read).await.results, [Value::Null]);
}

fn id_of(visitor: &Visitor) -> String {
    visitor.browser.cookies().rsplit_once("ci_session=").expect("a cookie").1.to_owned()
}

/// Returns how PHP reaches a server, with settings of the handler's beside it.
fn peer(driver: &str, server: &impl Server, more: &Value) -> Value {
    let port = server.services()[0].address().port();
    let mut handler = json!({ "host": "127.0.0.1", "port": port, "lock_wait_ms": 10, "lock_tries": 3_000 });
    handler.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    json!({ "driver": driver, "handler": handler, "time_to_update": 0 })
}

fn of_sql(database: &str) -> Value {
    json!({ "user": "steadfast", "password": "not-so-secret", "database": database, "table": "ci_sessions" })
}

#[tokio::test]
async fn redis_by_tls_and_by_a_unix_socket() {
    let (tls, port) = (Tls::new(), steadfast_servers::free_port());
    let options = tls
        .options("tls-cert-file ", "tls-key-file ", "tls-ca-cert-file ")
        .set(format!("tls-port {port}"))
        .set("tls-auth-clients no")
        .set("unixsocket redis.sock")
        .set("unixsocketperm 777")
        .set("dir {folder}");
    let server = Redis::start_with(&options).unwrap();
    lives(&format!("rediss://{HOST}:{port}?{}", tls.trusted()), peer("redis", &server, &json!({}))).await;
    let socket = server.services()[0].folder().join("redis.sock");
    let php = peer("redis", &server, &json!({ "database": 3 }));
    lives(&format!("redis+unix://{}?database=3", socket.display()), php).await;
}

#[tokio::test]
async fn redis_by_sentinels_and_after_they_chose_another_master() {
    let group = RedisSentinel::start().unwrap();
    let reach = |group: &RedisSentinel| {
        let port = group.master().unwrap().address().port();
        json!({ "driver": "redis", "handler": { "host": "127.0.0.1", "port": port }, "time_to_update": 0 })
    };
    lives(&group.dsn(), reach(&group)).await;
    group.await_replica().unwrap();
    group.fail_over().unwrap();
    lives(&group.dsn(), reach(&group)).await;
}

#[tokio::test]
async fn memcached_by_a_unix_socket() {
    let (server, folder) = (Memcached::start().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("memcached.sock");
    // The server listens in one way only, so the other one is led to it.
    let (listener, address) = (UnixListener::bind(&path).unwrap(), server.services()[0].address());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let servers = json!({ "servers": [["127.0.0.1", address.port()]] });
    lives(&format!("memcached+unix://{}", path.display()), peer("memcached", &server, &servers)).await;
}

#[tokio::test]
async fn mysql_by_tls_and_by_a_unix_socket() {
    let tls = Tls::new();
    let server = MariaDb::start_with(&tls.options("ssl_cert=", "ssl_key=", "ssl_ca=")).unwrap();
    let php = || peer("mysql", &server, &of_sql("steadfast"));
    let dsn = server.dsn().replace("127.0.0.1", HOST);
    lives(&format!("{dsn}?create=true&{}", tls.trusted()), php()).await;
    // By a socket a client is somebody else to MariaDB.
    let pool = mysql_async::Pool::new(mysql_async::Opts::from_url(&server.dsn()).unwrap());
    let mut link = pool.get_conn().await.unwrap();
    for sql in [
        "CREATE USER steadfast@localhost IDENTIFIED BY 'not-so-secret'",
        "GRANT ALL ON steadfast.* TO steadfast@localhost",
    ] {
        link.query_drop(sql).await.unwrap();
    }
    let socket = server.services()[0].folder().join("socket");
    let dsn = format!("mysql://steadfast:not-so-secret@{HOST}/steadfast?socket={}", socket.display());
    lives(&dsn, php()).await;
}

#[tokio::test]
async fn postgres_by_tls_and_by_a_unix_socket() {
    let tls = Tls::new();
    let options = tls
        .options("ssl_cert_file=", "ssl_key_file=", "ssl_ca_file=")
        .set("ssl=on")
        .set("unix_socket_directories={folder}");
    let server = Postgres::start_with(&options).unwrap();
    let php = || peer("postgres", &server, &of_sql("postgres"));
    let dsn = server.dsn().replace("127.0.0.1", HOST);
    lives(&format!("{dsn}?create=true&{}", tls.trusted()), php()).await;
    let address = server.services()[0].address();
    let socket = server.services()[0].folder().display();
    let dsn =
        format!("postgres://steadfast:not-so-secret@{HOST}:{}/postgres?socket={socket}", address.port());
    lives(&dsn, php()).await;
}
