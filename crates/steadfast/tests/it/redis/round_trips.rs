//! What each call costs, as the server counts it: `INFO commandstats` after `CONFIG RESETSTAT`.
//!
//! Where `evalsha` is 1 it is what the driver sent, one command and one round trip; the others were run by the
//! script. Where it is missing the driver sent what is counted.
//!
//! A call that reads also asks for the time, if the driver was not told it for a second.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use steadfast::store::redis::{RedisStore, Servers};
use steadfast::store::{LeaseEnd, Predecessor, Record, Store, StoreKey, Touched};
use steadfast_servers::{Redis, Server as _};

use super::fixture::{hold, key, lease, load, own, record, stored, user};

/// A server whose counters nobody else moves.
struct Counted {
    server: Redis,
    store: RedisStore,
}

impl Counted {
    async fn start() -> Self {
        let server = Redis::start().unwrap();
        let store = own().connect(Servers::One("127.0.0.1".into(), server.port())).await.unwrap();
        Self { server, store }
    }

    fn reset(&self) {
        self.server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    }

    /// Returns how often each command ran since the last reset.
    fn counts(&self) -> BTreeMap<String, u64> {
        let info = self.server.command(&["INFO", "commandstats"]).unwrap();
        info.text()
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
                Some((name.to_owned(), rest.split_once(',')?.0.parse().ok()?))
            })
            .filter(|(name, _)| !name.starts_with("config") && name != "info")
            .collect()
    }

    /// Returns the same as a line: `get 1, time 1`.
    fn counted(&self) -> String {
        let counts = self.counts();
        counts.iter().map(|(name, calls)| format!("{name} {calls}")).collect::<Vec<_>>().join(", ")
    }

    /// Counts what a call costs, warm.
    async fn check<T>(&self, what: &str, call: impl AsyncFnOnce(&RedisStore) -> T, expected: &str) {
        self.reset();
        call(&self.store).await;
        let counted = self.counted();
        assert_eq!(counted, expected, "{what}");
    }

    /// Lets the server learn the scripts that the table is about.
    async fn warm(&self) {
        let one = record("one");
        let key = stored(&self.store, &one).await;
        let bound = stored(&self.store, &Record { user: Some(user()), ..record("bound") }).await;
        let lease = lease();
        hold(&self.store, &key, lease).await;
        let _ = self.store.renew(&key, lease).await.unwrap();
        self.store.release(&key, lease.token).await.unwrap();
        self.store.released(&key, Duration::ZERO).await;
        let _ = self.store.touch(&key, one.expires_at).await.unwrap();
        let two = record("two");
        let _ = self.store.update(&key, one.version, &two, LeaseEnd::None).await.unwrap();
        let new = record("new");
        let new_key = self::key();
        let _ = self.store.replace(&key, two.version, Predecessor::Delete, &new_key, &new).await.unwrap();
        let _ = self.store.delete(&new_key, None).await.unwrap();
        self.store.set_aside(&bound).await.unwrap();
    }

    /// Counts what a call costs while the driver knows the server's time, and what it costs to ask for it.
    ///
    /// It is asked for once a second, and a busy machine may need that for a single call.
    async fn check_timed<T>(
        &self,
        what: &str,
        call: impl AsyncFn(&RedisStore) -> T,
        knowing: &str,
        asking: &str,
    ) {
        for _ in 0..100 {
            self.reset();
            call(&self.store).await;
            let counted = self.counted();
            if counted == knowing {
                return;
            }
            assert_eq!(counted, asking, "{what}");
        }
        panic!("{what}: each call asks for the time");
    }
}

#[tokio::test]
async fn every_call_of_a_request_is_one_command() {
    let at = Counted::start().await;
    at.warm().await;
    let (one, two, three) = (record("one"), record("two"), record("three"));
    let (key, lease) = (key(), lease());

    at.check("create", async |s| s.create(&key, &one).await.unwrap(), "set 1").await;
    let asking = "evalsha 1, get 1, time 1";
    at.check_timed("load", async |s| s.load(&key).await.unwrap(), "get 1", asking).await;
    let (known, asked) = ("evalsha 1, get 1, setrange 1", "evalsha 1, get 1, setrange 1, time 1");
    at.check_timed("acquire", async |s| s.acquire(&key, lease).await.unwrap(), known, asked).await;
    let busy = async |s: &RedisStore| s.acquire(&key, self::lease()).await.unwrap();
    at.check_timed("acquire, busy", busy, "evalsha 1, get 1", asking).await;
    let renew = "evalsha 1, getrange 1, setrange 1, time 1";
    at.check("renew", async |s| s.renew(&key, lease).await.unwrap(), renew).await;
    let end = LeaseEnd::Release(lease.token);
    let update = "evalsha 1, getrange 1, set 1";
    at.check("commit", async |s| s.update(&key, one.version, &two, end).await.unwrap(), update).await;
    let none = LeaseEnd::None;
    at.check("update", async |s| s.update(&key, two.version, &three, none).await.unwrap(), update).await;
    let stale = async |s: &RedisStore| s.update(&key, two.version, &one, none).await.unwrap();
    at.check("update, stale", stale, "evalsha 1, getrange 1").await;
    hold(&at.store, &key, lease).await;
    let release = "evalsha 1, getrange 1, setrange 1";
    at.check("release", async |s| s.release(&key, lease.token).await.unwrap(), release).await;
    let touch = "evalsha 1, getrange 1, pexpireat 1, setrange 1";
    at.check("touch", async |s| s.touch(&key, one.expires_at).await.unwrap(), touch).await;
    let delete = "del 1, evalsha 1, getrange 1";
    at.check("delete", async |s| s.delete(&key, Some(three.version)).await.unwrap(), delete).await;
    let missing = async |s: &RedisStore| s.load(&key).await.unwrap();
    at.check_timed("load, missing", missing, "get 1", "evalsha 1, get 1").await;
}

#[tokio::test]
async fn the_time_is_asked_for_once_a_second() {
    let at = Counted::start().await;
    let key = stored(&at.store, &record("read")).await;
    at.reset();
    let (began, mut slow) = (Instant::now(), 0);
    for _ in 0..500 {
        let began = Instant::now();
        assert!(load(&at.store, &key).await.is_some());
        // What a slow answer tells of the time is not gone by.
        slow += u64::from(began.elapsed() >= Duration::from_millis(10));
    }
    let most = 1 + began.elapsed().as_secs() + slow;
    let counts = at.counts();
    assert_eq!(counts["get"], 500);
    assert!((1..=most).contains(&counts["time"]), "{counts:?}, and at most {most} should ask for the time");
    assert_eq!(counts["evalsha"] + counts.get("eval").unwrap_or(&0), counts["time"]);
}

#[tokio::test]
async fn a_change_of_privilege_and_its_index_are_one_command() {
    let at = Counted::start().await;
    at.warm().await;
    let user = user();
    let (old, new) = (record("old"), Record { user: Some(user), ..record("new") });
    let (old_key, new_key) = (stored(&at.store, &old).await, key());
    let frozen = record("frozen");
    let login = async |s: &RedisStore| {
        let frozen = Predecessor::Update(&frozen);
        s.replace(&old_key, old.version, frozen, &new_key, &new).await.unwrap()
    };
    at.check("sign-in", login, "evalsha 1, getrange 2, set 2, zadd 1").await;
    let bound = Record { user: Some(user), ..record("bound") };
    let create = async |s: &RedisStore| s.create(&key(), &bound).await.unwrap();
    at.check("create, bound", create, "evalsha 1, set 1, zadd 1").await;
    let next = Record { user: Some(user), ..record("next") };
    let update = async |s: &RedisStore| s.update(&new_key, new.version, &next, LeaseEnd::None).await.unwrap();
    at.check("update, bound", update, "evalsha 1, getrange 1, set 1").await;
    let end = async |s: &RedisStore| s.delete(&new_key, Some(next.version)).await.unwrap();
    at.check("sign-out", end, "del 1, evalsha 1, getrange 1, zrem 1").await;
}

#[tokio::test]
async fn the_list_of_a_user_costs_two_commands_for_a_hundred_records() {
    let at = Counted::start().await;
    let user = user();
    for _ in 0..7 {
        stored(&at.store, &Record { user: Some(user), ..record("") }).await;
    }
    at.reset();
    let limit = NonZeroUsize::new(7).unwrap();
    assert_eq!(at.store.of_user(&user, None, limit).await.unwrap().len(), 7);
    assert_eq!(at.counted(), "mget 1, zrangebylex 1");
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_sent_the_text_once() {
    let at = Counted::start().await;
    at.warm().await;
    let kept = record("kept");
    let key = stored(&at.store, &kept).await;
    at.server.command(&["SCRIPT", "FLUSH"]).unwrap();
    let touch =
        async |s: &RedisStore| assert_eq!(s.touch(&key, kept.expires_at).await.unwrap(), Touched::Moved);
    let forgotten = "eval 1, evalsha 1, getrange 1, pexpireat 1, setrange 1";
    at.check("forgotten", touch, forgotten).await;
    at.check("then", touch, "evalsha 1, getrange 1, pexpireat 1, setrange 1").await;
}

#[tokio::test]
async fn a_session_takes_as_much_memory_as_the_page_says() {
    let at = Counted::start().await;
    let names = |key: &StoreKey| format!("{{{}}}", key.to_hex());
    let plain = key();
    let store = steadfast::store::redis::RedisStore::options()
        .connect(Servers::One("127.0.0.1".into(), at.server.port()))
        .await
        .unwrap();
    assert!(store.create(&plain, &record(vec![7; 300])).await.is_ok());
    let name = format!("steadfast:{}", names(&plain));
    let used = at.server.command(&["MEMORY", "USAGE", &name]).unwrap();
    let steadfast_servers::Reply::Number(used) = used else { panic!("a number: {used:?}") };
    // 300 bytes of payload and 35 of head; the rest is Redis' own.
    assert!((400..=512).contains(&used), "{used} bytes");
}
