//! The table of what was measured.

use super::callgrind::total;
use super::{Concurrency, Engine, PAIRS, Pair, Used};
use crate::Result;
use crate::stats::estimate;

/// What was measured, by engine and pair.
pub(super) struct Report<'a> {
    engines: &'a [Engine],
    measured: Vec<[Vec<(Used, Used)>; PAIRS.len()]>,
}

impl<'a> Report<'a> {
    pub(super) fn new(engines: &'a [Engine]) -> Self {
        Self { engines, measured: engines.iter().map(|_| Default::default()).collect() }
    }

    pub(super) fn add(&mut self, engine: usize, pair: usize, probe: Used, ceiling: Used) {
        self.measured[engine][pair].push((probe, ceiling));
    }

    pub(super) fn print(&self) {
        println!("Processor time of the web server for each request, in µs; of the store behind it in ().\n");
        println!(
            "| engine | request of the probe | calls of the ceiling | probe | ceiling | ratio | 95 % | |"
        );
        println!("| --- | --- | --- | ---: | ---: | ---: | :---: | --- |");
        for (engine, measured) in self.engines.iter().zip(&self.measured) {
            for (pair, measured) in PAIRS.iter().zip(measured) {
                let of = |value: fn(&(Used, Used)) -> f64| {
                    estimate(&measured.iter().map(value).collect::<Vec<_>>())
                };
                let ratio = of(|(probe, ceiling)| probe.web / ceiling.web);
                println!(
                    "| {engine} | `{}`{} | {} | {:.1} ({:.1}) | {:.1} ({:.1}) | {:.2} | {:.2} … {:.2} | {} |",
                    pair.probe,
                    mode(pair),
                    pair.calls,
                    of(|(probe, _)| probe.web).median,
                    of(|(probe, _)| probe.store).median,
                    of(|(_, ceiling)| ceiling.web).median,
                    of(|(_, ceiling)| ceiling.store).median,
                    ratio.median,
                    ratio.low,
                    ratio.high,
                    pair.bar.map_or("", |bar| ratio.verdict(bar)),
                );
            }
        }
    }
}

/// Prints what was counted: by the probe, and by the ceiling.
pub(super) fn print_counts(engine: Engine, pair: &Pair, requests: u32, counted: &[String; 2]) -> Result<()> {
    let [probe, ceiling] =
        counted.each_ref().map(|counted| total(counted).map(|all| all / u64::from(requests)));
    let (probe, ceiling) = (probe?, ceiling?);
    let percent = probe * 100 / ceiling;
    println!(
        "| {engine} | `{}`{} | {} | {probe} | {ceiling} | {}.{:02} |",
        pair.probe,
        mode(pair),
        pair.calls,
        percent / 100,
        percent % 100
    );
    Ok(())
}

fn mode(pair: &Pair) -> &'static str {
    match pair.concurrency {
        Concurrency::Merge => "",
        Concurrency::Exclusive => ", exclusive",
    }
}
