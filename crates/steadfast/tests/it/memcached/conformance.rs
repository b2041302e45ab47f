//! The conformance suite on one server, near and far away, and on a ring of three.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::memcached::{MemcachedOptions, MemcachedStore};
use steadfast_servers::Proxy;

use crate::resets::{self, Reset};
use crate::servers::{address, dsn, far_away};

/// The server counts whole seconds, and a lease is held for one of them more than asked for. So this is the
/// shortest lease that is over when it has been waited for twice as long.
const STEP: Duration = Duration::from_millis(1600);

/// Returns settings with the servers of a connection string, and a prefix that no other test has.
fn options(server: &str) -> MemcachedOptions {
    let dsn = dsn(server);
    let hosts = dsn.strip_prefix("memcached://").expect("the address of a server");
    hosts.split(',').fold(own(), MemcachedOptions::server)
}

fn own() -> MemcachedOptions {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("{}-{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    MemcachedStore::options().prefix(prefix)
}

async fn harness(server: &str) -> Harness {
    on(options(server)).await
}

async fn from_far_away() -> Harness {
    let proxy = far_away(address(&dsn("MEMCACHED")));
    on(own().server(proxy.address().to_string())).await.keeping(proxy)
}

async fn on(options: MemcachedOptions) -> Harness {
    // Everything shares two cores and the servers' crawlers.
    let options = options.response_timeout(Duration::from_secs(10));
    let first = options.clone().connect().await.unwrap();
    let second = options.connect().await.unwrap();
    Harness::new(first, second, TestTime::Real { step: STEP })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_holds_under_resets() {
    let harness = async || {
        let options = own();
        let handle = async || {
            let proxy = Proxy::start(address(&dsn("MEMCACHED"))).unwrap();
            let store = options.clone().server(proxy.address().to_string()).connect().await.unwrap();
            Reset::new(store, proxy)
        };
        Harness::new(handle().await, handle().await, TestTime::Real { step: STEP })
    };
    // A replacement takes several commands: what a failed one leaves behind ends by its time.
    resets::suite(harness, |case| !case.contains("replace")).await;
}

conformance_suite! { mod far_away_server, from_far_away }

conformance_suite! { mod one_server, || harness("MEMCACHED") }

conformance_suite! { mod ring_of_three, || harness("MEMCACHED_RING") }
