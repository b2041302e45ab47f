//! Instructions and allocations per request, counted by valgrind: the same on a busy machine as on a quiet one.
//!
//! Each count is the difference between a short and a long run, so that what happens once does not count.

use std::process::Command;

use crate::Result;

/// Requests of the short run and of the long one. The short one is beyond the first request of each session.
const RUNS: [u32; 2] = [100, 600];

/// What requests cost, each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cost {
    pub(crate) instructions: i64,
    pub(crate) allocations: i64,
    /// Bytes of the allocations.
    pub(crate) bytes: i64,
}

impl Cost {
    /// Returns what is left beyond another cost.
    pub(crate) fn beyond(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            allocations: self.allocations - other.allocations,
            bytes: self.bytes - other.bytes,
        }
    }
}

/// Counts what a request costs.
///
/// # Errors
///
/// If valgrind does not run, or the requests fail.
pub(crate) fn count(server: &str, request: &str) -> Result<Cost> {
    let [mut instructions, mut allocations, mut bytes] = [[0; 2]; 3];
    for (at, count) in RUNS.into_iter().enumerate() {
        let said = run(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], server, request, count)?;
        instructions[at] = number_after(&said, "Collected :")?;
        let said = run(&["--tool=dhat", "--dhat-out-file=/dev/null"], server, request, count)?;
        bytes[at] = number_after(&said, "Total:")?;
        allocations[at] = number_after(&said, "bytes in")?;
    }
    Ok(Cost { instructions: each(instructions), allocations: each(allocations), bytes: each(bytes) })
}

/// Returns by how much one request makes a count larger, rounded.
fn each([short, long]: [i64; 2]) -> i64 {
    let requests = i64::from(RUNS[1] - RUNS[0]);
    (long - short + requests / 2).div_euclid(requests)
}

fn run(tool: &[&str], server: &str, request: &str, count: u32) -> Result<String> {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(std::env::current_exe()?)
        .args(["requests", server, request, &count.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("valgrind failed:\n{said}").into()) }
}

/// Reads the number that follows `label`, as valgrind prints it: with commas.
fn number_after(said: &str, label: &str) -> Result<i64> {
    let (_, rest) = said.split_once(label).ok_or("valgrind did not say what was counted")?;
    let digits = rest.split_whitespace().next().unwrap_or_default().replace(',', "");
    Ok(digits.parse()?)
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

    #[test]
    fn what_happens_once_does_not_count() {
        let requests = i64::from(RUNS[1] - RUNS[0]);
        assert_eq!(each([5_000, 5_000 + 12 * requests]), 12);
        assert_eq!(
            each([5_000, 5_000 + 12 * requests + requests / 3]),
            12,
            "nor does what happens now and then"
        );
    }
}
