//! Requests of one session that meet, forced by naps in the handlers: what can happen, not how often it does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{is_user, signed_in};
use crate::browser::{Answer, Browser};
use crate::lineup::Web;

/// Servers that are tried at once: most of the time is spent in naps.
const AT_ONCE: usize = 8;

/// How often each race is run.
const ROUNDS: usize = 3;

const COUNTS: usize = 50;
const CLIENTS: usize = 10;

/// Between the starts of the requests around a rotation.
const APART: Duration = Duration::from_millis(2);

/// How far the slow request is when the browser signs out.
const HALFWAY: Duration = Duration::from_millis(60);

/// Several values are what different rounds ended with.
type Seen = Vec<String>;

pub(super) async fn table(webs: &[&Web]) -> String {
    let mut text = format!(
        "| engine | | {COUNTS} × `/incr` at once: counter | {CLIENTS} keys set at once: kept | rotation among {CLIENTS} clients: \
         still signed in | old id right after | sign-out before a slower write: old id | browser of the slower one | \
         panic after a write: answer, written | next request |\n\
         | --- | --- | ---: | ---: | --- | --- | --- | --- | --- | --- |\n"
    );
    for some in webs.chunks(AT_ONCE) {
        println!("races: {} servers", some.len());
        let mut running = JoinSet::new();
        for (at, web) in some.iter().enumerate() {
            let address = web.address();
            running.spawn(async move { (at, rounds(address).await) });
        }
        let mut rows = running.join_all().await;
        rows.sort_by_key(|(at, _)| *at);
        for (web, (_, cells)) in some.iter().zip(rows) {
            let engine = web.engine.map_or_else(String::new, |engine| engine.to_string());
            let cells = cells.unwrap_or_else(|| format!("stopped: {}", web.failure().unwrap_or_default()));
            let _ = writeln!(text, "| {engine} | {} | {cells} |", web.contender.name);
        }
    }
    text
}

/// Runs all races some times, and returns the cells of the row, if there is a server.
async fn rounds(address: Option<SocketAddr>) -> Option<String> {
    let mut columns: [Seen; 8] = Default::default();
    for _ in 0..ROUNDS {
        for (column, seen) in columns.iter_mut().zip(round(address?).await) {
            if !column.contains(&seen) {
                column.push(seen);
            }
        }
    }
    Some(columns.map(|seen| seen.join(" / ")).join(" | "))
}

async fn round(address: SocketAddr) -> [String; 8] {
    let counter = counter(address).await;
    let keys = keys(address).await;
    let [clients, old] = rotation(address).await;
    let [after, browser] = sign_out(address).await;
    let [panicked, next] = panic(address).await;
    [counter, keys, clients, old, after, browser, panicked, next]
        .map(|seen| seen.unwrap_or("no sign-in".to_owned()))
}

/// Increments at once; each reads, waits, and writes.
async fn counter(address: SocketAddr) -> Option<String> {
    let browser = signed_in(address).await?;
    let answers = at_once(&browser, vec!["/incr?sleep=20".to_owned(); COUNTS], Duration::ZERO).await;
    let end = browser.clone().get("/get").await;
    let end = end.number("v").map_or_else(|| end.shown(), |n| n.to_string());
    Some(with_failures(end, &answers))
}

/// Sets a key of its own with each of several requests at once.
async fn keys(address: SocketAddr) -> Option<String> {
    let browser = signed_in(address).await?;
    let paths = (0..CLIENTS).map(|key| format!("/set?k=k{key}&v=1&sleep=20")).collect();
    let answers = at_once(&browser, paths, Duration::ZERO).await;
    let mut kept = 0;
    for key in 0..CLIENTS {
        kept += usize::from(browser.clone().get(&format!("/get?k=k{key}")).await.number("v") == Some(1));
    }
    Some(with_failures(kept.to_string(), &answers))
}

/// Gives the session a new id amid requests of clients that share its cookie and then keep what each was told.
async fn rotation(address: SocketAddr) -> [Option<String>; 2] {
    let Some(browser) = signed_in(address).await else { return [None, None] };
    let mut paths = vec!["/incr?sleep=20".to_owned(); CLIENTS];
    paths[CLIENTS / 2] = "/rotate".to_owned();
    let answers = at_once(&browser, paths, APART).await;
    let old = is_user(&browser.clone().get("/whoami").await);
    let mut signed_in = 0;
    for (client, _) in &answers {
        signed_in += usize::from(is_user(&client.clone().get("/whoami").await));
    }
    let old = if old { "opens" } else { "does not open" };
    [Some(with_failures(format!("{signed_in} of {CLIENTS}"), &answers)), Some(old.to_owned())]
}

/// Signs out while a request of the same session is under way that writes later.
async fn sign_out(address: SocketAddr) -> [Option<String>; 2] {
    let Some(browser) = signed_in(address).await else { return [None, None] };
    let (mut slow, mut leaving) = (browser.clone(), browser.clone());
    let (slower, left) = tokio::join!(slow.get("/incr?sleep=200"), async {
        sleep(HALFWAY).await;
        leaving.get("/logout").await
    });
    let said = |signed_in| if signed_in { "signed in" } else { "signed out" };
    let mut old = said(is_user(&browser.clone().get("/whoami").await)).to_owned();
    let mut own = said(is_user(&slow.get("/whoami").await)).to_owned();
    if !left.is_ok() {
        let _ = write!(old, " (sign-out: {})", left.shown());
    }
    if !slower.is_ok() {
        let _ = write!(own, " (slower request: {})", slower.shown());
    }
    [Some(old), Some(own)]
}

/// Writes, then panics.
async fn panic(address: SocketAddr) -> [Option<String>; 2] {
    let Some(mut browser) = signed_in(address).await else { return [None, None] };
    let answer = browser.get("/panic?v=999").await;
    let next = browser.get("/get").await;
    let written = match next.number("v") {
        Some(999) => "kept",
        Some(_) => "not kept",
        None => "unknown",
    };
    [Some(format!("{}, {written}", answer.shown())), Some(next.shown())]
}

/// Sends requests of clones of a browser, each a little later than the one before; returns the clones.
async fn at_once(browser: &Browser, paths: Vec<String>, apart: Duration) -> Vec<(Browser, Answer)> {
    let mut requests = JoinSet::new();
    for (number, path) in (0_u32..).zip(paths) {
        let mut browser = browser.clone();
        requests.spawn(async move {
            sleep(apart * number).await;
            let answer = browser.get(&path).await;
            (browser, answer)
        });
    }
    requests.join_all().await
}

/// Adds which answers were none or had another status than 200, and how many.
fn with_failures(mut text: String, answers: &[(Browser, Answer)]) -> String {
    let mut failures: Vec<String> =
        answers.iter().filter(|(_, answer)| !answer.is_ok()).map(|(_, answer)| answer.shown()).collect();
    failures.sort();
    let count = failures.len();
    failures.dedup();
    if count > 0 {
        let _ = write!(text, " ({count} × {})", failures.join(" or "));
    }
    text
}
