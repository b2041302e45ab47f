//! Who waits for a lease on another node.

use std::time::Duration;

use steadfast::store::postgres::PostgresStore;
use steadfast::store::{Acquired, LeaseEnd, Loaded, Store};
use tokio::time::Instant;
use tokio_postgres::{AsyncMessage, NoTls};

use super::fixture::{FOR_AGES, KEY, Table, create, hold, lease, proxied, record, soon};

/// Waits as a request does, until it has got the lease.
async fn acquire_when_free(store: &PostgresStore) -> steadfast::store::Lease {
    let lease = lease();
    while !matches!(store.acquire(&KEY, lease).await.unwrap(), Acquired::Held(_)) {
        store.released(&KEY, FOR_AGES).await;
    }
    lease
}

async fn seen(store: &PostgresStore) -> steadfast::store::Version {
    let Loaded::Found(found) = store.load(&KEY).await.unwrap() else { panic!("the record is there") };
    found.record.version
}

/// Hears of every lease whose end is announced.
async fn announcements(table: &Table) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (client, mut connection) = table.server.connect(NoTls).await.unwrap();
    let (heard, hearing) = tokio::sync::mpsc::unbounded_channel();
    let listen = format!("LISTEN \"{}_released\"", table.name);
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = heard.send(notification.payload().to_owned());
            }
        }
    });
    client.batch_execute(&listen).await.unwrap();
    tokio::spawn(async move {
        // The connection lives as long as its client.
        tokio::time::sleep(FOR_AGES).await;
        drop(client);
    });
    hearing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_goes_from_node_to_node_within_three_round_trips() {
    const ROUND_TRIP: Duration = Duration::from_millis(100);
    let table = Table::new().await;
    let (proxy, dsn) = proxied();
    let open = async || table.options_by(&dsn).open().await.unwrap();
    let (one, two) = (open().await, open().await);
    create(&one, &KEY).await;
    proxy.latency(ROUND_TRIP);

    let mut hand_overs = Vec::new();
    let (mut holder, mut waiter) = (&one, &two);
    let mut held = hold(holder, &KEY).await;
    for _ in 0..5 {
        let version = seen(holder).await;
        let waits = waiter.clone();
        let next = tokio::spawn(async move {
            let lease = acquire_when_free(&waits).await;
            (lease, Instant::now())
        });
        is_waited_for(&table).await;
        let began = Instant::now();
        let end = LeaseEnd::Release(held.token);
        let _ = holder.update(&KEY, version, &record("next"), end).await.unwrap();
        let (lease, got) = soon("the hand-over", next).await.unwrap();
        hand_overs.push(got - began);
        held = lease;
        std::mem::swap(&mut holder, &mut waiter);
    }
    hand_overs.sort();
    let median = hand_overs[hand_overs.len() / 2];
    assert!(median <= 3 * ROUND_TRIP, "{median:?}, of {hand_overs:?}");
}

#[tokio::test]
async fn the_end_of_a_lease_is_announced_only_if_somebody_waits() {
    let table = Table::new().await;
    let (one, two) = (table.open().await, table.open().await);
    create(&one, &KEY).await;
    let mut heard = announcements(&table).await;

    // Nobody waits: acquire, update and release, touch, renew, all without a word.
    for _ in 0..3 {
        let held = hold(&one, &KEY).await;
        let version = seen(&one).await;
        let _ = one.update(&KEY, version, &record("x"), LeaseEnd::Release(held.token)).await.unwrap();
    }
    let held = hold(&one, &KEY).await;
    let waiting = tokio::spawn(async move { acquire_when_free(&two).await });
    is_waited_for(&table).await;
    one.release(&KEY, held.token).await.unwrap();
    let lease = soon("the waiter's turn", waiting).await.unwrap();
    assert_eq!(soon("the announcement", heard.recv()).await, Some(KEY.to_hex()));

    // The new holder has taken the mark away: its release is announced to nobody.
    one.release(&KEY, lease.token).await.unwrap();
    let client = table.client().await;
    client.batch_execute(&format!("NOTIFY \"{}_released\", 'end'", table.name)).await.unwrap();
    assert_eq!(soon("the end", heard.recv()).await.as_deref(), Some("end"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_gets_its_turn_although_what_it_listens_on_is_lost() {
    let table = Table::new().await;
    let (proxy, dsn) = proxied();
    let (one, two) = (table.open().await, table.options_by(&dsn).open().await.unwrap());
    create(&one, &KEY).await;
    let held = hold(&one, &KEY).await;
    let waiting = tokio::spawn(async move {
        let lease = lease();
        loop {
            match two.acquire(&KEY, lease).await {
                Ok(Acquired::Held(_)) => break,
                Ok(_) => two.released(&KEY, FOR_AGES).await,
                // A request would be told so. Its answer may be all that was lost: there is no end of the
                // lease to wait for if it is the waiter's own by now.
                Err(_) => {}
            }
        }
    });
    is_waited_for(&table).await;
    proxy.reset_all();
    one.release(&KEY, held.token).await.unwrap();
    soon("the waiter's turn", waiting).await.unwrap();
}

/// Waits until somebody has asked to be told of the end of the lease.
async fn is_waited_for(table: &Table) {
    let client = table.client().await;
    let sql = format!("SELECT waited FROM {}", table.name);
    soon("the waiter's mark", async {
        while !client.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
