//! The process that serves: how it is called, and what it says of itself.

use std::net::SocketAddr;

use clap::Args;
use rustix::time::{ClockId, clock_gettime};

/// What a server is started with.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Which sessions: a name that the program knows.
    pub kind: String,
    /// Where they are kept: `none:`, `memory:`, `files:PATH`, `sqlite:PATH`, or the address of a server.
    #[arg(long)]
    pub store: String,
    /// Address to listen on.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Threads that serve.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
}

impl Serve {
    /// Returns what kind of store it is: the part of the address before the colon.
    pub fn engine(&self) -> &str {
        self.store.split(':').next().unwrap_or_default()
    }

    /// Returns the path of a store that is a file or a folder.
    pub fn path(&self) -> &str {
        self.store.split_once(':').map_or("", |(_, path)| path)
    }

    /// Says that there are no such sessions.
    pub fn unknown(&self) -> Error {
        format!("no sessions of the kind {} on {}", self.kind, self.engine()).into()
    }

    /// Runs a server on the threads that it is to have.
    ///
    /// # Errors
    ///
    /// What the server fails with.
    pub fn run(&self, server: impl Future<Output = Result<()>>) -> Result<()> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(self.workers).enable_all().build()?.block_on(server)
    }
}

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where a server says what it has used.
pub const USAGE: &str = "/usage";

/// Returns the processor time of this process in nanoseconds, and its resident memory in bytes.
pub fn usage() -> String {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = i128::from(used.tv_sec) * 1_000_000_000 + i128::from(used.tv_nsec);
    format!("{nanoseconds} {}", resident().unwrap_or(0))
}

fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1_024)
}
