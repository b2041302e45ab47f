//! How long a session's lease takes from one node to another: from the call that ends it on the one, to the
//! answer of the acquire on the other, which waits.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use steadfast::store::files::FilesStore;
use steadfast::store::sqlite::SqliteStore;
use steadfast::store::{Acquired, Lease, LeaseToken, Record, SharedStore, Store as _, StoreKey, Version};
use steadfast::{Clock as _, SystemClock};
use steadfast_servers::Proxy;

use crate::engine::Engine;
use crate::raw::{self, BLOB};
use crate::stats::{Random, estimate, quantile};
use crate::{Result, block_on};

const KEY: StoreKey = StoreKey::from_bytes([7; 16]);

const TTL: Duration = Duration::from_secs(10);

/// How long the lease is held at least, and how much longer at most, in microseconds: the other node has
/// begun to wait by then, and its polls fall anywhere.
const HELD: usize = 60_000;
const LONGER: usize = 20_000;

/// What a network adds to a round trip: as much as makes everything else small.
const LATENCY: Duration = Duration::from_millis(10);

#[derive(Args)]
pub(crate) struct Options {
    /// How often the lease changes hands.
    #[arg(long, default_value_t = 200)]
    times: usize,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    block_on(async {
        let folder = tempfile::tempdir()?;
        println!(
            "| driver | network | wall ms from release to acquire, median | 95 % of all | in round trips, median | 95 % |"
        );
        println!("| --- | --- | ---: | ---: | ---: | :---: |");
        let open = |path: &Path| FilesStore::options().open(path).map(SharedStore::new);
        let path = folder.path().join("sessions");
        let mut took = measure(&open(&path)?, &open(&path)?, options.times).await?;
        print("files", "none", &mut took, None);
        let open = |path: &Path| SqliteStore::options().open(path).map(SharedStore::new);
        let path = folder.path().join("sessions.db");
        let mut took = measure(&open(&path)?, &open(&path)?, options.times).await?;
        print("sqlite", "none", &mut took, None);
        for engine in Engine::NETWORK {
            between_machines(engine, options.times).await?;
        }
        Ok(())
    })
}

/// Measures an engine directly, and over a network that is slow enough to count round trips in.
async fn between_machines(engine: Engine, times: usize) -> Result<()> {
    let server = engine.start()?.ok_or("an engine without a server")?;
    engine.prepare(&server.dsn()).await?;
    let proxy = Proxy::start(server.address())?;
    proxy.latency(LATENCY);
    let network = format!("+{} ms", LATENCY.as_millis());
    for (network, dsn) in [("loopback", server.dsn()), (&network, proxy.dsn(&server.dsn()))] {
        let round_trip = raw::round_trip(engine, &dsn, times).await?;
        let (holder, waiter) = (engine.open(&dsn).await?, engine.open(&dsn).await?);
        let mut took = measure(&holder, &waiter, times).await?;
        print(&engine.to_string(), network, &mut took, Some(round_trip));
    }
    Ok(())
}

/// Lets a second node wait for a lease that the first one holds for a while, and returns how long the lease
/// was under way each time, in milliseconds.
async fn measure(holder: &SharedStore, waiter: &SharedStore, times: usize) -> Result<Vec<f64>> {
    let expires_at = SystemClock.now() + Duration::from_secs(3_600);
    let (payload, version) = (Bytes::from_static(&[7; BLOB]), Version::fresh());
    let _ = holder.delete(&KEY, None).await?;
    let _ = holder.create(&KEY, &Record { payload, version, expires_at, user: None }).await?;
    let mut random = Random(1);
    let mut took = Vec::new();
    for _ in 0..times {
        let (held, wanted) = (LeaseToken::fresh(), LeaseToken::fresh());
        let Acquired::Held(_) = holder.acquire(&KEY, Lease { token: held, ttl: TTL }).await? else {
            return Err("the lease was not free".into());
        };
        let works = Duration::from_micros(u64::try_from(HELD + random.below(LONGER))?);
        let hold = async {
            tokio::time::sleep(works).await;
            let ends = Instant::now();
            holder.release(&KEY, held).await.map(|()| ends)
        };
        let (released, acquired) = tokio::join!(hold, wait(waiter, wanted));
        took.push(acquired?.saturating_duration_since(released?).as_secs_f64() * 1e3);
        waiter.release(&KEY, wanted).await?;
    }
    Ok(took)
}

async fn wait(store: &SharedStore, token: LeaseToken) -> Result<Instant> {
    loop {
        match store.acquire(&KEY, Lease { token, ttl: TTL }).await? {
            Acquired::Held(_) => return Ok(Instant::now()),
            Acquired::Busy => store.released(&KEY, TTL).await,
            Acquired::Missing => return Err("the record is missing".into()),
        }
    }
}

/// Prints a row; `round_trip` is in milliseconds.
fn print(driver: &str, network: &str, took: &mut [f64], round_trip: Option<f64>) {
    let trips = round_trip.map_or_else(
        || "| |".to_owned(),
        |round_trip| {
            let trips = estimate(&took.iter().map(|took| took / round_trip).collect::<Vec<_>>());
            format!("| {:.2} | {:.2} … {:.2} |", trips.median, trips.low, trips.high)
        },
    );
    let (median, most) = (quantile(took, 0.5), quantile(took, 0.95));
    println!("| `{driver}` | {network} | {median:.2} | {most:.2} {trips}");
}
