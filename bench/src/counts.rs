//! Instructions and allocations per request, counted by valgrind: the same on a busy machine as on a quiet
//! one.
//!
//! Requests go straight into the router, on one thread. Each count is the difference between a short and a
//! long run, so that what happens once does not count.

use std::process::Command;

use clap::Args;

use crate::app::{self, DRIVERS};
use crate::{Result, block_on, in_process};

/// Requests of the short run, beyond the first sessions.
const FEW: u64 = 500;

/// Requests of the long run.
const MANY: u64 = 2_500;

const SESSIONS: usize = 16;

const REQUESTS: [&str; 5] = ["none", "view", "get", "merge", "incr"];

#[derive(Args)]
pub(crate) struct Options {
    /// Counts for these drivers only.
    #[arg(long, value_delimiter = ',', default_values_t = DRIVERS.map(str::to_owned))]
    drivers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct RequestsOptions {
    server: String,
    request: String,
    count: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let base = count("base", "none")?;
    println!("bare router: {} instructions, {} allocations of {} bytes\n", base[0], base[1], base[2]);
    println!("| request | extra instructions | extra allocations | their bytes |");
    println!("| --- | ---: | ---: | ---: |");
    print_row("layer", "none", base)?;
    for driver in &options.drivers {
        for request in REQUESTS {
            print_row(driver, request, base)?;
        }
    }
    Ok(())
}

fn print_row(server: &str, request: &str, base: [i64; 3]) -> Result<()> {
    let with = count(server, request)?;
    let [instructions, allocations, bytes] = [0, 1, 2].map(|at| with[at] - base[at]);
    println!("| `/{server}/{request}` | {instructions} | {allocations} | {bytes} |");
    Ok(())
}

/// Counts instructions, allocations, and allocated bytes per request.
fn count(server: &str, request: &str) -> Result<[i64; 3]> {
    let difference = |counted: [u64; 2]| counted[1].cast_signed() - counted[0].cast_signed();
    let per_request = (MANY - FEW).cast_signed();
    let mut instructions = [0; 2];
    let mut allocations = [[0; 2]; 2];
    for (at, count) in [FEW, MANY].into_iter().enumerate() {
        let said = valgrind(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], server, request, count)?;
        instructions[at] = number_after(&said, "Collected :")?;
        let said = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], server, request, count)?;
        allocations[1][at] = number_after(&said, "Total:")?;
        allocations[0][at] = number_after(&said, "bytes in")?;
    }
    let rounded = |counted| (difference(counted) + per_request / 2).div_euclid(per_request);
    Ok([rounded(instructions), rounded(allocations[0]), rounded(allocations[1])])
}

fn valgrind(tool: &[&str], server: &str, request: &str, count: u64) -> Result<String> {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(std::env::current_exe()?)
        .args(["requests", server, request, &count.to_string()])
        .output()
        .map_err(|error| format!("valgrind is needed, and does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("valgrind failed:\n{said}").into()) }
}

/// Reads the number that follows `label`, as valgrind prints it: with commas.
fn number_after(said: &str, label: &str) -> Result<u64> {
    let (_, rest) = said.split_once(label).ok_or("valgrind did not say what was counted")?;
    let digits = rest.split_whitespace().next().unwrap_or_default().replace(',', "");
    Ok(digits.parse()?)
}

/// Sends requests, to be counted from outside.
pub(crate) fn requests(RequestsOptions { server, request, count }: &RequestsOptions) -> Result<()> {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let driver = if DRIVERS.contains(&server.as_str()) { server } else { "memory" };
        let sessions = app::sessions(driver, folder.path()).await?;
        let mut app = app::base().merge(app::routes(driver, &sessions));
        let mut cookies = Vec::new();
        for _ in 0..SESSIONS {
            cookies.push(in_process::start(&mut app, driver).await?);
        }
        let path = format!("/{server}/{request}");
        for cookie in cookies.iter().cycle().take(usize::try_from(*count)?) {
            in_process::send(&mut app, &path, Some(cookie)).await?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_valgrind_prints_them() {
        let said = "==1== Total:     1,234 bytes in 56 blocks\n==1== Collected : 789\n";
        assert_eq!(number_after(said, "Total:").unwrap(), 1_234);
        assert_eq!(number_after(said, "bytes in").unwrap(), 56);
        assert_eq!(number_after(said, "Collected :").unwrap(), 789);
        assert!(number_after(said, "Missed:").is_err());
    }
}
