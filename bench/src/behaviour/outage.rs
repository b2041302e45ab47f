//! The store is killed, and comes back with the data that it had: how long until an answer, and which; and
//! after how long sessions work again. All at once, so that it takes no longer than the slowest.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use steadfast_servers::Server;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::signed_in;
use crate::Result;
use crate::browser::{Answer, Browser};
use crate::lineup::Web;

/// How long a browser waits for an answer while the store is away.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a server has to find its store again.
const RECOVERY: Duration = Duration::from_secs(20);

/// How long one try may take.
const ONE_TRY: Duration = Duration::from_secs(2);

/// Between two looks.
const POLL: Duration = Duration::from_millis(200);

/// A signed-in browser, and the server that it talks to.
struct Visitor<'a> {
    web: &'a Web,
    browser: Option<Browser>,
}

pub(super) async fn table(webs: &[&Web]) -> Result<String> {
    let mut visitors = Vec::new();
    for web in webs.iter().filter(|web| web.store.is_some()) {
        let Some(address) = web.address() else { continue };
        visitors.push(Visitor { web, browser: signed_in(address).await });
    }
    let stores = stores(webs);
    println!("outage: {} stores are killed", stores.len());
    stores.iter().try_for_each(|store| store.kill())?;
    let away = for_each(&visitors, without_store).await;
    println!("outage: they come back");
    stores.iter().try_for_each(|store| store.restart())?;
    let back = for_each(&visitors, with_store_again).await;

    let patience = PATIENCE.as_secs();
    let mut text = format!(
        "`none` is no answer within {patience} s.\n\n\
         | engine | | `/none`, no session taken | `/get`, first | `/get`, a second later | `/incr` | store is back: answers again | the session |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for ((visitor, away), back) in visitors.iter().zip(away).zip(back) {
        let engine = visitor.web.engine.map_or_else(String::new, |engine| engine.to_string());
        let _ = writeln!(
            text,
            "| {engine} | {} | {} | {} |",
            visitor.web.contender.name,
            away.join(" | "),
            back.join(" | ")
        );
    }
    Ok(text)
}

/// Returns the stores, each once.
fn stores(webs: &[&Web]) -> Vec<Arc<dyn Server>> {
    let mut stores: Vec<Arc<dyn Server>> = Vec::new();
    for store in webs.iter().filter_map(|web| web.store.as_ref()) {
        if !stores.iter().any(|known| known.port() == store.port()) {
            stores.push(Arc::clone(store));
        }
    }
    stores
}

/// Runs something for all visitors at once, and returns what came of it in their order.
async fn for_each<const N: usize, F>(
    visitors: &[Visitor<'_>],
    work: impl Fn(Browser) -> F,
) -> Vec<[String; N]>
where
    F: Future<Output = [String; N]> + Send + 'static,
{
    let mut running = JoinSet::new();
    for (at, visitor) in visitors.iter().enumerate() {
        let Some(browser) = &visitor.browser else { continue };
        let work = work(browser.clone());
        running.spawn(async move { (at, work.await) });
    }
    let mut seen: Vec<_> =
        visitors.iter().map(|_| std::array::from_fn(|_| "no sign-in".to_owned())).collect();
    for (at, what) in running.join_all().await {
        seen[at] = what;
    }
    seen
}

/// Asks while the store is away.
async fn without_store(browser: Browser) -> [String; 4] {
    let ask = async |path: &str| shown(&browser.with_patience(PATIENCE).get(path).await);
    let later = async {
        sleep(Duration::from_secs(1)).await;
        ask("/get").await
    };
    let changed = async {
        sleep(Duration::from_secs(1)).await;
        ask("/incr").await
    };
    <[String; 4]>::from(tokio::join!(ask("/none"), ask("/get"), later, changed))
}

fn shown(answer: &Answer) -> String {
    match answer.shown().as_str() {
        "none" => "none".to_owned(),
        status => format!("{status} in {} ms", answer.took.as_millis()),
    }
}

/// Asks until there is an answer again.
async fn with_store_again(browser: Browser) -> [String; 2] {
    let began = Instant::now();
    let answered = timeout(RECOVERY, async {
        loop {
            let mut browser = browser.with_patience(ONE_TRY);
            if browser.get("/whoami").await.is_ok() && browser.get("/incr").await.is_ok() {
                return;
            }
            sleep(POLL).await;
        }
    });
    if answered.await.is_err() {
        return [format!("not within {} s", RECOVERY.as_secs()), "unknown".to_owned()];
    }
    let took = began.elapsed().as_secs_f64();
    let signed_in = super::is_user(&browser.with_patience(PATIENCE).get("/whoami").await);
    [format!("after {took:.1} s"), if signed_in { "is there" } else { "is gone" }.to_owned()]
}
