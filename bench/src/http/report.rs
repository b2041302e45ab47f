//! The table of what was measured.

use crate::stats::{Estimate, estimate};

/// A request that is measured.
pub(super) struct Cell {
    pub(super) server: String,
    request: &'static str,
    /// The most it may cost beside the bare server, in microseconds.
    bar: Option<f64>,
}

impl Cell {
    pub(super) fn new(server: &str, request: &'static str, bar: Option<f64>) -> Self {
        Self { server: server.to_owned(), request, bar }
    }

    /// Returns the path that starts a session.
    pub(super) fn start(&self) -> String {
        // A layer that does nothing starts none; the cookie of another is as good.
        let server = if self.server == "layer" { "memory" } else { &self.server };
        format!("/{server}/start")
    }

    pub(super) fn path(&self) -> String {
        format!("/{}/{}", self.server, self.request)
    }
}

/// What was measured, by cell.
pub(super) struct Report<'a> {
    cells: &'a [Cell],
    bare: Vec<f64>,
    extra: Vec<Vec<f64>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(cells: &'a [Cell]) -> Self {
        Self { cells, bare: Vec::new(), extra: vec![Vec::new(); cells.len()] }
    }

    /// Adds a pair: the bare server, and right after it the cell.
    pub(super) fn add(&mut self, cell: usize, bare: f64, with: f64) {
        self.bare.push(bare);
        self.extra[cell].push(with - bare);
    }

    pub(super) fn print(&self) {
        let Estimate { median, low, high } = estimate(&self.bare);
        println!("bare server: {median:.2} µs [{low:.2}, {high:.2}] processor time per request\n");
        println!("| request | extra µs | 95 % | bar | |");
        println!("| --- | ---: | :---: | ---: | --- |");
        for (cell, extra) in self.cells.iter().zip(&self.extra) {
            let extra = estimate(extra);
            let (bar, verdict) = match cell.bar {
                None => (String::new(), ""),
                Some(bar) => (format!("{bar:.1}"), extra.verdict(bar)),
            };
            let Estimate { median, low, high } = extra;
            println!("| `{}` | {median:+.2} | {low:+.2} … {high:+.2} | {bar} | {verdict} |", cell.path());
        }
    }
}
