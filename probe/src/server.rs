//! Starts, serves and stops.

use std::error::Error;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use steadfast::{Sessions, SessionsBuilder};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::adaptor;
use crate::events::EventFile;
use crate::options::{Adaptor, Chosen, Options};
use crate::routes::Node;

/// How often measurements are folded into the histograms: some thousand waits at most lie in between.
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// Why the probe does not serve.
pub(crate) type Failure = Box<dyn Error>;

/// Upper ends of the buckets of durations, in seconds: from a store next door to the longest wait for a turn.
/// Those of several nodes add up, as quantiles would not, and cost each store call less.
const BUCKETS: [f64; 12] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Serves until a SIGTERM or an interrupt.
///
/// # Errors
///
/// Says what is wrong with the options, the store or the address.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let chosen = options.choose()?;
    log_to_stderr();
    let runtime = match options.adaptor {
        Adaptor::Axum => {
            Builder::new_multi_thread().worker_threads(options.workers.into()).enable_all().build()?
        }
        // Requests run on threads of its own.
        Adaptor::Actix => Builder::new_current_thread().enable_all().build()?,
    };
    runtime.block_on(serve(options, chosen))
}

async fn serve(options: &Options, chosen: Chosen) -> Result<(), Failure> {
    let metrics = metrics(chosen.policy.node())?;
    let mut builder = Sessions::builder().policy(chosen.policy);
    if let Some(path) = &options.events {
        builder = with_events(builder, EventFile::open(path)?);
    }
    if let Some(before) = chosen.before {
        let before = Sessions::builder().policy(before.policy).connect(&before.store).await;
        builder = builder.migrate_from(before.map_err(|error| steadfast::chain(&error).to_string())?);
    }
    let sessions =
        builder.connect(&chosen.store).await.map_err(|error| steadfast::chain(&error).to_string())?;
    let node = Node { sessions: sessions.clone(), metrics };

    let listener = TcpListener::bind(options.listen)?;
    listener.set_nonblocking(true)?;
    // Heard from before the first line tells that the probe is there.
    let stop = stop()?;
    match options.adaptor {
        Adaptor::Axum => adaptor::axum::serve(listener, node, stop).await?,
        Adaptor::Actix => adaptor::actix::serve(listener, options.workers, node, stop).await?,
    }
    sessions.shutdown().await;
    Ok(())
}

/// Tells that the probe is there.
pub(crate) fn tell(address: SocketAddr) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "listening on http://{address}")
}

fn with_events(builder: SessionsBuilder, file: EventFile) -> SessionsBuilder {
    let file = Arc::new(file);
    builder.on_event(move |event| file.write(event))
}

fn metrics(node: Option<&str>) -> Result<PrometheusHandle, Box<dyn Error>> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS)?;
    let builder = match node {
        Some(node) => builder.add_global_label("node", node),
        None => builder,
    };
    let metrics = builder.install_recorder()?;
    tokio::spawn(keep_up(metrics.clone()));
    Ok(metrics)
}

/// Folds what was measured into the histograms now and then: measurements would pile up until somebody asks.
async fn keep_up(metrics: PrometheusHandle) {
    let mut tick = tokio::time::interval(METRICS_EVERY);
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}

/// Logs warnings, or from the level that `PROBE_LOG` names: `debug`, `info`, `error`, `off`.
fn log_to_stderr() {
    let level = std::env::var("PROBE_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::level_filters::LevelFilter::WARN))
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
}

fn stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
