//! The conformance suite over a real server: two handles with a pool each, a table for each case.

use std::time::Duration;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::mysql::MysqlOptions;

use super::fixture::{made, shared};

/// Several round trips, even when all cores are busy.
const STEP: Duration = Duration::from_millis(400);

async fn harness(choose: impl FnOnce(MysqlOptions) -> MysqlOptions) -> Harness {
    let options = choose(shared().options());
    let first = made(options.clone()).await;
    let second = options.open().await.unwrap();
    Harness::new(first, second, TestTime::Real { step: STEP })
}

conformance_suite! { mod several_statements_at_once, || harness(|options| options.multi_statements(true)) }
conformance_suite! { mod one_statement_at_a_time, || harness(|options| options.multi_statements(false)) }
