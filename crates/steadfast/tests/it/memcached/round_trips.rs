//! What each call costs, by the server's own counters and by what goes over the wire.

use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use steadfast::Result;
use steadfast::store::memcached::MemcachedStore;
use steadfast::store::{
    Acquired, Created, Deleted, Lease, LeaseEnd, LeaseToken, Loaded, Predecessor, Record, Renewed, Replaced,
    Store, Touched, Updated, UserKey,
};
use steadfast_servers::{Memcached, Proxy, Server as _};

use super::{fill, key, record};

/// What a call costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost {
    /// Packets to the server, each of which waits for the answers to the one before it.
    round_trips: u64,
    /// Commands that read, those that only ask for the time included.
    gets: u64,
    sets: u64,
    touches: u64,
    deletes: u64,
}

const fn cost([round_trips, gets, sets, touches, deletes]: [u64; 5]) -> Cost {
    Cost { round_trips, gets, sets, touches, deletes }
}

/// A server that is asked over a proxy that counts.
struct Counted {
    server: Memcached,
    proxy: Proxy,
    store: MemcachedStore,
}

impl Counted {
    async fn new() -> Self {
        let server = Memcached::start().unwrap();
        let proxy = Proxy::start(server.address()).unwrap();
        let store = MemcachedStore::options().server(proxy.address().to_string()).connect().await.unwrap();
        Self { server, proxy, store }
    }

    fn so_far(&self) -> [u64; 5] {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.write_all(b"stats\r\n").unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| line != "END");
        let stats: HashMap<String, String> = lines
            .filter_map(|line| {
                let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        let sum = |names: &[&str]| names.iter().map(|name| stats[*name].parse::<u64>().unwrap()).sum();
        let packets = self.proxy.traffic().requests.packets;
        // The counters of the two commands that a tag can keep from happening leave those out.
        let deletes = sum(&["delete_hits", "delete_misses"]);
        [packets, sum(&["cmd_get"]), sum(&["cmd_set"]), sum(&["cmd_touch"]), deletes]
    }

    /// Checks what a call answers and what it costs.
    async fn check<T: PartialEq + std::fmt::Debug>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T>>,
        answer: impl FnOnce(&T) -> bool,
        expected: [u64; 5],
    ) {
        let before = self.so_far();
        let answered = call.await.unwrap();
        assert!(answer(&answered), "{name}: {answered:?}");
        let after = self.so_far();
        let spent = std::array::from_fn(|n| after[n] - before[n]);
        assert_eq!(cost(spent), cost(expected), "{name}");
    }
}

fn lease() -> Lease {
    Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(60) }
}

#[tokio::test]
async fn every_call_is_one_round_trip_while_the_version_is_remembered() {
    let c = Counted::new().await;
    let s = &c.store;
    let [one, two, three, four] = [(); 4].map(|()| record("payload"));
    let (k, held) = (key(1), lease());
    let later = one.expires_at + Duration::from_secs(60);
    c.check("create", s.create(&k, &one), |a| *a == Created::Stored, [1, 0, 1, 0, 0]).await;
    c.check("load", s.load(&k), |a| matches!(a, Loaded::Found(_)), [1, 2, 0, 0, 0]).await;
    c.check("acquire", s.acquire(&k, held), |a| matches!(a, Acquired::Held(_)), [1, 2, 1, 0, 0]).await;
    c.check("acquire again", s.acquire(&k, held), |a| matches!(a, Acquired::Held(_)), [1, 2, 1, 0, 0]).await;
    let ending = LeaseEnd::Renew(held);
    c.check(
        "update, renew",
        s.update(&k, one.version, &two, ending),
        |a| *a == Updated::Stored,
        [1, 0, 2, 0, 0],
    )
    .await;
    let ending = LeaseEnd::Release(held.token);
    c.check(
        "update, release",
        s.update(&k, two.version, &three, ending),
        |a| *a == Updated::Stored,
        [1, 0, 1, 0, 1],
    )
    .await;
    let ending = LeaseEnd::None;
    c.check("update", s.update(&k, three.version, &four, ending), |a| *a == Updated::Stored, [1, 0, 1, 0, 0])
        .await;
    c.check("touch", s.touch(&k, later), |a| *a == Touched::Moved, [1, 0, 0, 1, 0]).await;
    assert!(matches!(s.acquire(&k, held).await.unwrap(), Acquired::Held(_)));
    c.check("renew", s.renew(&k, held), |a| *a == Renewed::Extended, [1, 0, 1, 0, 0]).await;
    c.check("release", s.release(&k, held.token), |()| true, [1, 0, 0, 0, 1]).await;
    c.check(
        "delete over a version",
        s.delete(&k, Some(four.version)),
        |a| *a == Deleted::Gone,
        [1, 1, 0, 0, 2],
    )
    .await;
    c.check("delete", s.delete(&k, None), |a| *a == Deleted::Missing, [1, 0, 0, 0, 2]).await;
    c.check("now", s.now(), |_| true, [1, 1, 0, 0, 0]).await;
}

#[tokio::test]
async fn what_is_dearer_is_rare() {
    let c = Counted::new().await;
    let s = &c.store;
    let [one, two, three] = [(); 3].map(|()| record("payload"));
    let (k, held, nobodys, third) = (key(1), lease(), key(9), key(3));
    assert_eq!(s.create(&k, &one).await.unwrap(), Created::Stored);
    assert!(matches!(s.acquire(&k, held).await.unwrap(), Acquired::Held(_)));
    // Another node knows neither what the server calls the version, nor the lease.
    let other = MemcachedStore::options().server(c.proxy.address().to_string()).connect().await.unwrap();
    c.check("busy", other.acquire(&k, lease()), |a| *a == Acquired::Busy, [2, 3, 1, 0, 0]).await;
    c.check("missing", other.acquire(&nobodys, lease()), |a| *a == Acquired::Missing, [2, 2, 1, 0, 1]).await;
    let ending = LeaseEnd::None;
    c.check(
        "update of what was not read",
        other.update(&k, one.version, &two, ending),
        |a| *a == Updated::Stored,
        [2, 1, 1, 0, 0],
    )
    .await;
    let ending = LeaseEnd::Release(held.token);
    let stale = s.update(&k, one.version, &three, ending);
    // Refused, looked at, and the lease that was ended with it given back.
    c.check("stale update, release", stale, |a| *a == Updated::Stale, [3, 1, 2, 0, 1]).await;
    assert_eq!(other.acquire(&k, lease()).await.unwrap(), Acquired::Busy, "the lease is as it was");
    let (new_key, new) = (key(2), record("new"));
    let new = s.replace(&k, two.version, Predecessor::Update(&three), &new_key, &new);
    c.check("replace", new, |a| *a == Replaced::Stored, [3, 2, 2, 0, 1]).await;
    let bound = Record { user: Some(UserKey::from_bytes([1; 16])), ..record("bound") };
    c.check("create with a user", s.create(&third, &bound), |a| *a == Created::Stored, [1, 0, 3, 1, 0]).await;
}

#[tokio::test]
async fn calls_at_the_same_time_share_packets() {
    let c = Counted::new().await;
    fill(&c.store, 10, &record("payload")).await;
    let [packets, ..] = c.so_far();
    let loads: Vec<_> = (0..1000)
        .map(|n| {
            let store = c.store.clone();
            tokio::spawn(async move { store.load(&key(n % 10)).await })
        })
        .collect();
    for load in loads {
        assert!(matches!(load.await.unwrap().unwrap(), Loaded::Found(_)));
    }
    let [after, ..] = c.so_far();
    assert!(after - packets <= 100, "1000 loads took {} packets", after - packets);
}
