//! The tables of what requests cost.

use std::fmt::Write as _;

use super::{By, Purpose, Speed};
use crate::engine::Engine;
use crate::lineup::Web;
use crate::report::grouped;
use crate::stats::Estimate;

const PATHS: [&str; 4] = ["/none", "/view", "/get", "/incr"];

/// What each request costs, by engine.
pub(super) fn requests(speed: &Speed<'_>, engines: &[Engine]) -> String {
    let mut text = String::new();
    let mut all = vec![None];
    all.extend(engines.iter().copied().map(Some));
    for engine in all {
        let title = engine.map_or_else(|| "Frameworks alone".to_owned(), |engine| format!("On {engine}"));
        let _ = writeln!(text, "\n#### {title}\n");
        text.push_str(
            "| | request | processor µs | 95 % | of the store, µs | requests a second | p50 µs | p99 µs | |\n",
        );
        text.push_str("| --- | --- | ---: | :---: | ---: | ---: | ---: | ---: | --- |\n");
        for (at, web) in speed.webs.iter().enumerate().filter(|(_, web)| web.engine == engine) {
            for path in PATHS {
                request(&mut text, speed, at, path);
            }
            if let Some(failure) = web.failure() {
                let _ = writeln!(text, "| {} | | | | | | | | stopped: {failure} |", web.contender.name);
            }
        }
    }
    text
}

fn request(text: &mut String, speed: &Speed<'_>, at: usize, path: &str) {
    let Some(cpu) = speed.of(at, path, |measured| measured.cpu) else { return };
    let median =
        |value: fn(&super::Measured) -> f64| speed.of(at, path, value).map_or(f64::NAN, |all| all.median);
    let refused = median(|measured| measured.refused);
    let _ = writeln!(
        text,
        "| {} | `{path}` | {:.1} | {:.1} … {:.1} | {:.1} | {} | {} | {} | {} |",
        speed.webs[at].contender.name,
        cpu.median,
        cpu.low,
        cpu.high,
        median(|measured| measured.store),
        grouped(median(|measured| measured.per_second)),
        grouped(median(|measured| measured.p50)),
        grouped(median(|measured| measured.p99)),
        if refused > 0.0 { format!("{:.1} % not 200", refused * 100.0) } else { String::new() },
    );
}

/// Peers beside Steadfast: by how much more processor time they take, and how much less they get done.
pub(super) fn peers(speed: &Speed<'_>) -> String {
    let mut text = String::from(
        "| engine | peer | request | beside | its processor time ÷ Steadfast's | 95 % | Steadfast's throughput ÷ its | 95 % |\n\
         | --- | --- | --- | --- | ---: | :---: | ---: | :---: |\n",
    );
    for (at, group) in speed.groups.iter().enumerate().filter(|(_, group)| group.purpose == Purpose::Peer) {
        let (peer, path) = group.members[0];
        for (member, (ours, _)) in group.members.iter().enumerate().skip(1) {
            let cpu = speed.ratio(at, 0, member, By::ProcessorTime);
            let throughput = speed.ratio(at, member, 0, By::Throughput);
            let _ = writeln!(
                text,
                "| {} | {} | `{path}` | {} | {} | {} |",
                engine_of(&speed.webs[peer]),
                speed.webs[peer].contender.name,
                speed.webs[*ours]
                    .contender
                    .name
                    .trim_start_matches("Steadfast")
                    .trim_start_matches([',', ' ']),
                cells(cpu),
                cells(throughput),
            );
        }
    }
    text
}

/// Steadfast beside the raw calls.
pub(super) fn ceilings(speed: &Speed<'_>) -> String {
    let mut text = String::from(
        "| engine | request | processor µs | of the ceiling | ratio | 95 % | bar 1.1 |\n\
         | --- | --- | ---: | ---: | ---: | :---: | --- |\n",
    );
    for (at, group) in speed.groups.iter().enumerate().filter(|(_, group)| group.purpose == Purpose::Ceiling)
    {
        for (member, (ours, path)) in group.members.iter().enumerate().skip(1) {
            let Some(ratio) = speed.ratio(at, member, 0, By::ProcessorTime) else { continue };
            let cpu = |member: usize| {
                let (web, path) = group.members[member];
                speed.of(web, path, |measured| measured.cpu).map_or(f64::NAN, |all| all.median)
            };
            let web = &speed.webs[*ours];
            let _ = writeln!(
                text,
                "| {} | `{path}`, {} | {:.1} | {:.1} | {} | {} |",
                engine_of(web),
                mode(web),
                cpu(member),
                cpu(0),
                cells(Some(ratio)),
                ratio.verdict(super::bars::CEILING),
            );
        }
    }
    text
}

/// A request that does not touch its session, beside the framework alone.
pub(super) fn untouched(speed: &Speed<'_>) -> String {
    let mut text = String::from(
        "| engine | | processor time ÷ the framework's alone | 95 % | throughput ÷ the framework's alone | 95 % |\n\
         | --- | --- | ---: | :---: | ---: | :---: |\n",
    );
    let groups = speed.groups.iter().enumerate().filter(|(_, group)| group.purpose == Purpose::Untouched);
    for (at, group) in groups {
        let web = &speed.webs[group.members[1].0];
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            engine_of(web),
            web.contender.name,
            cells(speed.ratio(at, 1, 0, By::ProcessorTime)),
            cells(speed.ratio(at, 1, 0, By::Throughput)),
        );
    }
    text
}

/// What sessions within the process take beside axum alone, and what they may take.
pub(super) fn budgets(speed: &Speed<'_>) -> String {
    let mut text = String::from(
        "| engine | request | extra processor µs | 95 % | bar | |\n| --- | --- | ---: | :---: | ---: | --- |\n",
    );
    let groups = speed.groups.iter().enumerate().filter(|(_, group)| group.purpose == Purpose::Budget);
    for (at, group) in groups {
        for (member, (web, path)) in group.members.iter().enumerate().skip(1) {
            let web = &speed.webs[*web];
            let (Some(extra), Some(engine)) = (speed.extra(at, member), web.engine) else { continue };
            let Estimate { median, low, high } = extra;
            let bar = super::bars::budget(engine, path, mode(web));
            let _ = writeln!(
                text,
                "| {engine} | `{path}`, {} | {median:+.1} | {low:+.1} … {high:+.1} | {bar} | {} |",
                mode(web),
                extra.verdict(bar),
            );
        }
    }
    text
}

/// Writes the cells of a ratio and its interval.
pub(super) fn cells(ratio: Option<Estimate>) -> String {
    ratio.map_or_else(
        || "not measured | ".to_owned(),
        |Estimate { median, low, high }| format!("{median:.2} | {low:.2} … {high:.2}"),
    )
}

fn engine_of(web: &Web) -> String {
    web.engine.map_or_else(String::new, |engine| engine.to_string())
}

/// Returns which of ours it is.
fn mode(web: &Web) -> &'static str {
    web.contender.name.rsplit(' ').next().unwrap_or_default()
}
