//! A server that hangs, goes and comes back; connections that are open at one end only.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use steadfast::ErrorKind;
use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::{Loaded, Store, StoreKey};
use steadfast_servers::{Redis, Server as _};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::fixture::{load, own_prefix, record, stored};

const ANSWER: Duration = Duration::from_millis(200);
const CONNECT: Duration = Duration::from_millis(400);

/// What a call may take at most, on a machine that does other things, too.
const BOUND: Duration = Duration::from_secs(3);

async fn impatient(address: SocketAddr) -> RedisStore {
    let options =
        RedisStore::options().response_timeout(ANSWER).connect_timeout(CONNECT).prefix(own_prefix());
    options.connect(Servers::One(address.ip().to_string(), address.port())).await.unwrap()
}

async fn check_bounded(store: &RedisStore, key: &StoreKey) -> ErrorKind {
    let began = Instant::now();
    let error = store.load(key).await.unwrap_err();
    assert!(began.elapsed() < BOUND, "an answer after {:?}", began.elapsed());
    assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Unavailable), "{error:?}");
    error.kind()
}

/// Calls until there is an answer, which must come by itself.
async fn answered(store: &RedisStore, key: &StoreKey) -> Loaded {
    let began = Instant::now();
    loop {
        match store.load(key).await {
            Ok(loaded) => return loaded,
            Err(error) => {
                assert!(began.elapsed() < Duration::from_secs(15), "it does not recover: {error:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_bounded_time_and_is_found_again() {
    let server = Redis::start().unwrap();
    let store = impatient(server.address()).await;
    let key = stored(&store, &record("kept")).await;
    server.pause();
    assert_eq!(check_bounded(&store, &key).await, ErrorKind::TimedOut);
    for _ in 0..4 {
        check_bounded(&store, &key).await;
    }
    server.resume();
    assert!(matches!(answered(&store, &key).await, Loaded::Found(_)));
}

#[tokio::test]
async fn a_server_that_was_killed_costs_next_to_nothing_and_is_found_again() {
    let server = Redis::start().unwrap();
    let store = impatient(server.address()).await;
    let key = stored(&store, &record("kept")).await;
    server.kill().unwrap();
    assert_eq!(check_bounded(&store, &key).await, ErrorKind::Unavailable);
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(check_bounded(&store, &key).await, ErrorKind::Unavailable);
    }
    assert!(began.elapsed() < BOUND, "a hundred calls fail in {:?}", began.elapsed());
    server.restart().unwrap();
    assert!(matches!(answered(&store, &key).await, Loaded::Found(_)), "what was acknowledged is there");
}

#[tokio::test]
async fn a_connection_that_ended_while_idle_is_replaced_before_a_call() {
    let server = Redis::start().unwrap();
    let store = impatient(server.address()).await;
    let key = stored(&store, &record("kept")).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    // The driver is told by the end of the connection, which takes a turn of the runtime.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(load(&store, &key).await.is_some());
}

#[tokio::test]
async fn a_connection_that_is_open_at_one_end_only_is_replaced() {
    let server = Redis::start().unwrap();
    let relay = Relay::start(server.address()).await;
    let store = impatient(relay.address).await;
    let key = stored(&store, &record("kept")).await;
    relay.forget_open_ones();
    assert_eq!(check_bounded(&store, &key).await, ErrorKind::TimedOut);
    assert!(matches!(answered(&store, &key).await, Loaded::Found(_)));
}

#[tokio::test]
async fn a_call_that_was_given_up_leaves_the_others_alone() {
    let server = Redis::start().unwrap();
    let store = impatient(server.address()).await;
    let key = stored(&store, &record("kept")).await;
    for wait in (0..50).map(Duration::from_micros) {
        let given_up = tokio::time::timeout(wait, store.load(&key)).await;
        drop(given_up);
        let found = load(&store, &key).await.expect("each call gets its own answer");
        assert_eq!(found.payload, "kept");
    }
}

/// Passes on what goes through, until it forgets the connections that are open then: both ends stay open, and
/// nothing goes through any more. As a firewall does that was started anew.
struct Relay {
    address: SocketAddr,
    age: watch::Sender<u32>,
}

impl Relay {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (age, ages) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut ages = ages.clone();
                ages.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = ages.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, age }
    }

    fn forget_open_ones(&self) {
        self.age.send_modify(|age| *age += 1);
    }
}
