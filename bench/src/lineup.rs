//! Web servers that run, each a process of its own, and the stores behind them.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use steadfast_bench_routes::USAGE;
use steadfast_servers::{Server, Service};

use crate::contenders::{ALONE, CEILING, Contender, EXCLUSIVE, LEASED, MERGE, ON_ACTIX, PEERS, Program};
use crate::engine::Engine;
use crate::load::Load;
use crate::stats::quantile;
use crate::{Result, callgrind};

/// The store of an engine, if that is a server.
pub(crate) type Store = Option<Arc<dyn Server>>;

/// Requests that warm the sessions up: the first one of each also tells that its cookie has arrived.
const WARM_UP: usize = 1_024;

/// Requests after new connections that are not measured.
const FIRST: usize = 64;

/// A web server and the load on it. What it fails with ends it, and is told instead of figures.
pub(crate) struct Web {
    pub(crate) contender: &'static Contender,
    /// None for a framework alone.
    pub(crate) engine: Option<Engine>,
    pub(crate) store: Store,
    running: Result<Running, String>,
}

struct Running {
    service: Service,
    load: Load,
}

/// What a request costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Processor time of the web server, in microseconds.
    pub(crate) cpu: f64,
    /// That of the store's process.
    pub(crate) store: f64,
    pub(crate) per_second: f64,
    /// How long it takes, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The share of answers with another status than 200.
    pub(crate) refused: f64,
}

/// What a web server runs under.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Under {
    Nothing,
    /// Valgrind, which counts what it executes; on one thread.
    Callgrind,
}

impl Web {
    pub(crate) async fn start(contender: &'static Contender, engine: Option<Engine>, store: &Store) -> Self {
        Self::start_under(Under::Nothing, contender, engine, store).await
    }

    pub(crate) async fn start_under(
        under: Under,
        contender: &'static Contender,
        engine: Option<Engine>,
        store: &Store,
    ) -> Self {
        let running = Running::start(under, contender, engine, store.as_deref()).await;
        let running = running.map_err(|error| short(&error.to_string()));
        if let Err(error) = &running {
            println!("{} does not run: {error}", contender.name);
        }
        Self { contender, engine, store: store.clone(), running }
    }

    /// Returns what is wrong with it, if something is.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.running.as_ref().err().map(String::as_str)
    }

    pub(crate) fn address(&self) -> Option<std::net::SocketAddr> {
        self.running.as_ref().ok().map(|running| running.service.address())
    }

    /// Starts new sessions, so that none grows old enough to be given a new id, and warms them up.
    pub(crate) async fn start_sessions(&mut self) {
        let without = self.engine.is_none();
        self.attempt(async |running| {
            running.load.reconnect().await?;
            if without {
                running.load.pretend_sessions();
                return running.load.run_times("/none", WARM_UP).await;
            }
            running.load.start_sessions("/login").await?;
            running.load.run_times("/get", WARM_UP).await
        })
        .await;
    }

    /// Measures a request, if the server still answers.
    pub(crate) async fn measure(&mut self, path: &'static str, time: Duration) -> Option<Measured> {
        let store = self.store.clone();
        self.attempt(async |running| {
            // Servers close connections that nothing came on for a while.
            running.load.reconnect().await?;
            running.load.run_times(path, FIRST).await?;
            let store_time = || store.as_ref().map_or(Duration::ZERO, |store| store.processor_time());
            let (cpu_before, store_before) = (running.usage().await?.0, store_time());
            let mut sent = running.load.run(path, time).await?;
            let (cpu, store) = (running.usage().await?.0 - cpu_before, store_time() - store_before);
            #[expect(clippy::cast_precision_loss, reason = "some hundred thousand requests")]
            let count = sent.took.len().max(1) as f64;
            Ok(Measured {
                cpu: cpu.as_secs_f64() * 1e6 / count,
                store: store.as_secs_f64() * 1e6 / count,
                per_second: count / sent.elapsed.as_secs_f64(),
                p50: quantile(&mut sent.took, 0.5),
                p99: quantile(&mut sent.took, 0.99),
                refused: f64::from(sent.refused) / count,
            })
        })
        .await
    }

    /// Sends a request with the cookies of the first session, some times in turn.
    pub(crate) async fn repeat(&mut self, path: &str, times: usize) -> Option<()> {
        self.attempt(async |running| {
            for _ in 0..times {
                let (status, body) = running.load.get(path).await?;
                if status != 200 {
                    return Err(format!("{path} is answered with {status}: {body}").into());
                }
            }
            Ok(())
        })
        .await
    }

    /// Starts many sessions, and returns the bytes of memory that each takes in the server.
    pub(crate) async fn fill(&mut self, sessions: usize, limit: Duration) -> Option<f64> {
        self.attempt(async |running| {
            // What the first requests allocate is not a session's.
            running.load.start_many("/login", 1_000, limit).await?;
            let before = running.usage().await?.1;
            running.load.start_many("/login", sessions, limit).await?;
            let after = running.usage().await?.1;
            #[expect(clippy::cast_precision_loss, reason = "less than a petabyte")]
            Ok(after.saturating_sub(before) as f64 / sessions as f64)
        })
        .await
    }

    /// Sends so many requests, and returns what valgrind counted meanwhile.
    pub(crate) async fn count(&mut self, path: &str, requests: usize) -> Option<String> {
        self.attempt(async |running| {
            callgrind::forget(running.service.folder())?;
            running.load.run_times(path, requests).await?;
            callgrind::counted(running.service.folder())
        })
        .await
    }

    async fn attempt<T>(&mut self, work: impl AsyncFnOnce(&mut Running) -> Result<T>) -> Option<T> {
        let running = self.running.as_mut().ok()?;
        match work(running).await {
            Ok(done) => Some(done),
            Err(error) => {
                let error = short(&error.to_string());
                let engine = self.engine.map_or_else(String::new, |engine| format!(" on {engine}"));
                println!("{}{engine} is left out from here on: {error}", self.contender.name);
                self.running = Err(error);
                None
            }
        }
    }
}

impl Running {
    async fn start(
        under: Under,
        contender: &Contender,
        engine: Option<Engine>,
        store: Option<&dyn Server>,
    ) -> Result<Self> {
        let program = contender.program.path()?;
        if !program.exists() {
            return Err("it is not built".into());
        }
        let service = Service::start("web", |port, folder| {
            let store = engine.map_or_else(|| "none:".to_owned(), |engine| engine.address(store, folder));
            let mut command = match under {
                Under::Nothing => Command::new(&program),
                Under::Callgrind => callgrind::command(&program, folder),
            };
            if contender.program == Program::Own {
                command.arg("serve");
            }
            command.args([contender.kind, "--store", &store, "--listen", &format!("127.0.0.1:{port}")]);
            if under == Under::Callgrind {
                command.args(["--workers", "1"]);
            }
            command
        })?;
        let load = Load::connect(service.address()).await?;
        Ok(Self { service, load })
    }

    /// Returns the processor time that the server has used, and its resident memory.
    async fn usage(&mut self) -> Result<(Duration, u64)> {
        let (_, body) = self.load.get(USAGE).await?;
        let (nanoseconds, resident) = body.split_once(' ').ok_or("a server that does not tell its usage")?;
        Ok((Duration::from_nanos(nanoseconds.parse()?), resident.parse()?))
    }
}

/// Builds what is measured. A peer that does not build is reported and left out, as it does not start then.
pub(crate) fn build() {
    for program in peers() {
        println!("building {program:?}");
        if let Err(error) = program.build() {
            println!("{error}");
        }
    }
}

fn peers() -> Vec<Program> {
    let mut programs: Vec<Program> = PEERS.iter().map(|peer| peer.program).collect();
    programs.dedup();
    programs
}

/// Returns those that have an engine: ours first.
pub(crate) fn on(engine: Engine) -> impl Iterator<Item = &'static Contender> {
    let all = [&MERGE, &EXCLUSIVE].into_iter().chain(&ON_ACTIX).chain(&PEERS);
    all.filter(move |contender| contender.engines.contains(&engine))
}

/// Starts the servers of engines, and all that is measured on them.
pub(crate) async fn start(engines: &[Engine], with_ceilings: bool) -> Result<Vec<Web>> {
    let mut webs = Vec::new();
    if with_ceilings {
        for alone in &ALONE {
            webs.push(Web::start(alone, None, &None).await);
        }
    }
    for engine in engines {
        println!("starting what is measured on {engine}");
        let store = engine.start()?;
        if let Some(store) = &store {
            engine.prepare(&store.dsn()).await?;
        }
        let ceilings = [&CEILING, &LEASED].into_iter().filter(|_| with_ceilings);
        for contender in on(*engine).chain(ceilings) {
            webs.push(Web::start(contender, Some(*engine), &store).await);
        }
    }
    Ok(webs)
}

/// Makes one short line of what a server failed with.
fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line = words.join(" ").replace('|', "/");
    line.truncate(line.char_indices().nth(160).map_or(line.len(), |(at, _)| at));
    line
}
