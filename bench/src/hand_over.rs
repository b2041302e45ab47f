//! How long a session's lease takes from one node to another: from the release, which the waiting node
//! does not see, to its acquire.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use steadfast::store::files::FilesStore;
use steadfast::store::sqlite::SqliteStore;
use steadfast::store::{Acquired, Lease, LeaseToken, Record, Store, StoreKey, Version};
use steadfast::{Clock as _, SystemClock};

use crate::stats::{Random, quantile};
use crate::{Result, block_on};

const KEY: StoreKey = StoreKey::from_bytes([7; 16]);

const TTL: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Options {
    /// How often the lease changes hands.
    #[arg(long, default_value_t = 200)]
    times: usize,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    block_on(async {
        let folder = tempfile::tempdir()?;
        println!("| driver | wall ms from release to acquire, median | 95 % |");
        println!("| --- | ---: | ---: |");
        let open = |path: &Path| FilesStore::options().open(path);
        let path = folder.path().join("sessions");
        measure("files", open(&path)?, open(&path)?, options.times).await?;
        let open = |path: &Path| SqliteStore::options().open(path);
        let path = folder.path().join("sessions.db");
        measure("sqlite", open(&path)?, open(&path)?, options.times).await
    })
}

/// Lets a second node wait for a lease that the first one holds for some milliseconds.
async fn measure(driver: &str, holder: impl Store, waiter: impl Store, times: usize) -> Result<()> {
    let expires_at = SystemClock.now() + Duration::from_secs(3_600);
    let (payload, version) = (Bytes::from_static(&[7; 480]), Version::fresh());
    let _ = holder.create(&KEY, &Record { payload, version, expires_at, user: None }).await?;
    let mut random = Random(1);
    let mut took = Vec::new();
    for _ in 0..times {
        let (held, wanted) = (LeaseToken::fresh(), LeaseToken::fresh());
        let Acquired::Held(_) = holder.acquire(&KEY, Lease { token: held, ttl: TTL }).await? else {
            return Err("the lease was not free".into());
        };
        let works = Duration::from_micros(5_000 + u64::try_from(random.below(10_000))?);
        let hold = async {
            tokio::time::sleep(works).await;
            holder.release(&KEY, held).await.map(|()| Instant::now())
        };
        let (released, acquired) = tokio::join!(hold, wait(&waiter, wanted));
        took.push(acquired?.saturating_duration_since(released?).as_secs_f64() * 1e3);
        waiter.release(&KEY, wanted).await?;
    }
    let (median, most) = (quantile(&mut took, 0.5), quantile(&mut took, 0.95));
    println!("| `{driver}` | {median:.2} | {most:.2} |");
    Ok(())
}

async fn wait(store: &impl Store, token: LeaseToken) -> Result<Instant> {
    loop {
        match store.acquire(&KEY, Lease { token, ttl: TTL }).await? {
            Acquired::Held(_) => return Ok(Instant::now()),
            Acquired::Busy => store.released(&KEY, TTL).await,
            Acquired::Missing => return Err("the record is missing".into()),
        }
    }
}
