//! The conformance suite over a real server: two handles with a pool each, a table for each case.

use std::time::Duration;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::mysql::MysqlOptions;
use steadfast_servers::Proxy;

use super::fixture::{Server, made, shared};
use crate::resets::{self, Reset};
use crate::servers::{address, dsn, far_away};

/// Several round trips, even when all cores are busy.
const STEP: Duration = Duration::from_millis(400);

async fn harness(choose: impl FnOnce(MysqlOptions) -> MysqlOptions) -> Harness {
    let options = choose(shared().options());
    let first = made(options.clone()).await;
    let second = options.open().await.unwrap();
    Harness::new(first, second, TestTime::Real { step: STEP })
}

async fn from_far_away() -> Harness {
    let direct = dsn("MYSQL");
    let proxy = far_away(address(&direct));
    let options = Server::at(&proxy.dsn(&direct)).options();
    let first = made(options.clone()).await;
    let second = options.open().await.unwrap();
    Harness::new(first, second, TestTime::Real { step: STEP }).keeping(proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_holds_under_resets() {
    let harness = async || {
        let direct = dsn("MYSQL");
        let options = Server::at(&direct).options();
        options.create().await.unwrap();
        let handle = async || {
            let proxy = Proxy::start(address(&direct)).unwrap();
            Reset::new(options.clone().port(proxy.address().port()).open().await.unwrap(), proxy)
        };
        Harness::new(handle().await, handle().await, TestTime::Real { step: STEP })
    };
    resets::suite(harness, |_| true).await;
}

conformance_suite! { mod far_away_server, from_far_away }
conformance_suite! { mod several_statements_at_once, || harness(|options| options.multi_statements(true)) }
conformance_suite! { mod one_statement_at_a_time, || harness(|options| options.multi_statements(false)) }
