//! What a call costs on the wire, in packets to the server: as the page about these tables says.

use std::num::NonZeroUsize;

use steadfast::store::php::{mysql, postgres};
use steadfast::store::{
    Acquired, Created, Deleted, LeaseEnd, Predecessor, Replaced, SharedStore, Store as _, Updated,
};
use steadfast_servers::Proxy;

use super::fixture::{Db, Form, Kind, LIFETIME, held, lease, load, record};

/// Makes a call, and returns what it sent.
async fn cost<T>(wire: &Proxy, call: impl Future<Output = T>) -> (u64, T) {
    let before = wire.traffic().requests.packets;
    let outcome = call.await;
    (wire.traffic().requests.packets - before, outcome)
}

/// Opens a store with one connection for calls and one for locks, so that none is made while we count.
async fn on_two_connections(db: &Db) -> SharedStore {
    let shared = db.shared().lock_connections(1);
    match db.kind {
        Kind::Mysql => mysql::open(&db.mysql().connections(1), &shared).await.unwrap(),
        Kind::Postgres => postgres::open(&db.postgres().connections(1), &shared).await.unwrap(),
    }
}

pub(crate) async fn each_call(kind: Kind) {
    let db = Db::new(kind, Form::New).await;
    let wire = db.proxy();
    let (store, lease) = (on_two_connections(&db.through(&wire)).await, lease());
    let [one, two, none] = [1, 2, 3].map(|n| db.key(&db.id(n)));
    let now = store.now().await.unwrap();
    let (before, after) = (record("n|i:1;", now), record("n|i:2;", now));
    // Opens the connection for locks.
    assert_eq!(store.acquire(&none, lease).await.unwrap(), Acquired::Missing);

    let (packets, created) = cost(&wire, store.create(&one, &before)).await;
    assert_eq!((packets, created.unwrap()), (2, Created::Stored), "create");
    let (packets, found) = cost(&wire, load(&store, &one)).await;
    assert_eq!((packets, found.unwrap().record.version), (1, before.version), "load");
    let (packets, acquired) = cost(&wire, store.acquire(&one, lease)).await;
    assert_eq!(packets, 1, "acquire");
    let _held = held(acquired.unwrap());
    let (packets, _) = cost(&wire, store.renew(&one, lease)).await;
    assert_eq!(packets, 1, "renew");
    let commit = store.update(&one, before.version, &after, LeaseEnd::Release(lease.token));
    let (packets, updated) = cost(&wire, commit).await;
    assert_eq!((packets, updated.unwrap()), (1, Updated::Stored), "commit under a lease");
    let (packets, missing) = cost(&wire, store.acquire(&none, lease)).await;
    assert_eq!((packets, missing.unwrap()), (2, Acquired::Missing), "acquire of nothing");
    let commit = store.update(&one, after.version, &before, LeaseEnd::None);
    let (packets, updated) = cost(&wire, commit).await;
    assert_eq!((packets, updated.unwrap()), (2, Updated::Stored), "commit without a lease");
    let (packets, _) = cost(&wire, store.touch(&one, now + LIFETIME)).await;
    assert_eq!(packets, 1, "touch");
    let (packets, _) = cost(&wire, store.page(None, NonZeroUsize::MIN)).await;
    assert_eq!(packets, 1, "page");

    let _held = held(store.acquire(&one, lease).await.unwrap());
    let replace = store.replace(&one, before.version, Predecessor::Delete, &two, &after);
    let (packets, replaced) = cost(&wire, replace).await;
    assert_eq!((packets, replaced.unwrap()), (3, Replaced::Stored), "change of the id under a lease");
    let replace = store.replace(&two, after.version, Predecessor::Delete, &one, &before);
    let (packets, replaced) = cost(&wire, replace).await;
    assert_eq!((packets, replaced.unwrap()), (4, Replaced::Stored), "change of the id without a lease");
    let _held = held(store.acquire(&one, lease).await.unwrap());
    let (packets, ()) = cost(&wire, async { store.release(&one, lease.token).await.unwrap() }).await;
    assert_eq!(packets, 1, "release");
    let (packets, deleted) = cost(&wire, store.delete(&one, Some(before.version))).await;
    assert_eq!((packets, deleted.unwrap()), (2, Deleted::Gone), "end of a session");
}
