//! The servers of this program: Steadfast, the ceiling, and axum alone, with the routes of the peers.

mod actix;
mod ceiling;
pub(crate) mod steadfast;

use ::steadfast::Concurrency;
use axum::Router;
use steadfast_bench_routes::Serve;
use steadfast_bench_routes::axum::{none, serve};

use self::ceiling::Calls;
use self::steadfast::{exclusive, merged, settings};
use crate::Result;

/// Serves until the process is stopped.
pub(crate) fn run(options: &Serve) -> Result<()> {
    options.run(async {
        let sessions = async |concurrency| settings(concurrency)?.connect(&options.store).await;
        let routes: Router = match options.kind.as_str() {
            "none" => none(),
            "merge" => merged(&sessions(Concurrency::Merge).await?),
            "exclusive" => exclusive(&sessions(Concurrency::Exclusive).await?),
            "actix-merge" => {
                let concurrency = Concurrency::Merge;
                return actix::serve(options, &sessions(concurrency).await?, concurrency).await;
            }
            "actix-exclusive" => {
                let concurrency = Concurrency::Exclusive;
                return actix::serve(options, &sessions(concurrency).await?, concurrency).await;
            }
            "ceiling" => ceiling::routes(options, Calls::ReadWrite).await?,
            "ceiling-leased" => ceiling::routes(options, Calls::AcquireRelease).await?,
            _ => return Err(options.unknown()),
        };
        serve(options, routes).await
    })
}
