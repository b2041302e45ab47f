//! Memory per session in the process of the web server, the same way for all.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Result;
use crate::contenders::MERGE;
use crate::engine::Engine;
use crate::lineup::{self, Web};
use crate::report::{Report, grouped};

/// How long the sessions of one server may take to start.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn run(sessions: usize, report: &Report) -> Result<()> {
    let mut used = Vec::new();
    for contender in lineup::on(Engine::Memory) {
        println!("memory of {} sessions: {}", grouped(f64::from(u32::try_from(sessions)?)), contender.name);
        let mut web = Web::start(contender, Some(Engine::Memory), &None).await;
        let each = web.fill(sessions, LIMIT).await;
        used.push((contender, each, web.failure().map(str::to_owned)));
    }
    let mut text = format!(
        "{} sessions of the profile, started by sign-ins; the growth of the process, divided.\n\n\
         | | resident bytes for each session |\n| --- | ---: |\n",
        grouped(f64::from(u32::try_from(sessions)?)),
    );
    for (contender, each, failure) in &used {
        let each = each.map_or_else(|| failure.clone().unwrap_or_default(), grouped);
        let _ = writeln!(text, "| {} | {each} |", contender.name);
    }
    let ours = used.iter().find(|(contender, ..)| **contender == MERGE).and_then(|(_, each, _)| *each);
    let peers = used.iter().filter(|(contender, ..)| !contender.is_ours());
    let least = peers.filter_map(|(contender, each, _)| Some((contender.name, (*each)?)));
    if let (Some(ours), Some((name, least))) = (ours, least.min_by(|a, b| a.1.total_cmp(&b.1))) {
        let verdict = if ours < least { "met" } else { "missed" };
        let (ours, least) = (grouped(ours), grouped(least));
        let _ = writeln!(
            text,
            "\nBar: below every peer's. {ours} bytes against {least} of {name}: **{verdict}**."
        );
    }
    report.write("memory", &text)
}
