//! Processor time per request of the probe on a network engine, beside the ceiling: the probe's server with
//! the raw calls in place of sessions.
//!
//! Each web server is a process of its own, and so is each store. A measurement of the probe and one of the
//! ceiling make a pair, which of them comes first changes, and only the ratio within a pair counts: what
//! else runs on the machine slows both. All engines take their turn in each repetition.

mod ceiling;
mod engine;
pub(crate) mod raw;
mod report;
mod site;

use std::time::Duration;

use clap::Args;

use crate::{Result, block_on};

pub(crate) use ceiling::{CeilingOptions, serve};
pub(crate) use engine::Engine;
pub(crate) use raw::BLOB;

use report::Report;
use site::{Site, Used};

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
            sites.push(Site::start(*engine, options.workers).await?);
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

async fn measure(site: &mut Site, pair: &Pair, time: Duration, probe_first: bool) -> Result<(Used, Used)> {
    if probe_first {
        let probe = site.measure_probe(pair, time).await?;
        return Ok((probe, site.measure_ceiling(pair, time).await?));
    }
    let ceiling = site.measure_ceiling(pair, time).await?;
    Ok((site.measure_probe(pair, time).await?, ceiling))
}
