//! Whose time it is: the server's, whatever the clock of the node says.

use std::time::Duration;

use steadfast::store::memcached::MemcachedStore;
use steadfast::store::{Loaded, Store, Touched};
use steadfast::{Clock, Policy, Sessions, SystemClock, Timestamp};
use steadfast_servers::{Memcached, Server as _};

use super::{key, options, record};

const HOUR: Duration = Duration::from_secs(3_600);
const IDLE: Duration = Duration::from_secs(600);

/// What the server's whole seconds may make of a duration.
const RESOLUTION: Duration = Duration::from_secs(2);

/// A clock that is an hour off.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Behind,
    Ahead,
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        match self {
            Self::Behind => SystemClock.now() - HOUR,
            Self::Ahead => SystemClock.now() + HOUR,
        }
    }
}

async fn node(server: &Memcached, clock: Wrong) -> Sessions {
    let policy = Policy::builder().idle_timeout(IDLE).build().unwrap();
    Sessions::builder().policy(policy).clock(clock).connect(&server.dsn()).await.unwrap()
}

#[tokio::test]
async fn clocks_of_nodes_that_are_an_hour_off_change_nothing() {
    for (first, second) in [(Wrong::Behind, Wrong::Ahead), (Wrong::Ahead, Wrong::Behind)] {
        let server = Memcached::start().unwrap();
        let visitor = node(&server, first).await.prepare(|s| s.set("a", 1)).await.unwrap();
        let store = options(&server).connect().await.unwrap();
        let listed = store.page(None, 10.try_into().unwrap()).await.unwrap();
        let left = listed[0].record.expires_at.saturating_since(store.now().await.unwrap());
        // The core adds the sixtieth of the time by which touches are late.
        assert!(
            left <= IDLE + IDLE / 60 + RESOLUTION,
            "written by a node {first:?}, it does not stay late: {left:?}"
        );
        assert!(left + RESOLUTION >= IDLE, "written by a node {first:?}, it does not end early: {left:?}");
        let seen = node(&server, second).await.inspect(visitor.cookie()).await.unwrap().expect("it is there");
        assert_eq!(seen.get::<u32>("a").unwrap(), Some(1));
    }
}

async fn touched(store: &MemcachedStore, expires_at: Timestamp) -> Timestamp {
    assert_eq!(store.touch(&key(1), expires_at).await.unwrap(), Touched::Moved);
    match store.load(&key(1)).await.unwrap() {
        Loaded::Found(found) => found.record.expires_at,
        Loaded::Missing => panic!("its deadline has not passed"),
    }
}

/// Near deadlines and far ones are told to the server in different words.
#[tokio::test]
async fn a_deadline_is_kept_to_the_second_and_never_shortened() {
    let server = Memcached::start().unwrap();
    let store = options(&server).connect().await.unwrap();
    assert_eq!(store.touch(&key(1), record("").expires_at).await.unwrap(), Touched::Missing);
    super::fill(&store, 2, &record("one")).await;
    let now = Timestamp::from_micros(store.now().await.unwrap().as_secs() * 1_000_000);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    // The last second that the server can be told, the next one, and one far beyond.
    let last = Timestamp::from_micros(i32::MAX as u64 * 1_000_000);
    let second = Duration::from_secs(1);
    let far = last + days(20_000);
    for deadline in
        [now + HOUR, now + days(29), now + days(31), now + days(400), last, last + second, far, now + HOUR]
    {
        assert_eq!(touched(&store, deadline).await, deadline);
    }
    let in_between = now + HOUR + Duration::from_micros(1);
    assert_eq!(touched(&store, in_between).await, now + HOUR + second, "rounded up, not down");
    assert_eq!(store.touch(&key(1), Timestamp::EPOCH).await.unwrap(), Touched::Moved);
    assert_eq!(store.load(&key(1)).await.unwrap(), Loaded::Missing, "what has expired is dropped");
}
