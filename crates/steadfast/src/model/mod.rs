//! A model of the protocol: one browser, one store, everything that may happen between them, in any order.

mod checker;
mod numbers;
mod record;
mod scenarios;
mod server;
mod world;

use std::time::Duration;

use crate::policy::Concurrency;
use crate::rules::Rules;
use record::TICK;
use world::{KINDS, Kind};

/// What is explored.
#[derive(Debug, Clone)]
struct Scenario {
    rules: Rules,
    concurrency: Concurrency,
    /// Who is signed in at the start; `None` for a browser without a cookie.
    begins: Option<u8>,
    /// How many requests of which kind the browser sends at most.
    requests: Vec<(Kind, u8)>,
    /// How many of them are under way at once.
    parallel: usize,
    revocations: u8,
    /// How far time goes.
    ticks: u8,
    window_ticks: u8,
    rotate_every: Option<u8>,
    /// Whether requests, handlers and responses get lost.
    losses: bool,
    /// Whether a head may leave much later than the commit.
    slow_heads: bool,
    /// Whether the answer of a change of privilege may overtake one that was sent before it.
    overtaking: bool,
}

impl Scenario {
    fn window(&self) -> Duration {
        TICK * u32::from(self.window_ticks)
    }

    fn budget(&self) -> [u8; KINDS.len()] {
        let mut budget = [0; KINDS.len()];
        for (kind, count) in &self.requests {
            budget[*kind as usize] = *count;
        }
        budget
    }
}
