//! Requests among few and many live sessions, and while as many that have expired are purged, for the engines
//! within the process. Requests go straight into the router.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderValue;
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use steadfast::store::{Record, SharedStore, Store as _, StoreKey, Version};
use steadfast::{Concurrency, Sessions, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::report::{Report, grouped};
use crate::serve::steadfast::{merged, settings};
use crate::stats::{Estimate, Random, estimate, quantile};
use crate::{Result, in_process, raw};

/// How often each size is measured, all sizes in turn.
const REPETITIONS: usize = 7;

/// Requests of one measurement.
const REQUESTS: usize = 2_000;

const PATHS: [&str; 2] = ["/get", "/incr"];

/// Sessions that are started at once.
const AT_ONCE: usize = 64;

/// How long requests are sent with nothing purged.
const CALM: Duration = Duration::from_secs(3);

/// How long a purge may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How long the filling of a store may take: a million sessions begin one by one, each with a sign-in.
const FILLING: Duration = Duration::from_secs(900);

/// Records that a batch of a purge may remove, as the library's own does.
const BATCH: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// The most that a request among many sessions may cost, as a multiple of one among few.
const FLAT: f64 = 1.25;

/// By how much purging may delay the slowest of a hundred requests, in milliseconds.
const DELAY: f64 = 5.0;

/// Measures each engine at its sizes, and writes the sections of the report.
pub(crate) async fn run(
    engines: &[(Engine, &[usize])],
    folder: Option<&Path>,
    report: &Report,
) -> Result<()> {
    let mut flat = String::from(
        "| engine | sessions | request | processor µs | wall p50 µs | p99 µs | ÷ among the fewest | 95 % | bar |\n\
         | --- | ---: | --- | ---: | ---: | ---: | ---: | :---: | --- |\n",
    );
    let mut purge = String::from(
        "| engine | live | expired | purged in | p50 µs: calm, purging | p99 µs: calm, purging | longest ms: calm, purging | bar |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for (engine, sizes) in engines {
        let folder = match folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let sites = match fill(*engine, sizes, &folder).await {
            Ok(sites) => sites,
            Err(error) => {
                let _ = writeln!(flat, "| {engine} | | | | | | | | stopped: {error} |");
                continue;
            }
        };
        flatness(*engine, &sites, &mut flat).await?;
        if let Some(largest) = sites.last() {
            let row = while_purging(*engine, largest).await;
            let row = row.unwrap_or_else(|error| format!("| {engine} | | | stopped: {error} | | | | |"));
            purge.push_str(&row);
            purge.push('\n');
        }
    }
    report.write("scale", &flat)?;
    report.write("purge", &purge)
}

/// A store with so many sessions.
struct Site {
    store: SharedStore,
    sessions: Sessions,
    app: Router,
    cookies: Vec<HeaderValue>,
}

async fn fill(engine: Engine, sizes: &[usize], folder: &TempDir) -> Result<Vec<Site>> {
    let mut sites = Vec::new();
    for size in sizes {
        println!("scale: {engine}, {size} sessions");
        let place = folder.path().join(size.to_string());
        std::fs::create_dir_all(&place)?;
        let store = engine.open(&engine.address(None, &place)).await?;
        let sessions = settings(Concurrency::Merge)?.purge_every(None).store(store.clone());
        let app = merged(&sessions);
        let cookies = tokio::time::timeout(FILLING, start(&app, *size)).await;
        let cookies = cookies.map_err(|_| format!("{size} sessions do not start in time"))??;
        sites.push(Site { store, sessions, app, cookies });
    }
    Ok(sites)
}

/// Starts sessions, some at a time, and returns their cookies.
async fn start(app: &Router, count: usize) -> Result<Vec<HeaderValue>> {
    let (mut tasks, mut cookies) = (JoinSet::new(), Vec::with_capacity(count));
    for _ in 0..AT_ONCE.min(count) {
        tasks.spawn(sign_in(app.clone()));
    }
    while let Some(cookie) = tasks.join_next().await {
        cookies.push(cookie??);
        if cookies.len() + tasks.len() < count {
            tasks.spawn(sign_in(app.clone()));
        }
    }
    Ok(cookies)
}

async fn sign_in(mut app: Router) -> Result<HeaderValue> {
    let cookie = in_process::send(&mut app, "/login", None).await?;
    Ok(cookie.ok_or("the session was given no cookie")?)
}

/// Measures requests of any of the sessions at each size, and writes their rows.
async fn flatness(engine: Engine, sites: &[Site], text: &mut String) -> Result<()> {
    println!("scale: {engine}, requests");
    for path in PATHS {
        let mut cpu: Vec<Vec<f64>> = sites.iter().map(|_| Vec::new()).collect();
        let mut wall = cpu.clone();
        for repetition in 0..REPETITIONS {
            for (at, site) in sites.iter().enumerate() {
                let mut app = site.app.clone();
                let mut random = Random(u64::try_from(repetition)? + 1);
                let before = processor_time();
                for _ in 0..REQUESTS {
                    let cookie = &site.cookies[random.below(site.cookies.len())];
                    let began = Instant::now();
                    in_process::send(&mut app, path, Some(cookie)).await?;
                    wall[at].push(began.elapsed().as_secs_f64() * 1e6);
                }
                #[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
                cpu[at].push((processor_time() - before) / REQUESTS as f64);
            }
        }
        for (at, site) in sites.iter().enumerate() {
            let ratios: Vec<f64> = cpu[at].iter().zip(&cpu[0]).map(|(many, few)| many / few).collect();
            let Estimate { median, low, high } = estimate(&ratios);
            let is_last = at + 1 == sites.len();
            let _ = writeln!(
                text,
                "| {engine} | {} | `{path}` | {:.1} | {:.1} | {:.1} | {median:.2} | {low:.2} … {high:.2} | {} |",
                count(site.cookies.len()),
                estimate(&cpu[at]).median,
                quantile(&mut wall[at], 0.5),
                quantile(&mut wall[at], 0.99),
                if is_last { estimate(&ratios).verdict(FLAT) } else { "" },
            );
        }
    }
    Ok(())
}

/// Lets as many sessions expire as are live, and measures requests before and while they are purged.
async fn while_purging(engine: Engine, site: &Site) -> Result<String> {
    let expired = site.cookies.len();
    println!("scale: {engine}, {expired} that have expired");
    let filled = tokio::time::timeout(FILLING, expire(&site.store, expired)).await;
    filled.map_err(|_| "records do not expire in time")??;
    let until = Instant::now() + CALM;
    let mut calm = requests(site, || Instant::now() < until).await?;
    println!("scale: {engine}, purging");
    let (sessions, began) = (site.sessions.clone(), Instant::now());
    let purging = tokio::spawn(async move {
        let mut purged = 0;
        while purged < expired && began.elapsed() < LIMIT {
            purged += sessions.purge(BATCH).await?;
            tokio::task::yield_now().await;
        }
        Ok::<_, steadfast::Error>((purged, began.elapsed()))
    });
    let mut busy = requests(site, || !purging.is_finished()).await?;
    let (purged, took) = purging.await??;
    let mut both = |share: f64| (quantile(&mut calm, share), quantile(&mut busy, share));
    let (p50, p99, longest) = (both(0.5), both(0.99), both(1.0));
    let verdict = if (p99.1 - p99.0) / 1e3 <= DELAY { "met" } else { "missed" };
    let took = if purged < expired {
        format!("{} after {} s", count(purged), LIMIT.as_secs())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    };
    Ok(format!(
        "| {engine} | {} | {} | {took} | {:.0}, {:.0} | {:.0}, {:.0} | {:.1}, {:.1} | {verdict} |",
        count(site.cookies.len()),
        count(expired),
        p50.0,
        p50.1,
        p99.0,
        p99.1,
        longest.0 / 1e3,
        longest.1 / 1e3,
    ))
}

/// Sends requests of any of the sessions, one after the other, and returns how long each took, in µs.
async fn requests(site: &Site, mut more: impl FnMut() -> bool) -> Result<Vec<f64>> {
    let (mut app, mut random, mut took) = (site.app.clone(), Random(7), Vec::new());
    while more() {
        let cookie = &site.cookies[random.below(site.cookies.len())];
        let began = Instant::now();
        in_process::send(&mut app, PATHS[took.len() % PATHS.len()], Some(cookie)).await?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        // A server has other things to do, too; so does the purge where it is a task.
        tokio::task::yield_now().await;
    }
    Ok(took)
}

/// Stores records whose deadline is long past.
async fn expire(store: &SharedStore, records: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for number in 0..records {
        if tasks.len() == AT_ONCE
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        let store = store.clone();
        tasks.spawn(async move {
            let payload = Bytes::from_static(&[7; raw::BLOB]);
            let expires_at = Timestamp::from_micros(1_000_000);
            let record = Record { payload, version: Version::fresh(), expires_at, user: None };
            store.create(&key(number), &record).await.map(drop)
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Returns a key that is spread as a digest is.
fn key(number: usize) -> StoreKey {
    let mut z = (number as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    bytes[8..].copy_from_slice(&(number as u64).to_le_bytes());
    StoreKey::from_bytes(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
fn count(number: usize) -> String {
    grouped(number as f64)
}

/// Returns the processor time of this process, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "minutes, in nanoseconds")]
fn processor_time() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 * 1e6 + used.tv_nsec as f64 / 1e3
}
