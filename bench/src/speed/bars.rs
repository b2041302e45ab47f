//! The bars of speed: each with the figure that is nearest to it.

use std::fmt::Write as _;

use super::tables::cells;
use super::{By, Purpose, Speed};
use crate::contenders::{EXCLUSIVE, MERGE};
use crate::engine::Engine;
use crate::stats::Estimate;

/// The most that a request may take, as a multiple of what the ceiling takes.
pub(super) const CEILING: f64 = 1.1;

/// The least that an untouched request is to get done, as a share of the framework alone.
const UNTOUCHED: f64 = 0.97;

/// Returns how much processor time a request may take beside axum alone, in microseconds.
pub(super) fn budget(engine: Engine, path: &str, mode: &str) -> f64 {
    let [read, merge, exclusive] = match engine {
        Engine::Memory => [1.5, 3.0, 4.0],
        Engine::Files => [12.0, 40.0, 40.0],
        _ => [40.0, 70.0, 70.0],
    };
    match (path, mode) {
        ("/incr", "merge") => merge,
        ("/incr", _) => exclusive,
        _ => read,
    }
}

/// A figure with what it is about.
struct Nearest {
    about: String,
    ratio: Estimate,
}

pub(super) fn table(speed: &Speed<'_>, engines: &[Engine]) -> String {
    let mut text = String::from(
        "| bar | on | nearest to it | figure | 95 % | |\n| --- | --- | --- | ---: | :---: | --- |\n",
    );
    for by in [By::ProcessorTime, By::Throughput] {
        row(
            &mut text,
            &format!("untouched request ≥ {UNTOUCHED} of the framework alone, {}", name(by)),
            "all",
            {
                let groups = speed.groups.iter().enumerate();
                let ours = groups.filter(|(_, group)| {
                    group.purpose == Purpose::Untouched && speed.webs[group.members[1].0].contender.is_ours()
                });
                least(ours.filter_map(|(at, group)| {
                    let web = &speed.webs[group.members[1].0];
                    let about = format!("{} on {}", web.contender.name, web.engine?);
                    Some(Nearest { about, ratio: better(speed, at, 0, 1, by)? })
                }))
            },
            UNTOUCHED,
        );
    }
    for engine in engines {
        let on = engine.to_string();
        for (what, path, mode, least_is) in [
            ("`/get` in merge ahead of every peer", "/get", &MERGE, 1.0),
            ("`/incr` in merge ahead of every peer", "/incr", &MERGE, 1.0),
            ("exclusive `/incr` not slower than any peer's", "/incr", &EXCLUSIVE, 1.0),
        ] {
            for by in [By::ProcessorTime, By::Throughput] {
                let nearest = least(speed.groups.iter().enumerate().filter_map(|(at, group)| {
                    let (peer, first) = group.members[0];
                    let member =
                        group.members.iter().position(|(web, _)| speed.webs[*web].contender == mode)?;
                    let fits = group.purpose == Purpose::Peer && first == path;
                    if !fits || speed.webs[peer].engine != Some(*engine) {
                        return None;
                    }
                    let about = speed.webs[peer].contender.name.to_owned();
                    Some(Nearest { about, ratio: better(speed, at, 0, member, by)? })
                }));
                row(&mut text, &format!("{what}, {}", name(by)), &on, nearest, least_is);
            }
        }
        ceiling(&mut text, speed, *engine);
    }
    text
}

/// Adds the row of an engine's ceiling: the request that is furthest above it.
fn ceiling(text: &mut String, speed: &Speed<'_>, engine: Engine) {
    let mut most: Option<Nearest> = None;
    for (at, group) in speed.groups.iter().enumerate().filter(|(_, group)| group.purpose == Purpose::Ceiling)
    {
        for (member, (web, path)) in group.members.iter().enumerate().skip(1) {
            if speed.webs[*web].engine != Some(engine) {
                continue;
            }
            let Some(ratio) = speed.ratio(at, member, 0, By::ProcessorTime) else { continue };
            if most.as_ref().is_none_or(|most| ratio.median > most.ratio.median) {
                most =
                    Some(Nearest { about: format!("`{path}`, {}", speed.webs[*web].contender.name), ratio });
            }
        }
    }
    let Some(Nearest { about, ratio }) = most else { return };
    let verdict = ratio.verdict(CEILING);
    let _ = writeln!(
        text,
        "| processor time ≤ {CEILING} of the ceiling's | {engine} | {about} | {} | {verdict} |",
        cells(Some(ratio)),
    );
}

/// Returns by how much `ours` is better than `theirs`: 1 is the same, more is better.
fn better(speed: &Speed<'_>, group: usize, theirs: usize, ours: usize, by: By) -> Option<Estimate> {
    match by {
        By::ProcessorTime => speed.ratio(group, theirs, ours, by),
        By::Throughput => speed.ratio(group, ours, theirs, by),
    }
}

fn least(all: impl Iterator<Item = Nearest>) -> Option<Nearest> {
    all.min_by(|a, b| a.ratio.median.total_cmp(&b.ratio.median))
}

/// Adds a row, if there is something to compare.
fn row(text: &mut String, what: &str, on: &str, nearest: Option<Nearest>, bar: f64) {
    let Some(Nearest { about, ratio }) = nearest else { return };
    let verdict = match (ratio.low >= bar, ratio.high < bar) {
        (true, _) => "met",
        (_, true) => "missed",
        _ => "undecided",
    };
    let _ = writeln!(text, "| {what} | {on} | {about} | {} | {verdict} |", cells(Some(ratio)));
}

fn name(by: By) -> &'static str {
    match by {
        By::ProcessorTime => "processor time",
        By::Throughput => "throughput",
    }
}
