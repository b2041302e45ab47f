//! What happens to a session when requests meet, when a handler panics, and when the store is away: the same
//! scenarios for all, and what was seen.

mod outage;
mod races;

use std::net::SocketAddr;
use std::time::Duration;

use steadfast_bench_routes::PROFILE;

use crate::Result;
use crate::browser::{Answer, Browser};
use crate::contenders::{CEILING, LEASED};
use crate::lineup::Web;
use crate::report::Report;

/// How long a browser waits in a race.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays all scenarios. The stores end with it.
pub(crate) async fn run(webs: &[Web], report: &Report) -> Result<()> {
    let webs: Vec<&Web> = webs
        .iter()
        .filter(|web| web.engine.is_some() && ![&CEILING, &LEASED].contains(&web.contender))
        .collect();
    report.write("races", &races::table(&webs).await)?;
    report.write("outages", &outage::table(&webs).await?)
}

/// Signs in with a new browser.
async fn signed_in(address: SocketAddr) -> Option<Browser> {
    let mut browser = Browser::new(address, PATIENCE);
    let signed_in = browser.get("/login").await.is_ok() && !browser.cookies.is_empty();
    signed_in.then_some(browser)
}

fn is_user(answer: &Answer) -> bool {
    answer.number("user") == Some(PROFILE.user_id)
}
