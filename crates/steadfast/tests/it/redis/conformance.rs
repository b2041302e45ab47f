//! The conformance suite, over two stores that share nothing but the servers.

use std::time::Duration;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::redis::Servers;
use steadfast_servers::Proxy;

use super::fixture::{cluster, one, own, sentinels};
use crate::resets::{self, Reset};
use crate::servers::{address, dsn, far_away};

/// Some twenty cases wait for two of these. Long enough for a machine that runs all other tests meanwhile.
const STEP: Duration = Duration::from_millis(300);

async fn harness(servers: Servers) -> Harness {
    let options = own();
    let first = options.clone().connect(servers.clone()).await.expect("the server is there");
    let second = options.connect(servers).await.expect("the server is there");
    Harness::new(first, second, TestTime::Real { step: STEP })
}

/// On the shared server, from far away.
async fn from_far_away() -> Harness {
    let proxy = far_away(address(&dsn("REDIS")));
    harness(by_way_of(&proxy)).await.keeping(proxy)
}

fn by_way_of(proxy: &Proxy) -> Servers {
    Servers::One(proxy.address().ip().to_string(), proxy.address().port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_holds_under_resets() {
    let harness = async || {
        let options = own();
        let handle = async || {
            let proxy = Proxy::start(address(&dsn("REDIS"))).unwrap();
            let store = options.clone().connect(by_way_of(&proxy)).await.expect("the server is there");
            Reset::new(store, proxy)
        };
        Harness::new(handle().await, handle().await, TestTime::Real { step: STEP })
    };
    resets::suite(harness, |_| true).await;
}

conformance_suite! { mod redis_far_away, from_far_away }
conformance_suite! { mod redis_server, || harness(one()) }
conformance_suite! { mod redis_cluster, || harness(cluster()) }
conformance_suite! { mod redis_sentinel, || harness(sentinels()) }
