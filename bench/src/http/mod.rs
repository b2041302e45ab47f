//! Processor time per request of a server, beside the same server without sessions.
//!
//! The server is a process of its own, so that its time is not the load's. Each measurement has one of the
//! bare server right before it, and only differences within such a pair are compared: what else runs on
//! the machine slows both.

mod report;
mod server;

use std::time::Duration;

use clap::Args;

use crate::app::DRIVERS;
use crate::load::Load;
use crate::{Result, block_on};

pub(crate) use server::{ServeOptions, serve, without_delay};

use report::{Cell, Report};
use server::Server;

#[derive(Args)]
pub(crate) struct Options {
    /// How often everything is measured.
    #[arg(long, default_value_t = 9)]
    repetitions: usize,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 400)]
    milliseconds: u64,
    /// Measures these drivers only.
    #[arg(long, value_delimiter = ',', default_values_t = DRIVERS.map(str::to_owned))]
    drivers: Vec<String>,
    /// Threads that serve.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let server = Server::start(options.workers)?;
    let cells = cells(&options.drivers);
    let mut report = Report::new(&cells);
    block_on(async {
        let mut load = Load::connect(server.address()).await?;
        for _ in 0..options.repetitions {
            measure(&mut load, &cells, Duration::from_millis(options.milliseconds), &mut report).await?;
        }
        Ok(())
    })?;
    report.print();
    Ok(())
}

/// Lists what is measured: a request of an application, and the most it may cost, in microseconds.
fn cells(drivers: &[String]) -> Vec<Cell> {
    let mut cells = vec![Cell::new("layer", "none", None)];
    for driver in drivers {
        let (read, merge, exclusive) = match driver.as_str() {
            "memory" => (1.5, 3.0, 4.0),
            "files" => (12.0, 40.0, 40.0),
            _ => (40.0, 70.0, 70.0),
        };
        cells.extend([
            Cell::new(driver, "none", Some(0.5)),
            Cell::new(driver, "view", Some(read)),
            Cell::new(driver, "get", Some(read)),
            Cell::new(driver, "merge", Some(merge)),
            Cell::new(driver, "incr", Some(exclusive)),
            Cell::new(&format!("ceiling-{driver}"), "get", None),
            Cell::new(&format!("ceiling-{driver}"), "incr", None),
        ]);
    }
    cells
}

async fn measure(load: &mut Load, cells: &[Cell], time: Duration, report: &mut Report<'_>) -> Result<()> {
    for (at, cell) in cells.iter().enumerate() {
        // A new cookie for each repetition, so that no secret grows old enough to be replaced.
        load.start_sessions(&cell.start()).await?;
        let bare = cost(load, "/base/none", time).await?;
        let with = cost(load, &cell.path(), time).await?;
        report.add(at, bare, with);
    }
    Ok(())
}

/// Returns the server's processor time for each request, in microseconds.
async fn cost(load: &mut Load, path: &str, time: Duration) -> Result<f64> {
    let before: u64 = load.get("/cpu").await?.parse()?;
    let sent = load.run(path, time).await?;
    let used = load.get("/cpu").await?.parse::<u64>()? - before;
    #[expect(clippy::cast_precision_loss, reason = "a few seconds in nanoseconds")]
    let microseconds = used as f64 / 1_000.0;
    Ok(microseconds / f64::from(sent))
}
