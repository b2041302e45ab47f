//! The servers of this program: Steadfast, the ceiling, and axum alone, with the routes of the peers.

mod ceiling;
pub(crate) mod steadfast;

use ::steadfast::Concurrency;
use axum::Router;
use steadfast_bench_routes::Serve;
use steadfast_bench_routes::axum::{none, serve};

use crate::Result;

/// Serves until the process is stopped.
pub(crate) fn run(options: &Serve) -> Result<()> {
    options.run(async {
        let routes: Router = match options.kind.as_str() {
            "none" => none(),
            "merge" => {
                let sessions = steadfast::settings(Concurrency::Merge)?.connect(&options.store).await?;
                steadfast::merged(&sessions)
            }
            "exclusive" => {
                let sessions = steadfast::settings(Concurrency::Exclusive)?.connect(&options.store).await?;
                steadfast::exclusive(&sessions)
            }
            "ceiling" => ceiling::routes(options, ceiling::Calls::ReadWrite).await?,
            "ceiling-leased" => ceiling::routes(options, ceiling::Calls::AcquireRelease).await?,
            _ => return Err(options.unknown()),
        };
        serve(options, routes).await
    })
}
