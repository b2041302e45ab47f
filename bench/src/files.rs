//! Open, commit and purge of the files driver, among few and many session files.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use steadfast::store::files::FilesStore;
use steadfast::store::{
    Acquired, Lease, LeaseEnd, LeaseToken, Loaded, Record, Store as _, StoreKey, Updated, Version,
};
use steadfast::{Clock as _, SystemClock, Timestamp};

use crate::stats::{Random, quantile};
use crate::{Result, block_on};

/// Bytes of a session's record.
const PAYLOAD: usize = 480;

/// How many records are opened and committed at each size.
const SAMPLES: usize = 2_000;

/// How many batches are purged at each size.
const BATCHES: usize = 40;

/// Records that one batch may remove.
const BATCH: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// One record in so many has expired.
const EXPIRED_EVERY: usize = 16;

/// Bytes of disk that one session file takes at most: a block, its inode, its part of a directory.
const ON_DISK: u64 = 5_000;

#[derive(Args)]
pub(crate) struct Options {
    /// How many session files there are at each measurement.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    files: Vec<usize>,
    /// Where the files are made, and removed again; the folder for temporary files by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::tempdir_in(&parent)?;
    let most = options.files.iter().copied().max().unwrap_or_default();
    let free = rustix::fs::statvfs(folder.path())?;
    if free.f_bavail * free.f_frsize < u64::try_from(most)? * ON_DISK {
        return Err("there is not enough room on the disk for so many files".into());
    }
    block_on(async {
        let store = FilesStore::options().open(folder.path().join("sessions"))?;
        println!("| files | | wall µs, median | 99 % | processor µs each |");
        println!("| ---: | --- | ---: | ---: | ---: |");
        let mut made = 0;
        for files in &options.files {
            made = fill(&store, made, *files).await?;
            measure(&store, *files).await?;
        }
        Ok(())
    })
}

/// Makes records until there have been so many.
async fn fill(store: &FilesStore, made: usize, files: usize) -> Result<usize> {
    let later = SystemClock.now() + Duration::from_secs(86_400);
    for n in made..files {
        let expires_at = if n % EXPIRED_EVERY == 0 { Timestamp::from_micros(1_000_000) } else { later };
        let _ = store.create(&key(n), &record(expires_at)).await?;
    }
    Ok(files.max(made))
}

async fn measure(store: &FilesStore, files: usize) -> Result<()> {
    let mut random = Random(u64::try_from(files)?);
    let keys: Vec<_> =
        (0..SAMPLES).map(|_| random.below(files) / EXPIRED_EVERY * EXPIRED_EVERY + 1).collect();
    let keys: Vec<_> = keys.into_iter().map(|n| key(n.min(files - 1))).collect();
    let mut opened = Samples::start("open");
    for key in &keys {
        let began = Instant::now();
        let Loaded::Found(_) = store.load(key).await? else { return Err("a record is missing".into()) };
        opened.add(began);
    }
    opened.print(files);
    let mut committed = Samples::start("open and commit, with its lease");
    for key in &keys {
        let began = Instant::now();
        commit(store, key).await?;
        committed.add(began);
    }
    committed.print(files);
    let mut purged = Samples::start("purge, a batch of 256");
    let mut removed = 0;
    for _ in 0..BATCHES {
        let began = Instant::now();
        removed += store.purge(BATCH).await?;
        purged.add(began);
    }
    purged.print(files);
    println!("| {files} | removed by {BATCHES} batches | {removed} | | |");
    Ok(())
}

async fn commit(store: &FilesStore, key: &StoreKey) -> Result<()> {
    let lease = Lease { token: LeaseToken::fresh(), ttl: Duration::from_secs(10) };
    let Acquired::Held(found) = store.acquire(key, lease).await? else { return Err("no lease".into()) };
    let record = record(found.record.expires_at);
    let updated = store.update(key, found.record.version, &record, LeaseEnd::Release(lease.token)).await?;
    if updated == Updated::Stored { Ok(()) } else { Err("the record was not stored".into()) }
}

fn record(expires_at: Timestamp) -> Record {
    Record { payload: Bytes::from_static(&[7; PAYLOAD]), version: Version::fresh(), expires_at, user: None }
}

/// Returns a key that is spread as a digest is.
fn key(n: usize) -> StoreKey {
    let mut z = (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    bytes[8..].copy_from_slice(&(n as u64).to_le_bytes());
    StoreKey::from_bytes(bytes)
}

/// What one kind of call took.
struct Samples {
    what: &'static str,
    wall: Vec<f64>,
    cpu_before: f64,
}

impl Samples {
    fn start(what: &'static str) -> Self {
        Self { what, wall: Vec::new(), cpu_before: cpu() }
    }

    fn add(&mut self, began: Instant) {
        self.wall.push(began.elapsed().as_secs_f64() * 1e6);
    }

    fn print(mut self, files: usize) {
        let cpu = (cpu() - self.cpu_before) / f64::from(u32::try_from(self.wall.len()).unwrap_or(1));
        let (median, most) = (quantile(&mut self.wall, 0.5), quantile(&mut self.wall, 0.99));
        println!("| {files} | {} | {median:.1} | {most:.1} | {cpu:.1} |", self.what);
    }
}

/// Returns the processor time of this process, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "minutes, in nanoseconds")]
fn cpu() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 * 1e6 + used.tv_nsec as f64 / 1e3
}
