//! What Redis and Memcached have in common: keys and locks, against a PHP process that uses them, too.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use steadfast::store::php::Site;
use steadfast::store::{
    Acquired, Created, Deleted, Found, Lease, LeaseEnd, LeaseToken, Loaded, Predecessor, Record, Renewed,
    Replaced, SharedName, Store, StoreKey, Touched, Updated, Version,
};
use steadfast::{ErrorKind, Layout, Timestamp};

use super::peer::Peer;

pub(super) const LIFETIME: Duration = Duration::from_secs(7200);
pub(super) const FOR_AGES: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(5);

/// A server of one engine, as a test needs it.
pub(super) trait Engine {
    type Store: Store + Clone;

    /// Connects as a site.
    async fn store(&self, site: Site) -> Self::Store;

    /// Starts a PHP application on the same server, with these options besides.
    fn peer(&self, options: Value) -> Peer;

    /// Returns what a key holds.
    fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Deletes a key, as PHP deletes a lock: without a look.
    fn del(&self, key: &str);

    /// Lets a key end soon.
    fn expire(&self, key: &str);

    /// Returns the seconds that are left to a key, rounded.
    fn seconds_left(&self, key: &str) -> i64;
}

pub(super) fn site(layout: Layout) -> Site {
    let cookie_name = if layout == Layout::Php { "PHPSESSID" } else { "ci_session" };
    Site { layout, cookie_name: cookie_name.into(), lifetime: LIFETIME, lock_wait: Duration::from_secs(20) }
}

/// Returns an id that no other test has.
pub(super) fn id() -> String {
    format!("{:016x}{:016x}", Version::fresh().as_u64(), Version::fresh().as_u64())
}

pub(super) fn key(id: &str) -> StoreKey {
    SharedName::new(id.as_bytes(), None).unwrap().key()
}

/// Returns the key of an id's session as CodeIgniter 4 names it.
pub(super) fn data(id: &str) -> String {
    format!("ci_session:ci_session:{id}")
}

pub(super) fn lock(id: &str) -> String {
    format!("{}:lock", data(id))
}

/// Returns a record that was used at a time of the store's.
pub(super) fn record(payload: impl Into<Bytes>, now: Timestamp) -> Record {
    let payload = payload.into();
    Record { version: Version::of_content(&payload), payload, expires_at: now + LIFETIME, user: None }
}

pub(super) fn lease(ttl: Duration) -> Lease {
    Lease { token: LeaseToken::fresh(), ttl }
}

pub(super) async fn create(store: &impl Store, id: &str, payload: &'static str) -> Record {
    let record = record(payload, store.now().await.unwrap());
    assert_eq!(store.create(&key(id), &record).await.unwrap(), Created::Stored);
    record
}

pub(super) async fn load(store: &impl Store, id: &str) -> Option<Found> {
    match store.load(&key(id)).await.unwrap() {
        Loaded::Found(found) => Some(found),
        Loaded::Missing => None,
    }
}

pub(super) async fn hold(store: &impl Store, id: &str, lease: Lease) -> Found {
    match store.acquire(&key(id), lease).await.unwrap() {
        Acquired::Held(found) => found,
        other => panic!("not held: {other:?}"),
    }
}

/// Waits for the lock as the life cycle does, and returns what was found under it.
pub(super) async fn wait_and_hold(store: &impl Store, id: &str, lease: Lease) -> Found {
    let key = key(id);
    let waiting = async {
        loop {
            match store.acquire(&key, lease).await.unwrap() {
                Acquired::Held(found) => return found,
                Acquired::Busy => store.released(&key, FOR_AGES).await,
                Acquired::Missing => panic!("there is a session"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap()
}

/// Reads the counter out of a session in PHP's format, and writes it one higher.
pub(super) fn incremented(payload: &[u8]) -> String {
    let text = str::from_utf8(payload).unwrap();
    let Some((before, rest)) = text.split_once("n|i:") else { return format!("{text}n|i:1;") };
    let (number, after) = rest.split_once(';').unwrap();
    format!("{before}n|i:{};{after}", number.parse::<u64>().unwrap() + 1)
}

/// Waits until something is so; the test's own patience ends it if it never is.
pub(super) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it comes to pass");
}

/// Each call, without anybody else.
pub(super) async fn the_contract_of_each_call<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    let key = key(&id);
    let mine = lease(FOR_AGES);

    assert_eq!(store.load(&key).await.unwrap(), Loaded::Missing);
    assert_eq!(store.acquire(&key, mine).await.unwrap(), Acquired::Missing);
    assert_eq!(engine.get(&lock(&id)), None, "a lock of nothing is given back");
    let gone = record("x", store.now().await.unwrap());
    assert_eq!(store.update(&key, gone.version, &gone, LeaseEnd::None).await.unwrap(), Updated::Missing);
    assert_eq!(store.touch(&key, gone.expires_at).await.unwrap(), Touched::Missing);
    assert_eq!(store.delete(&key, None).await.unwrap(), Deleted::Missing);
    assert_eq!(store.renew(&key, mine).await.unwrap(), Renewed::Lost);

    let empty = create(&store, &id, "").await;
    assert_eq!(store.create(&key, &empty).await.unwrap(), Created::IdTaken);
    assert_eq!(hold(&store, &id, mine).await.record.payload, "", "an empty session is one");
    assert_eq!(store.acquire(&key, lease(FOR_AGES)).await.unwrap(), Acquired::Busy);
    assert_eq!(hold(&store, &id, mine).await.record.version, empty.version, "the same token again");
    assert_eq!(store.renew(&key, mine).await.unwrap(), Renewed::Extended);
    store.release(&key, LeaseToken::fresh()).await.unwrap();
    assert!(engine.get(&lock(&id)).is_some(), "a lease is ended by its holder only");
    store.release(&key, mine.token).await.unwrap();
    assert_eq!(engine.get(&lock(&id)), None);
    hold(&store, &id, mine).await;

    let now = store.now().await.unwrap();
    let (one, two, other) = (record("n|i:1;", now), record("n|i:2;", now), record("n|i:9;", now));
    let renew = LeaseEnd::Renew(mine);
    assert_eq!(store.update(&key, other.version, &one, renew).await.unwrap(), Updated::Stale);
    assert_eq!(store.update(&key, empty.version, &one, renew).await.unwrap(), Updated::Stored);
    assert!(engine.get(&lock(&id)).is_some(), "it is held on");
    let release = LeaseEnd::Release(mine.token);
    assert_eq!(store.update(&key, empty.version, &two, release).await.unwrap(), Updated::Stale);
    assert!(engine.get(&lock(&id)).is_some(), "a write that is refused ends no lease");
    assert_eq!(store.update(&key, one.version, &two, release).await.unwrap(), Updated::Stored);
    assert_eq!(engine.get(&lock(&id)), None);
    assert_eq!(engine.get(&data(&id)).unwrap(), b"n|i:2;");
    assert_eq!(load(&store, &id).await.unwrap().record.version, two.version);

    let (new_id, third_id) = (self::id(), self::id());
    let (new, third) = (self::key(&new_id), self::key(&third_id));
    let kept = record("old", now);
    hold(&store, &id, mine).await;
    let update = Predecessor::Update(&kept);
    assert_eq!(store.replace(&key, one.version, update, &new, &one).await.unwrap(), Replaced::Stale);
    let update = Predecessor::Update(&kept);
    assert_eq!(store.replace(&third, one.version, update, &new, &one).await.unwrap(), Replaced::Missing);
    assert_eq!(load(&store, &new_id).await, None, "nothing is left of the new one");
    hold(&store, &id, mine).await;
    let update = Predecessor::Update(&kept);
    assert_eq!(store.replace(&key, two.version, update, &new, &one).await.unwrap(), Replaced::Stored);
    assert_eq!((engine.get(&lock(&id)), engine.get(&lock(&new_id))), (None, None));
    assert_eq!(engine.get(&data(&id)).unwrap(), b"old");
    let replaced = store.replace(&key, kept.version, Predecessor::Delete, &new, &two).await.unwrap();
    assert_eq!(replaced, Replaced::IdTaken);
    let replaced = store.replace(&key, kept.version, Predecessor::Delete, &third, &two).await.unwrap();
    assert_eq!(replaced, Replaced::Stored);
    assert_eq!((engine.get(&data(&id)), engine.get(&data(&third_id)).unwrap()), (None, b"n|i:2;".to_vec()));

    hold(&store, &third_id, mine).await;
    assert_eq!(store.delete(&third, Some(one.version)).await.unwrap(), Deleted::Stale);
    assert_eq!(store.delete(&third, Some(two.version)).await.unwrap(), Deleted::Gone);
    assert_eq!((engine.get(&data(&third_id)), engine.get(&lock(&third_id))), (None, None));
    store.set_aside(&new).await.unwrap();
    assert!(load(&store, &new_id).await.is_some(), "nobody has looked at it under the lock");
    assert_eq!(engine.get(&lock(&new_id)), None);
    hold(&store, &new_id, mine).await;
    store.set_aside(&new).await.unwrap();
    assert_eq!(load(&store, &new_id).await, None);
    assert_eq!(engine.get(&format!("{}:damaged", data(&new_id))).unwrap(), b"n|i:1;");
    assert_eq!(engine.get(&lock(&new_id)), None);
    let nameless = StoreKey::from_bytes([1; 16]);
    assert_eq!(store.load(&nameless).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let user = steadfast::store::UserKey::from_bytes([1; 16]);
    let listed = store.of_user(&user, None, std::num::NonZeroUsize::MIN).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unsupported);
}

/// A session lasts for its lifetime from its last use, and no longer.
pub(super) async fn a_lifetime_is_that_of_php<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    create(&store, &id, "n|i:1;").await;
    let left = |expected: i64| {
        let left = engine.seconds_left(&data(&id));
        assert!((expected - 1..=expected).contains(&left), "{left} instead of {expected}");
    };
    left(7200);
    let now = store.now().await.unwrap();
    assert_eq!(store.touch(&key(&id), now + Duration::from_secs(100)).await.unwrap(), Touched::Moved);
    left(100);
    let found = load(&store, &id).await.unwrap();
    let expected = found.now + Duration::from_secs(100);
    let off = expected.saturating_since(found.record.expires_at)
        + found.record.expires_at.saturating_since(expected);
    assert!(off <= Duration::from_secs(2), "off by {off:?}");
    assert_eq!(store.touch(&key(&id), now + FOR_AGES * 24).await.unwrap(), Touched::Moved);
    left(7200);
}

/// PHP reads what Rust wrote and the other way round, each with the other's lock out of the way.
pub(super) async fn both_read_what_the_other_wrote<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let mut php = engine.peer(json!({ "time_to_update": 0 }));
    let id = id();
    php.results(Some(&id), json!([{ "op": "set", "key": "a", "value": "b" }])).await;
    let mine = lease(FOR_AGES);
    let found = hold(&store, &id, mine).await;
    let text = str::from_utf8(&found.record.payload).unwrap().to_owned();
    assert!(text.contains(r#"a|s:1:"b";"#), "{text}");
    let next = record(format!("{text}n|i:41;"), found.now);
    let end = LeaseEnd::Release(mine.token);
    assert_eq!(store.update(&key(&id), found.record.version, &next, end).await.unwrap(), Updated::Stored);
    let results =
        php.results(Some(&id), json!([{ "op": "incr", "key": "n" }, { "op": "get", "key": "a" }])).await;
    assert_eq!(results, [json!(42), json!("b")]);
    assert!(engine.get(&data(&id)).unwrap().ends_with(b"n|i:42;"));
    php.request(Some(&id), json!([{ "op": "destroy" }])).await;
    assert_eq!(load(&store, &id).await, None);
}

/// Whoever holds the lock keeps the other one out, and lets it in when done.
pub(super) async fn a_lock_keeps_the_other_side_out<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let mut php =
        engine.peer(json!({ "time_to_update": 0, "handler": { "lock_wait_ms": 10, "lock_tries": 3000 } }));
    let id = id();
    create(&store, &id, "n|i:1;").await;
    // Rust holds.
    let mine = lease(FOR_AGES);
    let found = hold(&store, &id, mine).await;
    php.send(&json!({ "cookie": id, "events": true, "ops": [{ "op": "incr", "key": "n" }] }));
    php.event("starting").await;
    let two = record("n|i:2;", found.now);
    let end = LeaseEnd::Release(mine.token);
    assert_eq!(store.update(&key(&id), found.record.version, &two, end).await.unwrap(), Updated::Stored);
    php.event("started").await;
    assert_eq!(php.answer().await.results, [3]);
    // PHP holds.
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    php.event("waiting").await;
    assert_eq!(store.acquire(&key(&id), mine).await.unwrap(), Acquired::Busy);
    let looked = load(&store, &id).await.unwrap();
    assert_eq!(looked.record.payload, "n|i:3;", "reading needs no lock");
    let (_, found) = tokio::join!(async { php.go_on() }, wait_and_hold(&store, &id, mine));
    assert_eq!(found.record.payload, "n|i:4;");
    php.answer().await;
    store.release(&key(&id), mine.token).await.unwrap();
    assert_eq!(engine.get(&lock(&id)), None);
}

/// Writes without a lease wait for PHP, for as long as the site says, and then compare.
pub(super) async fn a_write_without_a_lease_waits_for_php<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let hasty =
        engine.store(Site { lock_wait: Duration::from_millis(50), ..site(Layout::CodeIgniter4) }).await;
    let mut php = engine.peer(json!({ "time_to_update": 0 }));
    let id = id();
    let one = create(&store, &id, "n|i:1;").await;
    let two = record("n|i:2;", store.now().await.unwrap());
    let none = LeaseEnd::None;
    for changes in [false, true] {
        let ops = if changes {
            json!([{ "op": "incr", "key": "n" }, { "op": "wait" }])
        } else {
            json!([{ "op": "wait" }])
        };
        php.send(&json!({ "cookie": id, "ops": ops }));
        php.event("waiting").await;
        let seen = if changes { two.version } else { one.version };
        let refused = hasty.update(&key(&id), seen, &two, none).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        assert_eq!(hasty.delete(&key(&id), None).await.unwrap_err().kind(), ErrorKind::Busy);
        let key = key(&id);
        let three = record("n|i:30;", store.now().await.unwrap());
        let next = if changes { &three } else { &two };
        let (_, updated) = tokio::join!(async { php.go_on() }, store.update(&key, seen, next, none));
        assert_eq!(updated.unwrap(), if changes { Updated::Stale } else { Updated::Stored });
        php.answer().await;
    }
    assert_eq!(engine.get(&data(&id)).unwrap(), b"n|i:3;", "what PHP wrote stays");
    assert_eq!(engine.get(&lock(&id)), None);
}

/// PHP deletes the lock without a look at whose it is.
pub(super) async fn a_lock_that_php_freed_is_noticed<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let mut php = engine.peer(json!({ "time_to_update": 0 }));
    let id = id();
    let key = key(&id);
    create(&store, &id, "n|i:1;").await;
    let mine = lease(FOR_AGES);
    // Nobody has used it since: the write goes on.
    let found = hold(&store, &id, mine).await;
    engine.del(&lock(&id));
    assert_eq!(store.renew(&key, mine).await.unwrap(), Renewed::Lost);
    let two = record("n|i:2;", found.now);
    let end = LeaseEnd::Release(mine.token);
    assert_eq!(store.update(&key, found.record.version, &two, end).await.unwrap(), Updated::Stored);
    // PHP has written since: it does not.
    let found = hold(&store, &id, mine).await;
    engine.del(&lock(&id));
    php.results(Some(&id), json!([{ "op": "incr", "key": "n" }])).await;
    let lost = record("n|i:99;", found.now);
    assert_eq!(store.update(&key, found.record.version, &lost, end).await.unwrap(), Updated::Stale);
    assert_eq!(engine.get(&data(&id)).unwrap(), b"n|i:3;");
    // PHP holds it now: the write waits, and nobody but PHP frees its lock.
    let found = hold(&store, &id, mine).await;
    engine.del(&lock(&id));
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    php.event("waiting").await;
    store.release(&key, mine.token).await.unwrap();
    assert_eq!(store.renew(&key, mine).await.unwrap(), Renewed::Lost);
    assert!(engine.get(&lock(&id)).is_some());
    let (_, updated) =
        tokio::join!(async { php.go_on() }, store.update(&key, found.record.version, &lost, end));
    assert_eq!(updated.unwrap(), Updated::Stale);
    php.answer().await;
    assert_eq!(engine.get(&data(&id)).unwrap(), b"n|i:4;");
}

/// A killed side delays the other until its lock has ended: a lease for Rust's, 300 seconds for PHP's.
pub(super) async fn a_killed_side_leaves_the_other_working<E: Engine>(engine: &E) {
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let handler = json!({ "lock_wait_ms": 10, "lock_tries": 3000 });
    let mut php = engine.peer(json!({ "time_to_update": 0, "handler": handler }));
    let id = id();
    create(&store, &id, "n|i:1;").await;
    // What a killed node leaves behind is a lock that nobody renews or gives back.
    let killed = lease(Duration::from_secs(1));
    let found = hold(&store, &id, killed).await;
    let began = tokio::time::Instant::now();
    assert_eq!(php.results(Some(&id), json!([{ "op": "incr", "key": "n" }])).await, [2]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // A holder that was only slow writes over nobody.
    let late = record("n|i:99;", found.now);
    let end = LeaseEnd::Release(killed.token);
    assert_eq!(store.update(&key(&id), found.record.version, &late, end).await.unwrap(), Updated::Stale);
    // PHP is killed.
    php.send(&json!({ "cookie": id, "ops": [{ "op": "incr", "key": "n" }, { "op": "wait" }] }));
    php.event("waiting").await;
    php.kill();
    let left = engine.seconds_left(&lock(&id));
    assert!((295..=300).contains(&left), "PHP's lock lasts {left} s");
    let mine = lease(FOR_AGES);
    assert_eq!(store.acquire(&key(&id), mine).await.unwrap(), Acquired::Busy);
    engine.expire(&lock(&id));
    assert_eq!(wait_and_hold(&store, &id, mine).await.record.payload, "n|i:2;");
}

/// Several PHP processes and several tasks count in one session; returns the count that is stored.
pub(super) async fn count_together<E: Engine>(
    engine: &E,
    options: Value,
    php: usize,
    rust: usize,
    each: usize,
) -> usize
where
    E::Store: 'static,
{
    let store = engine.store(site(Layout::CodeIgniter4)).await;
    let id = id();
    create(&store, &id, "n|i:0;").await;
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..php {
        let (mut php, id) = (engine.peer(options.clone()), id.clone());
        work.spawn(async move {
            for _ in 0..each {
                php.results(Some(&id), json!([{ "op": "incr", "key": "n" }])).await;
            }
        });
    }
    for _ in 0..rust {
        let (store, id) = (store.clone(), id.clone());
        work.spawn(async move {
            for _ in 0..each {
                loop {
                    let mine = lease(Duration::from_secs(10));
                    let Record { payload, version, .. } = wait_and_hold(&store, &id, mine).await.record;
                    let next = record(incremented(&payload), store.now().await.unwrap());
                    let end = LeaseEnd::Release(mine.token);
                    if store.update(&key(&id), version, &next, end).await.unwrap() == Updated::Stored {
                        break;
                    }
                    store.release(&key(&id), mine.token).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    let payload = load(&store, &id).await.unwrap().record.payload;
    let text = str::from_utf8(&payload).unwrap();
    text.split_once("n|i:").unwrap().1.split(';').next().unwrap().parse().unwrap()
}
