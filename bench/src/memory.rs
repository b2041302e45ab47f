//! Memory per session of the memory driver.

use std::num::NonZeroUsize;

use clap::Args;
use steadfast::Sessions;
use steadfast::store::Store as _;
use steadfast::store::memory::MemoryStore;

use crate::{Result, app, block_on, in_process};

#[derive(Args)]
pub(crate) struct Options {
    /// How many sessions are started.
    #[arg(long, default_value_t = 200_000)]
    sessions: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    block_on(async {
        let store = MemoryStore::new();
        let sessions = Sessions::builder().purge_every(None).store(store.clone());
        let mut app = app::routes("memory", &sessions);
        in_process::start(&mut app, "memory").await?;
        let before = resident_bytes()?;
        for _ in 0..options.sessions {
            in_process::start(&mut app, "memory").await?;
        }
        let used = resident_bytes()? - before;
        let encoded = encoded_bytes(&store).await?;
        let per_session = used / u64::from(options.sessions);
        let bar = encoded * 3 / 2 + 200;
        let verdict = if per_session <= bar { "met" } else { "missed" };
        println!("| sessions | encoded bytes each | resident bytes each | bar | |");
        println!("| ---: | ---: | ---: | ---: | --- |");
        println!("| {} | {encoded} | {per_session} | {bar} | {verdict} |", options.sessions);
        Ok(())
    })
}

/// Returns how large a record is, on average of some.
async fn encoded_bytes(store: &MemoryStore) -> Result<u64> {
    const SOME: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");
    let some = store.page(None, SOME).await?;
    let bytes: usize = some.iter().map(|listed| listed.record.payload.len()).sum();
    Ok(u64::try_from(bytes / some.len())?)
}

/// Returns the memory that this process has resident.
fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no resident size")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1_024)
}
