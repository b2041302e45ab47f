//! Processor time per request of the probe on a network engine, beside the ceiling: the probe's server with
//! the raw calls in place of sessions.
//!
//! Each web server is a process of its own, and so is each store. A measurement of the probe and one of the
//! ceiling make a pair, which of them comes first changes, and only the ratio within a pair counts: what
//! else runs on the machine slows both. All engines take their turn in each repetition.

mod callgrind;
mod ceiling;
mod engine;
pub(crate) mod raw;
mod report;
mod site;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::{Result, block_on};

pub(crate) use ceiling::{CeilingOptions, serve};
pub(crate) use engine::Engine;
pub(crate) use raw::BLOB;

use report::Report;
use site::{Site, Under, Used};

#[derive(Args)]
pub(crate) struct Options {
    /// How often everything is measured.
    #[arg(long, default_value_t = 15)]
    repetitions: usize,
    /// How long one measurement takes, in milliseconds. The kernel counts in hundredths of a second.
    #[arg(long, default_value_t = 1_000)]
    milliseconds: u64,
    /// Measures these engines only.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Engine::ALL)]
    engines: Vec<Engine>,
    /// Threads that serve.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

#[derive(Args)]
pub(crate) struct CountOptions {
    /// How many requests are counted.
    #[arg(long, default_value_t = 1_024)]
    requests: u32,
    /// Counts on these engines only.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Engine::ALL)]
    engines: Vec<Engine>,
    /// Keeps what was counted in this folder, for `callgrind_annotate`.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What is compared.
struct Pair {
    concurrency: Concurrency,
    probe: &'static str,
    ceiling: &'static str,
    /// What the ceiling does.
    calls: &'static str,
    /// The most that the probe may use, as a multiple of what the ceiling uses.
    bar: Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Concurrency {
    Merge,
    Exclusive,
}

const BAR: Option<f64> = Some(1.1);

const PAIRS: [Pair; 5] = [
    Pair { concurrency: Concurrency::Merge, probe: "/none", ceiling: "/none", calls: "none", bar: None },
    Pair { concurrency: Concurrency::Merge, probe: "/view?k=n", ceiling: "/get", calls: "read", bar: BAR },
    Pair { concurrency: Concurrency::Merge, probe: "/get?k=n", ceiling: "/get", calls: "read", bar: BAR },
    Pair {
        concurrency: Concurrency::Merge,
        probe: "/incr",
        ceiling: "/incr",
        calls: "read, write",
        bar: BAR,
    },
    Pair {
        concurrency: Concurrency::Exclusive,
        probe: "/incr",
        ceiling: "/exclusive",
        calls: "acquire and read, write and release",
        bar: BAR,
    },
];

pub(crate) fn run(options: &Options) -> Result<()> {
    block_on(async {
        let mut sites = Vec::new();
        for engine in &options.engines {
            sites.push(Site::start(*engine, options.workers, Under::Nothing).await?);
        }
        let mut report = Report::new(&options.engines);
        let time = Duration::from_millis(options.milliseconds);
        for repetition in 0..options.repetitions {
            for (at, site) in sites.iter_mut().enumerate() {
                site.start_sessions().await?;
                for (pair, compared) in PAIRS.iter().enumerate() {
                    let (probe, ceiling) = measure(site, compared, time, repetition % 2 == 0).await?;
                    report.add(at, pair, probe, ceiling);
                }
            }
        }
        report.print();
        Ok(())
    })
}

/// Counts the instructions that the web servers execute for a request, outside the kernel.
pub(crate) fn count(options: &CountOptions) -> Result<()> {
    block_on(async {
        println!("| engine | request of the probe | calls of the ceiling | probe | ceiling | ratio |");
        println!("| --- | --- | --- | ---: | ---: | ---: |");
        for engine in &options.engines {
            let mut site = Site::start(*engine, 1, Under::Callgrind).await?;
            site.start_sessions().await?;
            for (number, pair) in PAIRS.iter().enumerate() {
                let counted = site.count(pair, options.requests).await?;
                report::print_counts(*engine, pair, options.requests, &counted)?;
                let Some(folder) = &options.keep else { continue };
                for (server, counted) in ["probe", "ceiling"].iter().zip(counted) {
                    std::fs::write(folder.join(format!("{engine}-{number}-{server}")), counted)?;
                }
            }
        }
        Ok(())
    })
}

async fn measure(site: &mut Site, pair: &Pair, time: Duration, probe_first: bool) -> Result<(Used, Used)> {
    if probe_first {
        let probe = site.measure_probe(pair, time).await?;
        return Ok((probe, site.measure_ceiling(pair, time).await?));
    }
    let ceiling = site.measure_ceiling(pair, time).await?;
    Ok((site.measure_probe(pair, time).await?, ceiling))
}
