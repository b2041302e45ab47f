//! The commands whose results go into the report.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::engine::Engine;
use crate::lineup::Web;
use crate::report::Report;
use crate::{Result, behaviour, block_on, commands, contenders, lineup, machine, memory, scale, speed};

#[derive(Args)]
pub(crate) struct Options {
    /// How often everything is measured.
    #[arg(long, default_value_t = 7)]
    repetitions: usize,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    milliseconds: u64,
    /// Measures these engines only.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Engine::ALL)]
    engines: Vec<Engine>,
    /// How many sessions are started to see what memory they take.
    #[arg(long, default_value_t = 200_000)]
    sessions: usize,
    /// Among how many sessions requests are measured; as many as the last have expired when they are purged.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    scale: Vec<usize>,
    /// As `scale`, for files: a million of them take 5 GB and some minutes.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    scale_files: Vec<usize>,
    /// Where session files are made, and removed again; the folder for temporary files by default.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measures those peers that are built already, and builds none.
    #[arg(long)]
    as_built: bool,
    /// Writes the report to another folder than `docs/`.
    #[arg(long)]
    report: Option<PathBuf>,
}

impl Options {
    fn report(&self) -> Report {
        Report::new(self.report.as_deref())
    }

    /// Writes where it is measured, and what.
    fn describe(&self) -> Result<()> {
        self.report().write("machine", &machine::tables()?)?;
        self.report().write("contenders", &contenders::table())
    }

    /// Builds the peers, unless they are to be taken as they are.
    fn build(&self) {
        if !self.as_built {
            lineup::build();
        }
    }

    async fn start(&self, with_ceilings: bool) -> Result<Vec<Web>> {
        self.build();
        lineup::start(&self.engines, with_ceilings).await
    }

    async fn speed(&self, webs: &mut [Web]) -> Result<()> {
        let time = Duration::from_millis(self.milliseconds);
        speed::run(webs, &self.engines, self.repetitions, time, &self.report()).await
    }

    async fn scale(&self) -> Result<()> {
        let sizes = |engine| if engine == Engine::Files { &self.scale_files[..] } else { &self.scale };
        let embedded = self.engines.iter().copied().filter(|engine| Engine::EMBEDDED.contains(engine));
        let engines: Vec<_> = embedded.map(|engine| (engine, sizes(engine))).collect();
        scale::run(&engines, self.folder.as_deref(), &self.report()).await
    }
}

/// Each step writes its own sections, so that what is done stays, whatever fails after it.
pub(crate) fn all(options: &Options) -> Result<()> {
    block_on(async {
        options.describe()?;
        let mut webs = options.start(true).await?;
        options.speed(&mut webs).await?;
        commands::run(&mut webs, &options.report()).await?;
        behaviour::run(&webs, &options.report()).await?;
        drop(webs);
        memory::run(options.sessions, &options.report()).await
    })?;
    scale(options)
}

pub(crate) fn speed(options: &Options) -> Result<()> {
    block_on(async {
        options.describe()?;
        let mut webs = options.start(true).await?;
        options.speed(&mut webs).await
    })
}

pub(crate) fn commands(options: &Options) -> Result<()> {
    block_on(async {
        let mut webs = options.start(true).await?;
        commands::run(&mut webs, &options.report()).await
    })
}

pub(crate) fn behaviour(options: &Options) -> Result<()> {
    block_on(async {
        let webs = options.start(false).await?;
        behaviour::run(&webs, &options.report()).await
    })
}

pub(crate) fn memory(options: &Options) -> Result<()> {
    options.build();
    block_on(memory::run(options.sessions, &options.report()))
}

/// On two threads, so that requests and a purge can run at the same time, as in a server.
pub(crate) fn scale(options: &Options) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build()?.block_on(options.scale())
}
