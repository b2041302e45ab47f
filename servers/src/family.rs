//! A process with all that it started, and signals to all of them.
//!
//! A process group is not enough: PostgreSQL gives each of its processes a group of its own.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

/// How long to wait between two looks at processes that are about to end.
const POLL: Duration = Duration::from_millis(2);

/// Where the four times of a process are among its fields: its own in user mode and in the kernel, and those
/// of its children.
const TIMES: usize = 11;

/// Stops every process below `root`, and `root` itself.
///
/// A process may start another one while it is looked at, so this goes on until there is no new one.
pub(crate) fn pause(root: u32) -> BTreeSet<u32> {
    let mut stopped = BTreeSet::new();
    loop {
        let new: Vec<u32> = members(root).into_iter().filter(|id| stopped.insert(*id)).collect();
        if new.is_empty() {
            return stopped;
        }
        new.into_iter().for_each(|id| signal(id, Signal::STOP));
    }
}

/// Lets all of them go on.
pub(crate) fn resume(root: u32) {
    members(root).into_iter().for_each(|id| signal(id, Signal::CONT));
}

/// Ends all processes below `root` at once, and returns when they are gone: also their ports and locks.
///
/// `root` itself goes on: it reaps those it started, whose numbers are taken until then.
pub(crate) fn kill_below(root: u32) {
    let below: Vec<u32> = pause(root).into_iter().filter(|id| *id != root).collect();
    below.iter().for_each(|id| signal(*id, Signal::KILL));
    signal(root, Signal::CONT);
    while below.iter().any(|id| is_alive(*id)) {
        std::thread::sleep(POLL);
    }
}

/// Asks those that `root` started directly to end, and reports whether nothing is left below it in time.
pub(crate) fn end(root: u32, with: Signal, patience: Duration) -> bool {
    let start = Instant::now();
    for (id, _) in processes().into_iter().filter(|(_, parent)| *parent == root) {
        signal(id, with);
        signal(id, Signal::CONT);
    }
    while members(root).into_iter().any(|id| id != root && is_alive(id)) {
        if start.elapsed() > patience {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Returns the processor time that all processes below `root` have used, and those that they have reaped.
pub(crate) fn processor_time(root: u32) -> Duration {
    let ticks: u64 = members(root).into_iter().filter_map(ticks).sum();
    Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).expect("a hundred or a thousand")
}

/// Sends a signal. A process that is gone needs none.
fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Returns `root` and all processes that descend from it.
fn members(root: u32) -> BTreeSet<u32> {
    let processes = processes();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            processes
                .iter()
                .filter(|(_, parent)| found.contains(parent))
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found;
        }
    }
}

/// Returns every process of this machine with its parent.
fn processes() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id| Some((id, state(id)?.1))).collect()
}

/// Reports whether a process is there and has not ended.
fn is_alive(id: u32) -> bool {
    state(id).is_some_and(|(state, _)| state != 'Z')
}

/// Returns the state and the parent of a process.
fn state(id: u32) -> Option<(char, u32)> {
    let fields = fields(id)?;
    let mut fields = fields.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Returns the processor time of a process and of its children that have ended, in the kernel's ticks.
fn ticks(id: u32) -> Option<u64> {
    let fields = fields(id)?;
    fields.split(' ').skip(TIMES).take(4).map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Returns what the kernel tells of a process: the fields behind its name, which is in parentheses.
fn fields(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}
