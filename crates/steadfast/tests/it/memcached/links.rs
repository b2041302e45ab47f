//! The ways to a server: a socket, a login, and what is not a server.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use memcache::exp::AsyncMemcache;
use steadfast::ErrorKind;
use steadfast::store::memcached::MemcachedStore;
use steadfast::store::{Loaded, Store};
use steadfast_servers::{Memcached, Server as _, Service};
use tokio::net::{TcpStream, UnixListener};

use super::{fill, key, options, record};

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    let (server, folder) = (Memcached::start().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("memcached.sock");
    // The server listens in one way only, so the other one is led to it.
    let (listener, address) = (UnixListener::bind(&path).unwrap(), server.address());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let dsn = format!("memcached+unix://{}", path.display());
    let sessions = steadfast::Sessions::connect(&dsn).await.unwrap();
    let visitor = sessions.prepare(|s| s.set("a", 1)).await.unwrap();
    let direct = steadfast::Sessions::connect(&server.dsn()).await.unwrap();
    assert!(direct.inspect(visitor.cookie()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_login_is_sent_before_all_else() {
    let start = |port: u16, folder: &Path| {
        let users = folder.join("users");
        std::fs::write(&users, "app:sesame\n").unwrap();
        let mut command = Command::new("memcached");
        command.args(["-u", "root", "-l", "127.0.0.1", "-U", "0", "-p", &port.to_string(), "-Y"]).arg(users);
        command
    };
    let server = Service::start("memcached", start).unwrap();
    let options = || MemcachedStore::options().server(server.address().to_string());
    let store = options().login("app", "sesame").connect().await.unwrap();
    fill(&store, 1, &record("one")).await;
    for refused in [options(), options().login("app", "guess")] {
        let error = refused.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("user and password"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tags_of_writes_is_refused() {
    let server = Memcached::start_with(&steadfast_servers::Options::new().set("-C")).unwrap();
    let error = options(&server).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("`-C`"), "{error}");
}

/// Answers the greeting, then everything else with the same.
fn impostor(answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut asked = [0; 4096];
                assert!(stream.read(&mut asked).unwrap() > 0);
                stream
                    .write_all(
                        b"STAT item_size_max 1000\r\nEND\r\nSTAT time 1795324611\r\nEND\r\nHD t9 O0\r\n",
                    )
                    .unwrap();
                while stream.read(&mut asked).is_ok_and(|read| read > 0) {
                    stream.write_all(answer).unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn answers_out_of_step_are_not_believed() {
    let answers: [(&'static [u8], ErrorKind); 6] = [
        // Those of somebody else.
        (b"VA 1 c1 t9 O999999\r\nx\r\nHD t9 O1000000\r\n", ErrorKind::Unavailable),
        (b"EN\r\n", ErrorKind::Unavailable),
        (b"HTTP/1.1 400 Bad Request\r\n", ErrorKind::Unavailable),
        (b"VA 2000 O0\r\n", ErrorKind::Unavailable),
        (b"ERROR\r\n", ErrorKind::InvalidConfig),
        // A part of an answer.
        (b"HD", ErrorKind::TimedOut),
    ];
    for (answer, kind) in answers {
        let options = MemcachedStore::options().server(impostor(answer).to_string());
        let store = options.response_timeout(Duration::from_millis(200)).connect().await.unwrap();
        for _ in 0..2 {
            let error = store.load(&key(1)).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{}: {error}", answer.escape_ascii());
        }
    }
}

#[tokio::test]
async fn what_others_have_put_in_the_place_of_a_record_is_damaged_and_can_be_set_aside() {
    let server = Memcached::start().unwrap();
    let store = options(&server).connect().await.unwrap();
    fill(&store, 1, &record("one")).await;
    let other = AsyncMemcache::connect([server.address().to_string()]).await.unwrap();
    // The name of the item of key zero, as the page of the driver has it.
    let name = format!("sf:s{}", "A".repeat(22));
    other.set(&name, "not a record", Duration::from_secs(60)).await.unwrap();
    assert_eq!(store.load(&key(0)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    store.set_aside(&key(0)).await.unwrap();
    assert_eq!(store.load(&key(0)).await.unwrap(), Loaded::Missing);
    let aside: Option<String> = other.get(name.replacen("sf:s", "sf:d", 1)).await.unwrap();
    assert_eq!(aside.as_deref(), Some("not a record"), "an operator can look at it");
}
