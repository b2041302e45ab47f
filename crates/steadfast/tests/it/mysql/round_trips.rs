//! What a call costs: counted by the server, statement by statement, and on the wire, packet by packet.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Pool, PoolConstraints, PoolOpts};
use steadfast::Timestamp;
use steadfast::store::mysql::{MysqlOptions, MysqlStore, SESSION};
use steadfast::store::{
    Acquired, Deleted, Lease, LeaseEnd, LeaseToken, Predecessor, Record, Renewed, Replaced, Store, Touched,
    Updated, UserKey, Version,
};
use steadfast_servers::Proxy;

use super::fixture::{Server, create, key, made, record, shared};
use crate::servers::dsn;

/// A store with one connection, whose server and wire can be asked what went on.
struct Counted {
    store: MysqlStore,
    pool: Pool,
    wire: Proxy,
}

impl Counted {
    async fn new(choose: impl FnOnce(MysqlOptions) -> MysqlOptions) -> Self {
        let client = shared().client();
        let direct = mysql_async::Opts::from(client.clone());
        let wire = Proxy::start(
            (direct.ip_or_hostname().parse::<std::net::IpAddr>().unwrap(), direct.tcp_port()).into(),
        );
        let wire = wire.unwrap();
        let through = Server::at(&wire.dsn(&dsn("MYSQL"))).client();
        let one = PoolOpts::new()
            .with_constraints(PoolConstraints::new(1, 1).unwrap())
            .with_reset_connection(false);
        let through = through
            .client_found_rows(true)
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(600))
            .setup(vec![SESSION])
            .pool_opts(one);
        let pool = Pool::new(through);
        let store = made(choose(shared().options()).pool(pool.clone())).await;
        Self { store, pool, wire }
    }

    /// Returns what this connection's session has counted: statements by their kind.
    async fn statements(&self) -> BTreeMap<String, i64> {
        let mut conn = self.pool.get_conn().await.unwrap();
        let all: Vec<(String, i64)> = conn
            .query("SHOW SESSION STATUS WHERE Variable_name LIKE 'Com\\_%' OR Variable_name = 'Questions'")
            .await
            .unwrap();
        all.into_iter().collect()
    }

    /// Makes a call and returns packets sent, questions asked, and statements by kind.
    async fn cost<T>(&self, call: impl Future<Output = T>) -> (T, u64, String) {
        let before = self.statements().await;
        let packets = self.wire.traffic().requests.packets;
        let outcome = call.await;
        let packets = self.wire.traffic().requests.packets - packets;
        let after = self.statements().await;
        let counted = after.iter().filter_map(|(name, count)| {
            // The second look at the counters is one that they have counted.
            let own = i64::from(matches!(name.as_str(), "Questions" | "Com_show_status"));
            let more = count - before[name] - own;
            (more != 0).then(|| format!("{} {more}", name.trim_start_matches("Com_").to_lowercase()))
        });
        (outcome, packets, counted.collect::<Vec<_>>().join(", "))
    }

    /// Makes a call twice, and checks what the second one costs: the first prepares its statement.
    async fn check<T, F>(
        &self,
        what: &str,
        packets: u64,
        statements: &str,
        expected: &T,
        call: impl Fn() -> F,
    ) where
        T: PartialEq + std::fmt::Debug,
        F: Future<Output = steadfast::Result<T>>,
    {
        assert_eq!(call().await.unwrap(), *expected, "{what}");
        let (outcome, sent, counted) = self.cost(call()).await;
        assert_eq!(outcome.unwrap(), *expected, "{what}");
        assert_eq!((sent, counted.as_str()), (packets, statements), "{what}");
    }
}

fn lease() -> Lease {
    Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(60) }
}

fn is_held(acquired: &Acquired) -> bool {
    matches!(acquired, Acquired::Held(_))
}

#[tokio::test]
async fn every_call_is_one_round_trip_if_nothing_is_in_its_way() {
    let counted = Counted::new(|options| options.multi_statements(true)).await;
    let (store, key, missing) = (&counted.store, &key(1), &key(9));
    let one = &record("one");
    create(store, key, one).await;
    let mine = lease();

    counted
        .check("now", 1, "select 1, stmt_execute 1, questions 1", &true, async || {
            Ok(store.now().await? > Timestamp::EPOCH)
        })
        .await;
    let load = async || Ok(store.load(key).await? != steadfast::store::Loaded::Missing);
    counted.check("load", 1, "select 1, stmt_execute 1, questions 1", &true, load).await;
    let acquire = async || Ok(is_held(&store.acquire(key, mine).await?));
    counted.check("acquire", 1, "select 1, update 1, questions 2", &true, acquire).await;
    let acquire = || store.acquire(key, lease());
    counted.check("acquire, busy", 1, "select 1, update 1, questions 2", &Acquired::Busy, acquire).await;
    let acquire = || store.acquire(missing, lease());
    counted
        .check("acquire, missing", 1, "select 1, update 1, questions 2", &Acquired::Missing, acquire)
        .await;
    let renew = || store.renew(key, mine);
    counted.check("renew", 1, "stmt_execute 1, update 1, questions 1", &Renewed::Extended, renew).await;
    for (what, end) in [
        ("update", LeaseEnd::None),
        ("update and renew", LeaseEnd::Renew(mine)),
        ("update and release", LeaseEnd::Release(mine.token)),
    ] {
        let update = async || store.update(key, one.version, one, end).await;
        counted.check(what, 1, "stmt_execute 1, update 1, questions 1", &Updated::Stored, update).await;
    }
    let touch = || store.touch(key, Timestamp::MAX);
    counted.check("touch", 1, "stmt_execute 1, update 1, questions 1", &Touched::Moved, touch).await;
    let touch = || store.touch(missing, Timestamp::MAX);
    counted
        .check("touch, missing", 1, "stmt_execute 1, update 1, questions 1", &Touched::Missing, touch)
        .await;
    let release = || store.release(key, mine.token);
    counted.check("release", 1, "stmt_execute 1, update 1, questions 1", &(), release).await;
    let user = UserKey::from_bytes([1; 16]);
    let of_user = async || Ok(store.of_user(&user, None, 10.try_into().unwrap()).await?.len());
    counted.check("of_user", 1, "select 1, stmt_execute 1, questions 1", &0, of_user).await;
    let delete = || store.delete(missing, None);
    counted.check("delete", 1, "delete 1, stmt_execute 1, questions 1", &Deleted::Missing, delete).await;
}

#[tokio::test]
async fn creating_and_deleting_is_one_round_trip_each() {
    let counted = Counted::new(|options| options.multi_statements(true)).await;
    let store = &counted.store;
    create(store, &key(1), &record("")).await;
    let one = record("one");
    let (created, packets, statements) = counted.cost(store.create(&key(2), &one)).await;
    assert_eq!(created.unwrap(), steadfast::store::Created::Stored);
    assert_eq!((packets, statements.as_str()), (1, "insert 1, stmt_execute 1, questions 1"));
    assert_eq!(store.delete(&key(1), Some(one.version)).await.unwrap(), Deleted::Stale);
    let (deleted, packets, statements) = counted.cost(store.delete(&key(2), Some(one.version))).await;
    assert_eq!(deleted.unwrap(), Deleted::Gone);
    assert_eq!((packets, statements.as_str()), (1, "delete 1, stmt_execute 1, questions 1"));
}

#[tokio::test]
async fn a_change_of_privilege_is_one_round_trip() {
    let counted = Counted::new(|options| options.multi_statements(true)).await;
    let store = &counted.store;
    let (old, frozen, new, newer) = (record("old"), record("frozen"), record("new"), record("newer"));
    let (first, second, third) = (key(1), key(2), key(3));
    create(store, &first, &old).await;
    let replace = store.replace(&first, old.version, Predecessor::Update(&frozen), &second, &new);
    let (replaced, packets, statements) = counted.cost(replace).await;
    assert_eq!(replaced.unwrap(), Replaced::Stored);
    assert_eq!(
        (packets, statements.as_str()),
        (1, "begin 1, commit 1, insert_select 1, update 1, questions 4")
    );
    let replace = store.replace(&second, new.version, Predecessor::Delete, &third, &newer);
    let (replaced, packets, statements) = counted.cost(replace).await;
    assert_eq!(replaced.unwrap(), Replaced::Stored);
    assert_eq!(
        (packets, statements.as_str()),
        (1, "begin 1, commit 1, delete 1, insert_select 1, questions 4")
    );
}

#[tokio::test]
async fn what_is_refused_costs_one_look_more() {
    let counted = Counted::new(|options| options.multi_statements(true)).await;
    let (store, key, missing) = (&counted.store, &key(1), &key(9));
    create(store, key, &record("one")).await;
    let (late, seen) = (record("late"), Version::fresh());
    for (what, key, expected) in [("stale", key, Updated::Stale), ("missing", missing, Updated::Missing)] {
        let update = async || store.update(key, seen, &late, LeaseEnd::None).await;
        counted.check(what, 2, "select 1, stmt_execute 2, update 1, questions 2", &expected, update).await;
    }
    let delete = || store.delete(key, Some(seen));
    counted
        .check("delete", 2, "delete 1, select 1, stmt_execute 2, questions 2", &Deleted::Stale, delete)
        .await;
}

#[tokio::test]
async fn one_statement_at_a_time_costs_more_where_two_were_sent_at_once() {
    let counted = Counted::new(|options| options.multi_statements(false)).await;
    let (store, key, other) = (&counted.store, &key(1), key(2));
    let old = record("old");
    create(store, key, &old).await;
    let mine = lease();
    let acquire = async || Ok(is_held(&store.acquire(key, mine).await?));
    counted.check("acquire", 2, "select 1, stmt_execute 2, update 1, questions 2", &true, acquire).await;
    let (late, new) = (record("late"), record("new"));
    let refused = store.replace(key, late.version, Predecessor::Update(&late), &other, &new);
    assert_eq!(refused.await.unwrap(), Replaced::Stale);
    let (frozen, newer) = (record("frozen"), record("newer"));
    let replace = store.replace(key, old.version, Predecessor::Update(&frozen), &other, &newer);
    let (replaced, packets, statements) = counted.cost(replace).await;
    assert_eq!(replaced.unwrap(), Replaced::Stored);
    assert_eq!(
        (packets, statements.as_str()),
        (4, "begin 1, commit 1, insert 1, stmt_execute 2, update 1, questions 4")
    );
}

#[tokio::test]
async fn no_connection_is_held_between_calls() {
    let counted = Counted::new(|options| options.multi_statements(true)).await;
    let mine = lease();
    create(&counted.store, &key(1), &record("one")).await;
    assert!(is_held(&counted.store.acquire(&key(1), mine).await.unwrap()));
    // The only connection is free while the lease is held.
    let taken = tokio::time::timeout(Duration::from_secs(20), counted.pool.get_conn()).await;
    drop(taken.unwrap().unwrap());
}

#[tokio::test]
async fn a_purge_reads_what_has_expired_and_nothing_else() {
    let counted = Counted::new(|options| options.multi_statements(true)).await;
    let store = &counted.store;
    let long_ago = Timestamp::from_micros(1_577_836_800_000_000);
    for number in 0..100 {
        let expires_at = if number < 5 { long_ago } else { Timestamp::MAX };
        create(store, &key(number), &Record { expires_at, ..record("") }).await;
    }
    let read = async || {
        let mut conn = counted.pool.get_conn().await.unwrap();
        let all: Vec<(String, u64)> =
            conn.query("SHOW SESSION STATUS LIKE 'Handler\\_read\\_%'").await.unwrap();
        all.into_iter().filter(|(name, _)| !name.contains("rnd")).map(|(_, rows)| rows).sum::<u64>()
    };
    let before = read().await;
    let limit = 10.try_into().unwrap();
    let (purged, packets, _) = counted.cost(store.purge(limit)).await;
    assert_eq!(purged.unwrap(), 5);
    // Each is found once by the index, and once more to be deleted.
    let rows = read().await - before;
    assert!(rows <= 20, "{rows} rows were read");
    // The index is read, the rows are deleted; the first time the statement is prepared.
    assert_eq!(packets, 3);
}
