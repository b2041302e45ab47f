//! The server that is measured, in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use axum::routing::get;
use axum::serve::{ListenerExt as _, TapIo};
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{self, DRIVERS};
use crate::{Result, ceiling};

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// Threads that serve.
    #[arg(long)]
    workers: usize,
}

/// Serves until it is stopped; says its address first.
pub(crate) fn serve(options: &ServeOptions) -> Result<()> {
    let mut runtime = match options.workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(options.workers).enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let mut routes = app::base().route("/cpu", get(cpu));
        for driver in DRIVERS {
            let sessions = app::sessions(driver, folder.path()).await?;
            routes = routes.merge(app::routes(driver, &sessions));
            routes = routes.merge(ceiling::routes(driver, folder.path())?);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        // The load has gone when nothing more can be read from it.
        tokio::select! {
            served = axum::serve(without_delay(listener), routes).into_future() => Ok(served?),
            ended = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())) => {
                ended??;
                Ok(())
            }
        }
    })
}

/// Lets no response wait for the acknowledgement of the one before. Failing costs time only.
pub(crate) fn without_delay(listener: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    listener.tap_io(|stream| drop(stream.set_nodelay(true)))
}

/// Answers with the processor time that this process has used, in nanoseconds.
async fn cpu() -> String {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    (i128::from(used.tv_sec) * 1_000_000_000 + i128::from(used.tv_nsec)).to_string()
}

/// A running server. It ends with the pipe to it.
pub(super) struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    pub(super) fn start(workers: usize) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--workers", &workers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.as_mut().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse().map_err(|_| "the server did not start")? })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It removes its folder when its input ends.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
