//! Sessions in Redis that are shared with CodeIgniter and with phpredis.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast::{ErrorKind, Layout};

use steadfast::store::php::Site;
use steadfast::store::php::redis::PhpRedisStore;
use steadfast::store::redis::{RedisOptions, RedisStore, Servers};
use steadfast::store::{Acquired, LeaseEnd, Predecessor, SharedName, Store, StoreKey, Updated};
use steadfast_servers::{Options, Redis, Reply, Server as _};

use super::keyed::{self, Engine, FOR_AGES, create, data, hold, id, key, lease, load, lock, record, site};
use super::peer::Peer;

fn patient() -> RedisOptions {
    RedisStore::options().connect_timeout(Duration::from_secs(10)).response_timeout(Duration::from_secs(10))
}

fn at(server: &Redis) -> Servers {
    Servers::One("127.0.0.1".into(), server.port())
}

async fn connect(server: &Redis, site: Site, prefix: Option<&str>) -> PhpRedisStore {
    PhpRedisStore::connect(patient(), at(server), site, prefix).await.unwrap()
}

/// Adds options to options, those of the handler included.
fn merge(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        if name == "handler" {
            merge(&mut into["handler"], value);
        } else {
            into[name] = value.clone();
        }
    }
}

impl Engine for Redis {
    type Store = PhpRedisStore;

    async fn store(&self, site: Site) -> PhpRedisStore {
        connect(self, site, None).await
    }

    fn peer(&self, more: Value) -> Peer {
        let mut options =
            json!({ "driver": "redis", "handler": { "host": "127.0.0.1", "port": self.port() } });
        merge(&mut options, &more);
        Peer::start(&options)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.command(&["GET", key]).unwrap() {
            Reply::Nothing => None,
            reply => Some(reply.text().into()),
        }
    }

    fn del(&self, key: &str) {
        self.command(&["DEL", key]).unwrap();
    }

    fn expire(&self, key: &str) {
        self.command(&["PEXPIRE", key, "1"]).unwrap();
    }

    fn seconds_left(&self, key: &str) -> i64 {
        match self.command(&["TTL", key]).unwrap() {
            Reply::Number(seconds) => seconds,
            other => panic!("{other:?}"),
        }
    }
}

/// A server on which the site's user may do what the page says, and nothing else.
struct Restricted(Redis);

impl Engine for Restricted {
    type Store = PhpRedisStore;

    async fn store(&self, site: Site) -> PhpRedisStore {
        let options = patient().user("app").password("secret");
        PhpRedisStore::connect(options, at(&self.0), site, None).await.unwrap()
    }

    fn peer(&self, more: Value) -> Peer {
        self.0.peer(more)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn del(&self, key: &str) {
        self.0.del(key);
    }

    fn expire(&self, key: &str) {
        self.0.expire(key);
    }

    fn seconds_left(&self, key: &str) -> i64 {
        self.0.seconds_left(key)
    }
}

#[tokio::test]
async fn the_rights_of_the_page_are_enough() {
    let page = include_str!("../../../../../docs/layouts/redis-memcached.md");
    let rights = page.split_once("has `").unwrap().1.split('`').next().unwrap();
    let server = Restricted(Redis::start().unwrap());
    let user = ["ACL", "SETUSER", "app", "on", ">secret", "~ci_session:*"];
    server.0.command(&user.into_iter().chain(rights.split(' ')).collect::<Vec<_>>()).unwrap();
    keyed::the_contract_of_each_call(&server).await;
    let store = server.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    create(&store, &id, "1").await;
    assert_eq!(store.page(None, NonZeroUsize::MIN).await.unwrap().len(), 1);
    assert_eq!(store.count().await.unwrap(), 1);
    store.released(&key(&id), FOR_AGES).await;
}

#[tokio::test]
async fn each_call_keeps_its_contract() {
    keyed::the_contract_of_each_call(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_session_lasts_as_long_as_php_lets_it() {
    keyed::a_lifetime_is_that_of_php(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn codeigniter_reads_what_rust_wrote_and_rust_what_codeigniter_wrote() {
    keyed::both_read_what_the_other_wrote(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn codeigniter_and_rust_keep_each_other_out() {
    keyed::a_lock_keeps_the_other_side_out(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_write_without_a_lease_waits_for_codeigniter() {
    keyed::a_write_without_a_lease_waits_for_php(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_lock_that_codeigniter_freed_is_noticed() {
    keyed::a_lock_that_php_freed_is_noticed(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_killed_process_delays_the_other_side_until_its_lock_has_ended() {
    keyed::a_killed_side_leaves_the_other_working(&Redis::start().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_of_codeigniter_and_rust_counts_every_increment() {
    let server = Redis::start().unwrap();
    let options = json!({ "time_to_update": 0, "handler": { "lock_wait_ms": 5, "lock_tries": 10_000 } });
    assert_eq!(keyed::count_together(&server, options, 3, 3, 40).await, 240);
}

#[tokio::test]
async fn keys_are_those_of_each_php_system() {
    let server = Redis::start().unwrap();
    let name =
        |ip: Option<&str>| SharedName::new(b"0123abc", ip.map(|ip| ip.parse().unwrap())).unwrap().key();
    let check = async |layout, prefix: Option<&str>, ip, data: &str, lock: &str| {
        let store = connect(&server, site(layout), prefix).await;
        let one = record("n|i:1;", store.now().await.unwrap());
        let _ = store.create(&name(ip), &one).await.unwrap();
        assert!(matches!(store.acquire(&name(ip), lease(FOR_AGES)).await.unwrap(), Acquired::Held(_)));
        assert_eq!(server.get(data).as_deref(), Some(&b"n|i:1;"[..]), "{data}");
        assert!(server.get(lock).unwrap().starts_with(b"steadfast|"), "{lock}");
    };
    let ip = Some("127.0.0.1");
    let (ci4, ci3, php) = (Layout::CodeIgniter4, Layout::CodeIgniter3, Layout::Php);
    check(ci4, None, None, "ci_session:ci_session:0123abc", "ci_session:ci_session:0123abc:lock").await;
    let with_ip = "ci_session:ci_session:127.0.0.1:0123abc";
    check(ci4, None, ip, with_ip, &format!("{with_ip}:lock")).await;
    check(ci4, Some("app:"), ip, "app:127.0.0.1:0123abc", "app:127.0.0.1:0123abc:lock").await;
    check(ci3, None, None, "ci_session:0123abc", "ci_session:0123abc:lock").await;
    check(php, None, None, "PHPREDIS_SESSION:0123abc", "PHPREDIS_SESSION:0123abc_LOCK").await;
    check(php, Some("APP:"), None, "APP:0123abc", "APP:0123abc_LOCK").await;
}

#[tokio::test]
async fn phpredis_and_rust_keep_each_other_out() {
    let server = Redis::start().unwrap();
    let store = server.store(Site { lifetime: Duration::from_secs(1440), ..site(Layout::Php) }).await;
    let ini = json!({ "redis.session.locking_enabled": "1", "redis.session.lock_retries": "-1" });
    let mut php = Peer::start(&json!({
        "driver": "native", "layout": "php", "save_handler": "redis", "ini": ini, "lifetime": 1440,
        "save_path": format!("tcp://127.0.0.1:{}", server.port()),
    }));
    let id = id();
    php.results(Some(&id), json!([{ "op": "incr", "key": "n" }])).await;
    let mine = lease(FOR_AGES);
    let found = hold(&store, &id, mine).await;
    assert_eq!(found.record.payload, "n|i:1;");
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
    assert_eq!(server.seconds_left(&format!("PHPREDIS_SESSION:{id}")), 1440);
}

/// Returns how often each command ran since the last reset.
fn counted(server: &Redis) -> String {
    let info = server.command(&["INFO", "commandstats"]).unwrap();
    let counts: BTreeMap<_, _> = info
        .text()
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split_once(',')?.0.to_owned()))
        })
        .filter(|(name, _)| !name.starts_with("config") && name != "info")
        .collect();
    counts.iter().map(|(name, calls)| format!("{name} {calls}")).collect::<Vec<_>>().join(", ")
}

/// Counts what a call costs, warm.
async fn costs<T>(
    server: &Redis,
    store: &PhpRedisStore,
    what: &str,
    call: impl AsyncFnOnce(&PhpRedisStore) -> T,
    expected: &str,
) {
    server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    call(store).await;
    assert_eq!(counted(server), expected, "{what}");
}

#[tokio::test]
async fn every_call_of_a_request_is_one_command() {
    let server = Redis::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    keyed::the_contract_of_each_call(&server).await;
    let (id, mine, now) = (id(), lease(FOR_AGES), store.now().await.unwrap());
    let (key, new) = (key(&id), keyed::key(&keyed::id()));
    let (one, two, three) = (record("1", now), record("2", now), record("3", now));
    let s = &server;
    let created = "evalsha 1, exists 1, get 1, set 1, time 1";
    costs(s, &store, "create", async |s| s.create(&key, &one).await.unwrap(), created).await;
    let acquired = "evalsha 1, get 2, pttl 1, set 1, time 1";
    costs(s, &store, "acquire", async |s| s.acquire(&key, mine).await.unwrap(), acquired).await;
    let busy = lease(FOR_AGES);
    costs(s, &store, "busy", async |s| s.acquire(&key, busy).await.unwrap(), "evalsha 1, get 1").await;
    let renewed = "evalsha 1, exists 1, get 1, pexpire 1";
    costs(s, &store, "renew", async |s| s.renew(&key, mine).await.unwrap(), renewed).await;
    let end = LeaseEnd::Release(mine.token);
    let committed = "del 1, evalsha 1, get 2, set 1, time 1";
    costs(s, &store, "commit", async |s| s.update(&key, one.version, &two, end).await.unwrap(), committed)
        .await;
    let none = LeaseEnd::None;
    let updated = "evalsha 1, get 2, set 1, time 1";
    costs(s, &store, "update", async |s| s.update(&key, two.version, &three, none).await.unwrap(), updated)
        .await;
    let same = "evalsha 1, expire 1, get 2, time 1";
    costs(s, &store, "the same", async |s| s.update(&key, three.version, &three, none).await.unwrap(), same)
        .await;
    hold(&store, &id, mine).await;
    let released = "del 1, evalsha 1, get 1";
    costs(s, &store, "release", async |s| s.release(&key, mine.token).await.unwrap(), released).await;
    let touched = "evalsha 1, expire 1, time 1";
    costs(s, &store, "touch", async |s| s.touch(&key, one.expires_at).await.unwrap(), touched).await;
    let loaded = "evalsha 1, get 1, pttl 1, time 1";
    costs(s, &store, "load", async |s| s.load(&key).await.unwrap(), loaded).await;
    let replace = async |s: &PhpRedisStore| {
        s.replace(&key, three.version, Predecessor::Update(&one), &new, &two).await.unwrap()
    };
    costs(s, &store, "sign-in", replace, "evalsha 1, exists 1, get 3, set 2, time 2").await;
    let deleted = "del 1, evalsha 1, get 2";
    costs(s, &store, "delete", async |s| s.delete(&new, Some(two.version)).await.unwrap(), deleted).await;
    // A version that was seen by somebody else costs a look.
    let other = server.store(site(Layout::CodeIgniter4)).await;
    let looked = "evalsha 2, get 3, pttl 1, set 1, time 2";
    costs(s, &other, "unseen", async |s| s.update(&key, one.version, &two, none).await.unwrap(), looked)
        .await;
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_sent_the_text_once() {
    let server = Redis::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    create(&store, &id, "1").await;
    server.command(&["SCRIPT", "FLUSH"]).unwrap();
    let text = "eval 1, evalsha 1, get 1, pttl 1, time 1";
    costs(&server, &store, "load", async |s| load(s, &id).await, text).await;
    costs(&server, &store, "again", async |s| load(s, &id).await, "evalsha 1, get 1, pttl 1, time 1").await;
}

#[tokio::test]
async fn sessions_are_listed_in_the_order_of_their_keys_with_their_names() {
    let server = Redis::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    let mut keys: Vec<StoreKey> = Vec::new();
    for _ in 0..25 {
        let id = id();
        create(&store, &id, "1").await;
        keys.push(key(&id));
    }
    keys.sort();
    // A lock, and what another site keeps on the same server.
    let held = keys[3].shared().unwrap().id().to_owned();
    hold(&store, &held, lease(FOR_AGES)).await;
    server.command(&["SET", "ci_session:other:abc", "1"]).unwrap();
    server.command(&["LPUSH", &data("abcdef"), "no string"]).unwrap();
    let limit = NonZeroUsize::new(10).unwrap();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(after.as_ref(), limit).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        listed.extend(page);
    }
    assert_eq!(listed.iter().map(|listed| listed.key).collect::<Vec<_>>(), keys);
    assert!(listed.iter().all(|listed| listed.key.shared().is_some() && listed.record.payload == "1"));
    assert_eq!(store.count().await.unwrap(), 26, "what is no string is counted, and listed by nobody");
    assert!(!store.sample(limit).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_of_another_kind_is_damaged_and_set_aside() {
    let server = Redis::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    server.command(&["LPUSH", &data(&id), "no string"]).unwrap();
    assert_eq!(store.load(&key(&id)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    store.set_aside(&key(&id)).await.unwrap();
    assert!(load(&store, &id).await.is_none());
    let left = server.seconds_left(&format!("{}:damaged", data(&id)));
    assert!((604_790..=604_800).contains(&left), "{left}");
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start() {
    let server = Redis::start().unwrap();
    let refused = async |servers, site, prefix| {
        let error = PhpRedisStore::connect(patient(), servers, site, prefix).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        error.to_string()
    };
    let ci4 = site(Layout::CodeIgniter4);
    let cluster = Servers::Cluster(vec![("127.0.0.1".into(), server.port())]);
    assert!(refused(cluster, ci4.clone(), None).await.contains("keep these sessions on one server"));
    let endless = Site { lifetime: Duration::ZERO, ..ci4.clone() };
    assert!(refused(at(&server), endless, None).await.contains("session.gc_maxlifetime"));
    assert!(refused(at(&server), ci4, Some("a b")).await.contains("prefix"));
}

#[tokio::test]
async fn a_write_is_settled_when_replicas_have_it() {
    let server = Redis::start().unwrap();
    let _replica = server.replica(&Options::new()).unwrap();
    let options = patient().wait_replicas(1).wait_timeout(Duration::from_secs(20));
    let store = PhpRedisStore::connect(options, at(&server), site(Layout::CodeIgniter4), None).await.unwrap();
    let id = id();
    let one = create(&store, &id, "1").await;
    store.settle(&key(&id)).await.unwrap();
    server.command(&["SET", &data(&id), "lost in a failover"]).unwrap();
    let two = record("2", one.expires_at - keyed::LIFETIME);
    let none = LeaseEnd::None;
    assert_eq!(store.update(&key(&id), one.version, &two, none).await.unwrap(), Updated::Stale);
    server.command(&["SET", &data(&id), "1"]).unwrap();
    assert_eq!(store.update(&key(&id), one.version, &two, none).await.unwrap(), Updated::Stored);
    server.command(&["SET", &data(&id), "lost in a failover"]).unwrap();
    assert_eq!(store.settle(&key(&id)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_release_in_this_process_wakes_its_waiters_at_once() {
    let server = Redis::start().unwrap();
    let store = server.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    create(&store, &id, "1").await;
    let mine = lease(FOR_AGES);
    // The server learns the script.
    store.release(&keyed::key(&id), mine.token).await.unwrap();
    hold(&store, &id, mine).await;
    server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    let key = key(&id);
    let (_, released) = tokio::join!(store.released(&key, FOR_AGES), store.release(&key, mine.token));
    released.unwrap();
    assert_eq!(counted(&server), "del 1, evalsha 1, get 1", "nobody had to look");
    assert_eq!(server.get(&lock(&id)), None);
}
