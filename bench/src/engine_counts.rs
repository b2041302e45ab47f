//! Instructions that the web server executes for a request, outside the kernel, beside those of the ceiling: the
//! same on a busy machine as on a quiet one.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::contenders::{CEILING, Contender, EXCLUSIVE, LEASED, MERGE};
use crate::engine::Engine;
use crate::lineup::{Under, Web};
use crate::report::{Report, grouped};
use crate::{Result, block_on, callgrind};

/// What is compared: a request of ours, and the ceiling's.
const PAIRS: [(&Contender, &str, &Contender, &str); 5] = [
    (&MERGE, "/none", &CEILING, "/none"),
    (&MERGE, "/view", &CEILING, "/get"),
    (&MERGE, "/get", &CEILING, "/get"),
    (&MERGE, "/incr", &CEILING, "/incr"),
    (&EXCLUSIVE, "/incr", &LEASED, "/incr"),
];

#[derive(Args)]
pub(crate) struct Options {
    /// How many requests are counted.
    #[arg(long, default_value_t = 1_024)]
    requests: usize,
    /// Counts on these engines only.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Engine::ALL)]
    engines: Vec<Engine>,
    /// Keeps what was counted in this folder, for `callgrind_annotate`.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Writes the report to another folder than `docs/`.
    #[arg(long)]
    report: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    block_on(async {
        let mut text = String::from(
            "| engine | request | instructions | of the ceiling | ratio |\n| --- | --- | ---: | ---: | ---: |\n",
        );
        for engine in &options.engines {
            let store = engine.start()?;
            if let Some(store) = &store {
                engine.prepare(&store.dsn()).await?;
            }
            let mut webs = Vec::new();
            for contender in [&MERGE, &EXCLUSIVE, &CEILING, &LEASED] {
                println!("starting {} on {engine} under valgrind", contender.name);
                let mut web = Web::start_under(Under::Callgrind, contender, Some(*engine), &store).await;
                web.start_sessions().await;
                webs.push(web);
            }
            for (number, (ours, path, ceiling, its_path)) in PAIRS.iter().enumerate() {
                let mut totals = [0.0; 2];
                for (at, (contender, path)) in [(ours, path), (ceiling, its_path)].into_iter().enumerate() {
                    let web = webs.iter_mut().find(|web| web.contender == *contender);
                    let web = web.ok_or("one that is not measured")?;
                    let counted = web.count(path, options.requests).await;
                    let counted = counted.ok_or_else(|| web.failure().unwrap_or_default().to_owned())?;
                    #[expect(clippy::cast_precision_loss, reason = "some billions")]
                    let each = callgrind::total(&counted)? as f64 / options.requests as f64;
                    totals[at] = each;
                    if let Some(folder) = &options.keep {
                        std::fs::write(
                            folder.join(format!("{engine}-{number}-{}", contender.kind)),
                            counted,
                        )?;
                    }
                }
                let _ = writeln!(
                    text,
                    "| {engine} | `{path}`, {} | {} | {} | {:.2} |",
                    ours.name.rsplit(' ').next().unwrap_or_default(),
                    grouped(totals[0]),
                    grouped(totals[1]),
                    totals[0] / totals[1],
                );
            }
        }
        Report::new(options.report.as_deref()).write("engine counts", &text)
    })
}
