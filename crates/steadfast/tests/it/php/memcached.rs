//! Sessions in Memcached that are shared with CodeIgniter and with php-memcached.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast::{ErrorKind, Layout};

use steadfast::store::memcached::{Distribution, MemcachedOptions, MemcachedStore};
use steadfast::store::php::Site;
use steadfast::store::php::memcached::PhpMemcachedStore;
use steadfast::store::{Acquired, Created, LeaseEnd, Loaded, Predecessor, Replaced, Store, Updated};
use steadfast_servers::{Memcached, Proxy, Server as _};

use super::keyed::{self, Engine, FOR_AGES, create, data, hold, id, key, lease, load, lock, record, site};
use super::peer::Peer;

fn patient() -> MemcachedOptions {
    let patience = Duration::from_secs(10);
    MemcachedStore::options().connect_timeout(patience).response_timeout(patience)
}

fn options(server: &Memcached) -> MemcachedOptions {
    patient().server(server.address().to_string())
}

/// Says one line to the server and returns the first line of its answer, with its value.
fn say(server: &Memcached, command: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "{command}\r\n").unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let mut value = Vec::new();
    if let Some(rest) = line.strip_prefix("VA ") {
        value = vec![0; rest.split(' ').next().unwrap().trim().parse().unwrap()];
        stream.read_exact(&mut value).unwrap();
    }
    (line.trim_end().to_owned(), value)
}

/// Returns the flags of an item, as PHP's client library sets and reads them.
fn flags(server: &Memcached, key: &str) -> u32 {
    let (line, _) = say(server, &format!("mg {key} f"));
    line.strip_prefix("HD f").unwrap().parse().unwrap()
}

impl Engine for Memcached {
    type Store = PhpMemcachedStore;

    async fn store(&self, site: Site) -> PhpMemcachedStore {
        PhpMemcachedStore::connect(options(self), site, None).await.unwrap()
    }

    fn peer(&self, more: Value) -> Peer {
        let mut handler = json!({ "servers": [["127.0.0.1", self.address().port()]], "lock_wait_ms": 10, "lock_tries": 3000 });
        let mut options = json!({ "driver": "memcached" });
        for (name, value) in more.as_object().unwrap().clone() {
            if name == "handler" {
                handler.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            } else {
                options[name] = value;
            }
        }
        options["handler"] = handler;
        Peer::start(&options)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (line, value) = say(self, &format!("mg {key} v"));
        line.starts_with("VA").then_some(value)
    }

    fn del(&self, key: &str) {
        assert_eq!(say(self, &format!("md {key}")).0, "HD");
    }

    fn expire(&self, key: &str) {
        assert_eq!(say(self, &format!("mg {key} T-1")).0, "HD");
    }

    fn seconds_left(&self, key: &str) -> i64 {
        let (line, _) = say(self, &format!("mg {key} t"));
        line.strip_prefix("HD t").unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn each_call_keeps_its_contract() {
    keyed::the_contract_of_each_call(&Memcached::start().unwrap()).await;
}

#[tokio::test]
async fn a_session_lasts_as_long_as_php_lets_it() {
    keyed::a_lifetime_is_that_of_php(&Memcached::start().unwrap()).await;
}

#[tokio::test]
async fn codeigniter_reads_what_rust_wrote_and_rust_what_codeigniter_wrote() {
    keyed::both_read_what_the_other_wrote(&Memcached::start().unwrap()).await;
}

#[tokio::test]
async fn codeigniter_and_rust_keep_each_other_out() {
    keyed::a_lock_keeps_the_other_side_out(&Memcached::start().unwrap()).await;
}

#[tokio::test]
async fn a_write_without_a_lease_waits_for_codeigniter() {
    keyed::a_write_without_a_lease_waits_for_php(&Memcached::start().unwrap()).await;
}

#[tokio::test]
async fn a_lock_that_codeigniter_freed_is_noticed() {
    keyed::a_lock_that_php_freed_is_noticed(&Memcached::start().unwrap()).await;
}

#[tokio::test]
async fn a_killed_process_delays_the_other_side_until_its_lock_has_ended() {
    keyed::a_killed_side_leaves_the_other_working(&Memcached::start().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_of_codeigniter_3_and_rust_counts_every_increment() {
    let server = Memcached::start().unwrap();
    // CodeIgniter 3 adds its lock, so it has it or not. Its names are set to those of 4, which the fixture reads.
    let options =
        json!({ "layout": "ci3", "time_to_update": 0, "handler": { "prefix": "ci_session:ci_session:" } });
    assert_eq!(keyed::count_together(&server, options, 3, 3, 12).await, 72);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_of_one_codeigniter_4_and_rust_counts_every_increment() {
    let server = Memcached::start().unwrap();
    // Two processes of CodeIgniter 4 overwrite each other by themselves, so there is one.
    let options = json!({ "time_to_update": 0 });
    assert_eq!(keyed::count_together(&server, options, 1, 3, 12).await, 48);
}

#[tokio::test]
async fn a_lock_that_codeigniter_set_over_ours_is_noticed() {
    let server = Memcached::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    // It looks for the lock, finds none, and sets it half a second later.
    let handler = json!({ "set_lock_after_ms": 500 });
    let mut php = server.peer(json!({ "time_to_update": 0, "handler": handler }));
    let id = id();
    create(&store, &id, "n|i:1;").await;
    let looks = || -> u64 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"stats\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        lines.find_map(|line| line.strip_prefix("STAT get_misses ").map(|n| n.parse().unwrap())).unwrap()
    };
    let before = looks();
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    keyed::until(|| looks() > before).await;
    let mine = lease(FOR_AGES);
    let found = hold(&store, &id, mine).await;
    php.event("waiting").await;
    // Both believe that they have it. PHP's is the one that counts, since PHP does not look again.
    let lost = record("n|i:99;", found.now);
    let end = LeaseEnd::Release(mine.token);
    let key = key(&id);
    let (_, updated) =
        tokio::join!(async { php.go_on() }, store.update(&key, found.record.version, &lost, end));
    assert_eq!(updated.unwrap(), Updated::Stale);
    php.answer().await;
    assert_eq!(server.get(&data(&id)).unwrap(), b"n|i:2;");
}

#[tokio::test]
async fn what_php_compressed_is_read_and_plain_bytes_are_written() {
    let server = Memcached::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    // Level 1 and, above 64 KiB, level 2 of FastLZ; and zlib.
    for (compression, length, expected) in
        [("fastlz", 6_000, 80), ("fastlz", 200_000, 80), ("zlib", 6_000, 48)]
    {
        let mut php = server.peer(json!({ "time_to_update": 0, "handler": { "compression": compression } }));
        let id = id();
        let value: String =
            (0..length).map(|n: u32| char::from(b'a' + (n.wrapping_mul(n) / 7 % 23) as u8)).collect();
        php.results(Some(&id), json!([{ "op": "set", "key": "big", "value": value }])).await;
        assert_eq!(flags(&server, &data(&id)), expected, "{compression}");
        let found = load(&store, &id).await.unwrap();
        let text = str::from_utf8(&found.record.payload).unwrap().to_owned();
        assert!(text.contains(&format!("big|s:{length}:\"{value}\";")), "{compression}, {length}");
        let next = record(format!("{text}n|i:1;"), found.now);
        let none = LeaseEnd::None;
        assert_eq!(
            store.update(&key(&id), found.record.version, &next, none).await.unwrap(),
            Updated::Stored
        );
        assert_eq!(flags(&server, &data(&id)), 0);
        let results =
            php.results(Some(&id), json!([{ "op": "get", "key": "big" }, { "op": "get", "key": "n" }])).await;
        assert_eq!(results, [json!(value), json!(1)]);
    }
}

#[tokio::test]
async fn php_memcached_and_rust_keep_each_other_out() {
    let server = Memcached::start().unwrap();
    let store = server.store(Site { lifetime: Duration::from_secs(1440), ..site(Layout::Php) }).await;
    let ini = json!({
        "memcached.sess_lock_wait_min": "10", "memcached.sess_lock_wait_max": "10", "memcached.sess_lock_retries": "3000",
    });
    let mut php = Peer::start(&json!({
        "driver": "native", "layout": "php", "save_handler": "memcached", "ini": ini, "lifetime": 1440,
        "save_path": server.address().to_string(),
    }));
    let id = id();
    php.results(Some(&id), json!([{ "op": "incr", "key": "n" }])).await;
    let mine = lease(FOR_AGES);
    let found = hold(&store, &id, mine).await;
    assert_eq!(found.record.payload, "n|i:1;");
    let its_lock = format!("memc.sess.key.lock.{id}");
    assert!(server.get(&its_lock).unwrap().starts_with(b"steadfast|"));
    php.send(
        &json!({ "cookie": id, "events": true, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }),
    );
    php.event("starting").await;
    let two = record("n|i:2;", found.now);
    let end = LeaseEnd::Release(mine.token);
    assert_eq!(store.update(&key(&id), found.record.version, &two, end).await.unwrap(), Updated::Stored);
    php.event("started").await;
    php.event("waiting").await;
    assert_eq!(store.acquire(&key(&id), mine).await.unwrap(), Acquired::Busy);
    let (_, found) = tokio::join!(async { php.go_on() }, keyed::wait_and_hold(&store, &id, mine));
    assert_eq!(found.record.payload, "n|i:3;");
    let left = server.seconds_left(&format!("memc.sess.key.{id}"));
    assert!((1438..=1440).contains(&left), "{left}");
}

#[tokio::test]
async fn sessions_and_locks_lie_where_each_php_system_looks_for_them() {
    let servers: Vec<Memcached> = (0..3).map(|_| Memcached::start().unwrap()).collect();
    let all =
        || servers.iter().fold(patient(), |options, server| options.server(server.address().to_string()));
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    let listed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let native = |hash: &str| {
        json!({
            "driver": "native", "layout": "php", "save_handler": "memcached", "save_path": listed,
            "ini": { "memcached.sess_consistent_hash_type": hash },
        })
    };
    let pairs: Vec<_> = addresses.iter().map(|address| json!(["127.0.0.1", address.port()])).collect();
    let ci4 = json!({ "driver": "memcached", "time_to_update": 0, "handler": { "servers": pairs } });
    let (weighted, lifetime) = (all().distribution(Distribution::Weighted), Duration::from_secs(1440));
    for (layout, php, options) in [
        (Layout::CodeIgniter4, ci4, all()),
        (Layout::Php, native("ketama"), all()),
        (Layout::Php, native("ketama_weighted"), weighted),
    ] {
        let store =
            PhpMemcachedStore::connect(options, Site { lifetime, ..site(layout) }, None).await.unwrap();
        let mut php = Peer::start(&php);
        for _ in 0..12 {
            let id = id();
            php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }] }));
            php.answer().await;
            php.send(&json!({ "cookie": id, "ops": [{ "op": "wait" }] }));
            php.event("waiting").await;
            assert!(matches!(store.load(&key(&id)).await.unwrap(), Loaded::Found(_)));
            let taken = store.acquire(&key(&id), lease(FOR_AGES)).await.unwrap();
            assert_eq!(taken, Acquired::Busy, "the lock is found, too");
            php.go_on();
            php.answer().await;
        }
    }
}

#[tokio::test]
async fn a_lifetime_of_more_than_thirty_days_lasts_and_none_lasts_for_ever() {
    let server = Memcached::start().unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let long = server.store(Site { lifetime: days(40), ..site(Layout::CodeIgniter4) }).await;
    let id = id();
    let now = long.now().await.unwrap();
    let mut one = record("n|i:1;", now);
    one.expires_at = now + days(40);
    assert_eq!(long.create(&key(&id), &one).await.unwrap(), Created::Stored);
    let left = server.seconds_left(&data(&id));
    assert!((40 * 86_400 - 2..=40 * 86_400 + 1).contains(&left), "{left}");
    let endless = server.store(Site { lifetime: Duration::ZERO, ..site(Layout::CodeIgniter4) }).await;
    let id = keyed::id();
    assert_eq!(endless.create(&key(&id), &record("n|i:1;", now)).await.unwrap(), Created::Stored);
    assert_eq!(server.seconds_left(&data(&id)), -1);
    assert_eq!(load(&endless, &id).await.unwrap().record.expires_at, steadfast::Timestamp::MAX);
}

#[tokio::test]
async fn what_a_call_costs_in_round_trips() {
    let server = Memcached::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let options = patient().server(proxy.address().to_string());
    let store = PhpMemcachedStore::connect(options, site(Layout::CodeIgniter4), None).await.unwrap();
    let id = id();
    let (key, mine, now) = (key(&id), lease(FOR_AGES), store.now().await.unwrap());
    let (one, two, three) = (record("1", now), record("2", now), record("3", now));
    let packets = || proxy.traffic().requests.packets;
    let mut before = packets();
    let mut costs = |what: &str, expected: u64| {
        let after = packets();
        assert_eq!(after - before, expected, "{what}");
        before = after;
    };
    let _ = store.create(&key, &one).await.unwrap();
    costs("create", 2);
    let _ = store.acquire(&key, mine).await.unwrap();
    costs("acquire", 1);
    assert_eq!(store.acquire(&key, lease(FOR_AGES)).await.unwrap(), Acquired::Busy);
    costs("acquire, busy", 1);
    let end = LeaseEnd::Release(mine.token);
    assert_eq!(store.update(&key, one.version, &two, end).await.unwrap(), Updated::Stored);
    costs("commit", 2);
    assert_eq!(store.update(&key, two.version, &three, LeaseEnd::None).await.unwrap(), Updated::Stored);
    costs("update", 2);
    let _ = store.touch(&key, three.expires_at).await.unwrap();
    costs("touch", 1);
    let _ = store.load(&key).await.unwrap();
    costs("load", 1);
    hold(&store, &id, mine).await;
    costs("acquire again", 1);
    let new = keyed::key(&keyed::id());
    let update = Predecessor::Update(&one);
    let replaced = store.replace(&key, three.version, update, &new, &two).await.unwrap();
    assert_eq!(replaced, Replaced::Stored);
    costs("change of privilege", 4);
    let _ = store.delete(&key, None).await.unwrap();
    costs("delete", 3);
}

#[tokio::test]
async fn what_is_no_session_is_damaged_and_set_aside() {
    let server = Memcached::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    // An integer, as locks are; the first line of the answer is all that is read.
    assert_eq!(say(&server, &format!("ms {} 1 F1\r\n7", data(&id))).0, "HD");
    assert_eq!(store.load(&key(&id)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    store.set_aside(&key(&id)).await.unwrap();
    assert!(load(&store, &id).await.is_none());
    assert_eq!(server.get(&format!("{}:damaged", data(&id))).unwrap(), b"7");
    assert_eq!(server.get(&lock(&id)), None);
    let limit = std::num::NonZeroUsize::MIN;
    assert_eq!(store.page(None, limit).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(store.count().await.unwrap_err().kind(), ErrorKind::Unsupported);
}
