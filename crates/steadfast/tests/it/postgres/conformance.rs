//! The conformance suite, over two stores that share as little as two machines.

use std::time::Duration;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast_servers::Proxy;

use super::fixture::Table;
use crate::resets::{self, Reset};
use crate::servers::{address, dsn, far_away};

const TIME: TestTime = TestTime::Real { step: Duration::from_millis(300) };

async fn direct() -> Harness {
    let table = Table::new().await;
    Harness::new(table.open().await, table.open().await, TIME).keeping(table)
}

/// Both through a pooler that gives each statement whichever connection is free.
async fn through_pgbouncer() -> Harness {
    let table = Table::new().await;
    let open = async || table.options_of_the_pooler().open().await.unwrap();
    Harness::new(open().await, open().await, TIME).keeping(table)
}

async fn from_far_away() -> Harness {
    let (table, direct) = (Table::new().await, dsn("POSTGRES"));
    let proxy = far_away(address(&direct));
    let through = proxy.dsn(&direct);
    let open = async || table.options_by(&through).open().await.unwrap();
    Harness::new(open().await, open().await, TIME).keeping(proxy).keeping(table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_holds_under_resets() {
    let harness = async || {
        let (table, direct) = (Table::new().await, dsn("POSTGRES"));
        let handle = async || {
            let proxy = Proxy::start(address(&direct)).unwrap();
            Reset::new(table.options_by(&proxy.dsn(&direct)).open().await.unwrap(), proxy)
        };
        Harness::new(handle().await, handle().await, TIME).keeping(table)
    };
    resets::suite(harness, |_| true).await;
}

conformance_suite! { mod far_away_connections, from_far_away }
conformance_suite! { mod direct_connections, direct }
conformance_suite! { mod pgbouncer_in_transaction_mode, through_pgbouncer }
