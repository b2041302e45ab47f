//! What each call costs: packets through a proxy, and statements by the server's own count.

use std::num::NonZeroUsize;
use std::time::Duration;

use steadfast::Timestamp;
use steadfast::store::{LeaseEnd, Predecessor, Store, StoreKey, UserKey};
use steadfast_servers::{Postgres, Proxy, Server as _};
use tokio_postgres::Client;

use super::fixture::{KEY, Table, connect, create, hold, lease, proxied, record};

const OTHER: StoreKey = StoreKey::from_bytes([9; 16]);
const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// Counts how many statements a table has seen so far.
async fn statements(client: &Client, table: &Table) -> i64 {
    let sql = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query LIKE $1";
    let pattern = format!("%\"{}\"%", table.name);
    client.query_one(sql, &[&pattern]).await.unwrap().get(0)
}

struct Counting {
    proxy: Proxy,
    client: Client,
    table: Table,
}

impl Counting {
    /// Checks that a call is so many statements, and as many packets there and back.
    async fn check(&self, what: &str, times: u64, call: impl Future) {
        let (before, traffic) = (statements(&self.client, &self.table).await, self.proxy.traffic());
        call.await;
        let packets = self.proxy.traffic().requests.packets - traffic.requests.packets;
        let ran = statements(&self.client, &self.table).await - before;
        assert_eq!((packets, ran), (times, i64::try_from(times).unwrap()), "{what}");
    }
}

async fn check_all(postgres: &Postgres, prepared: bool) {
    let proxy = Proxy::start(postgres.address()).unwrap();
    let table = Table::on(&postgres.dsn()).await;
    let options = table.options_by(&proxy.dsn(&postgres.dsn())).prepared(prepared);
    let store = options.open().await.unwrap();
    let client = table.client().await;
    let counting = Counting { proxy, client, table };
    let check = async |what: &str, call| counting.check(what, 1, call).await;

    let one = create(&store, &KEY).await;
    let boxed = |future: std::pin::Pin<Box<dyn Future<Output = ()>>>| future;
    macro_rules! costs_one {
        ($($what:literal: $call:expr;)*) => {
            $(check($what, boxed(Box::pin(async { let _ = $call.await.unwrap(); }))).await;)*
        };
    }
    let (two, three) = (record("two"), record("three"));
    let held = hold(&store, &KEY).await;
    let user = UserKey::from_bytes([1; 16]);
    costs_one! {
        "create": store.create(&OTHER, &one);
        "a key that is taken": store.create(&OTHER, &one);
        "load": store.load(&KEY);
        "load of a missing record": store.load(&StoreKey::from_bytes([1; 16]));
        "acquire": store.acquire(&KEY, held);
        "acquire of a busy record": store.acquire(&KEY, lease());
        "acquire of a missing record": store.acquire(&StoreKey::from_bytes([1; 16]), lease());
        "renew": store.renew(&KEY, held);
        "a stale update": store.update(&KEY, two.version, &two, LeaseEnd::Release(held.token));
        "update and release": store.update(&KEY, one.version, &two, LeaseEnd::Release(held.token));
        "update of a missing record":
            store.update(&StoreKey::from_bytes([1; 16]), one.version, &two, LeaseEnd::None);
        "release": store.release(&KEY, held.token);
        "touch": store.touch(&KEY, Timestamp::MAX);
        "a stale replacement": store.replace(&KEY, one.version, Predecessor::Delete, &key(2), &one);
        "replace": store.replace(&KEY, two.version, Predecessor::Update(&three), &key(2), &one);
        "a replacement of a missing record":
            store.replace(&key(5), two.version, Predecessor::Delete, &key(6), &one);
        "a stale deletion": store.delete(&KEY, Some(two.version));
        "delete over a version": store.delete(&KEY, Some(three.version));
        "delete": store.delete(&OTHER, None);
        "delete of a missing record": store.delete(&OTHER, None);
        "of_user": store.of_user(&user, None, TEN);
        "page": store.page(None, TEN);
        "count": store.count();
        "set_aside": store.set_aside(&key(2));
    }
}

fn key(byte: u8) -> StoreKey {
    StoreKey::from_bytes([byte; 16])
}

#[tokio::test]
async fn every_call_is_one_statement_and_one_round_trip_prepared_or_not() {
    let postgres = Postgres::start().unwrap();
    let config: tokio_postgres::Config = postgres.dsn().parse().unwrap();
    connect(&config).await.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    for prepared in [true, false] {
        check_all(&postgres, prepared).await;
    }
}

#[tokio::test]
async fn calls_that_are_under_way_at_once_share_a_round_trip() {
    let table = Table::new().await;
    let (proxy, dsn) = proxied();
    let store = table.options_by(&dsn).connections(1).open().await.unwrap();
    create(&store, &KEY).await;
    // So long that twenty of them, one after the other, would take far longer than a few.
    let round_trip = Duration::from_millis(200);
    proxy.latency(round_trip);
    let began = tokio::time::Instant::now();
    let loads: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&KEY).await.map(drop) })
        })
        .collect();
    for load in loads {
        load.await.unwrap().unwrap();
    }
    let took = began.elapsed();
    assert!(took >= round_trip && took < 4 * round_trip, "{took:?} for twenty calls");
}
