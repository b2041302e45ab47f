//! The conformance suite over a real server: two handles with a pool each, a table for each case.

use std::time::Duration;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::mysql::MysqlOptions;

use super::fixture::{Server, made, shared};
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

conformance_suite! { mod far_away_server, from_far_away }
conformance_suite! { mod several_statements_at_once, || harness(|options| options.multi_statements(true)) }
conformance_suite! { mod one_statement_at_a_time, || harness(|options| options.multi_statements(false)) }
