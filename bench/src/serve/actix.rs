//! The routes on Steadfast over actix-web.

use actix_web::{App, HttpServer, web};
use steadfast::{Concurrency, Session, Sessions};
use steadfast_bench_routes::actix::{none, outside};
use steadfast_bench_routes::{Serve, actix_routes};

use super::steadfast::{Exclusive, Merged};
use crate::Result;

/// Serves until the process is stopped.
pub(super) async fn serve(options: &Serve, sessions: &Sessions, concurrency: Concurrency) -> Result<()> {
    let layer = sessions.layer();
    let server = HttpServer::new(move || {
        let routes = if concurrency == Concurrency::Merge { merged } else { exclusive };
        App::new().configure(outside).service(web::scope("").wrap(layer.clone()).configure(routes))
    });
    Ok(server.workers(options.workers).disable_signals().bind(options.listen)?.run().await?)
}

fn merged(config: &mut web::ServiceConfig) {
    none(config);
    actix_routes!(config, Session, Merged);
}

fn exclusive(config: &mut web::ServiceConfig) {
    none(config);
    actix_routes!(config, Session, Exclusive);
}
