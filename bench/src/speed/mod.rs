//! What requests cost, by processor time, throughput and latency.
//!
//! Each web server is a process of its own, and so is each store. What is to be compared makes a group, which
//! is measured in one go, in an order that changes with each repetition; only ratios within a group count: what
//! else runs on the machine slows all of it. All engines take their turn in each repetition.

mod bars;
mod chart;
mod groups;
mod tables;

use std::time::Duration;

use crate::Result;
use crate::engine::Engine;
use crate::lineup::{Measured, Web};
use crate::report::Report;
use crate::stats::{Estimate, estimate};

use groups::Group;

pub(crate) use groups::Purpose;

/// What was measured.
pub(crate) struct Speed<'a> {
    webs: &'a [Web],
    groups: Vec<Group>,
    /// By group, repetition, and member of the group.
    measured: Vec<Vec<Vec<Option<Measured>>>>,
}

/// What two members of a group are compared by.
#[derive(Clone, Copy)]
pub(crate) enum By {
    ProcessorTime,
    Throughput,
}

/// Measures all groups, and writes the section of the report.
pub(crate) async fn run(
    webs: &mut [Web],
    engines: &[Engine],
    repetitions: usize,
    time: Duration,
    report: &Report,
) -> Result<()> {
    let groups = groups::of(webs, engines);
    let mut measured: Vec<Vec<Vec<Option<Measured>>>> = groups.iter().map(|_| Vec::new()).collect();
    for repetition in 0..repetitions {
        println!("repetition {} of {repetitions}", repetition + 1);
        for web in webs.iter_mut() {
            web.start_sessions().await;
        }
        for (group, measured) in groups.iter().zip(&mut measured) {
            let members = group.members.len();
            let mut taken = vec![None; members];
            for step in 0..members {
                // Everybody is first, and last, equally often.
                let at = if repetition % 2 == 0 { step } else { members - 1 - step };
                let at = (at + repetition / 2) % members;
                let (web, path) = group.members[at];
                taken[at] = webs[web].measure(path, time).await;
            }
            measured.push(taken);
        }
    }
    let speed = Speed { webs, groups, measured };
    report.write("bars of speed", &bars::table(&speed, engines))?;
    report.write("requests", &tables::requests(&speed, engines))?;
    report.write("peers", &tables::peers(&speed))?;
    report.write("ceilings", &tables::ceilings(&speed))?;
    report.write("untouched", &tables::untouched(&speed))?;
    report.write("budgets", &tables::budgets(&speed))?;
    report.picture("benchmarks.svg", &chart::draw(&speed))
}

impl Speed<'_> {
    /// Returns the ratio of two members of a group, `over` that of `under`, if both were measured.
    fn ratio(&self, group: usize, over: usize, under: usize, by: By) -> Option<Estimate> {
        let value = |measured: &Measured| match by {
            By::ProcessorTime => measured.cpu,
            By::Throughput => measured.per_second,
        };
        let ratios = self.measured[group]
            .iter()
            .filter_map(|taken| Some(value(taken[over].as_ref()?) / value(taken[under].as_ref()?)));
        some_estimate(&ratios.collect::<Vec<_>>())
    }

    /// Returns by how many microseconds of processor time a member of a group takes more than the first.
    fn extra(&self, group: usize, member: usize) -> Option<Estimate> {
        let extra = self.measured[group]
            .iter()
            .filter_map(|taken| Some(taken[member].as_ref()?.cpu - taken[0].as_ref()?.cpu));
        some_estimate(&extra.collect::<Vec<_>>())
    }

    /// Returns an estimate over all measurements of a request.
    fn of(&self, web: usize, path: &str, value: impl Fn(&Measured) -> f64) -> Option<Estimate> {
        let mut values = Vec::new();
        for (group, measured) in self.groups.iter().zip(&self.measured) {
            let at = group.members.iter().position(|member| *member == (web, path));
            let Some(at) = at else { continue };
            values.extend(measured.iter().filter_map(|taken| taken[at].as_ref()).map(&value));
        }
        some_estimate(&values)
    }
}

fn some_estimate(values: &[f64]) -> Option<Estimate> {
    (!values.is_empty()).then(|| estimate(values))
}
