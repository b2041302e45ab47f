//! A store with the web servers on it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use steadfast_servers::{Server, Service};

use super::{Concurrency, Engine, Pair, callgrind};
use crate::Result;
use crate::app::PROFILE;
use crate::load::Load;

/// Requests that warm the sessions up: the first one of each also tells that its cookie has arrived.
const WARM_UP: u32 = 512;

/// Processor time per request, in microseconds.
#[derive(Clone, Copy)]
pub(super) struct Used {
    pub(super) web: f64,
    pub(super) store: f64,
}

/// What the web servers run under.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Under {
    Nothing,
    /// Valgrind, which counts what they execute.
    Callgrind,
}

/// A store, the probe on it twice, and the ceiling on it. Those who use it end first.
pub(super) struct Site {
    merge: Web,
    exclusive: Web,
    ceiling: Web,
    store: Box<dyn Server>,
}

impl Site {
    pub(super) async fn start(engine: Engine, workers: usize, under: Under) -> Result<Self> {
        let store = engine.start()?;
        let dsn = store.dsn();
        engine.prepare(&dsn).await?;
        let us = std::env::current_exe()?;
        let probe = us.with_file_name("steadfast-probe");
        if !probe.exists() {
            return Err("the probe is measured: `cargo build --release -p steadfast-probe` first".into());
        }
        let start = |program, arguments| Web::start(program, arguments, &dsn, workers, under);
        Ok(Self {
            merge: start(&probe, &["--concurrency", "merge"]).await?,
            exclusive: start(&probe, &["--concurrency", "exclusive"]).await?,
            ceiling: start(&us, &["ceiling"]).await?,
            store,
        })
    }

    /// Starts new sessions, so that no secret grows old enough to be replaced.
    pub(super) async fn start_sessions(&mut self) -> Result<()> {
        let values = serde_json::to_string(&PROFILE)?;
        let values: String = form_urlencoded::byte_serialize(values.as_bytes()).collect();
        let start = format!("/set?all={values}");
        for (web, start, read) in [
            (&mut self.merge, start.as_str(), "/get?k=n"),
            (&mut self.exclusive, start.as_str(), "/get?k=n"),
            (&mut self.ceiling, "/start", "/get"),
        ] {
            web.load.start_sessions(start).await?;
            web.load.run_times(read, WARM_UP).await?;
            let body = web.load.get(read).await?;
            if body != r#"{"k":"n","v":0}"# {
                return Err(format!("the web servers are to answer the same, and one says {body}").into());
            }
        }
        Ok(())
    }

    pub(super) async fn measure_probe(&mut self, pair: &Pair, time: Duration) -> Result<Used> {
        let web = match pair.concurrency {
            Concurrency::Merge => &mut self.merge,
            Concurrency::Exclusive => &mut self.exclusive,
        };
        web.measure(pair.probe, time, &*self.store).await
    }

    /// Counts the instructions of so many requests of the probe, and of the ceiling.
    pub(super) async fn count(&mut self, pair: &Pair, requests: u32) -> Result<[String; 2]> {
        let probe = match pair.concurrency {
            Concurrency::Merge => &mut self.merge,
            Concurrency::Exclusive => &mut self.exclusive,
        };
        Ok([probe.count(pair.probe, requests).await?, self.ceiling.count(pair.ceiling, requests).await?])
    }

    pub(super) async fn measure_ceiling(&mut self, pair: &Pair, time: Duration) -> Result<Used> {
        self.ceiling.measure(pair.ceiling, time, &*self.store).await
    }
}

/// A web server and the load on it.
struct Web {
    service: Service,
    load: Load,
}

impl Web {
    async fn start(
        program: &Path,
        arguments: &[&str],
        dsn: &str,
        workers: usize,
        under: Under,
    ) -> Result<Self> {
        let service = Service::start("web", |port, folder| {
            let mut command = under.command(program, folder);
            command.args(arguments).args(["--store", dsn, "--workers", &workers.to_string()]);
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            command
        })?;
        let load = Load::connect(service.address()).await?;
        Ok(Self { service, load })
    }

    async fn measure(&mut self, path: &str, time: Duration, store: &dyn Server) -> Result<Used> {
        let before = (self.service.processor_time(), store.processor_time());
        let sent = f64::from(self.load.run(path, time).await?);
        let web = self.service.processor_time() - before.0;
        let store = store.processor_time() - before.1;
        Ok(Used { web: web.as_secs_f64() * 1e6 / sent, store: store.as_secs_f64() * 1e6 / sent })
    }

    /// Counts the instructions of so many requests.
    async fn count(&mut self, path: &str, requests: u32) -> Result<String> {
        callgrind::forget(self.service.folder())?;
        self.load.run_times(path, requests).await?;
        callgrind::counted(self.service.folder())
    }
}

impl Under {
    /// Begins the call of a program whose folder this is.
    fn command(self, program: &Path, folder: &Path) -> Command {
        match self {
            Self::Nothing => Command::new(program),
            Self::Callgrind => callgrind::command(program, folder),
        }
    }
}
