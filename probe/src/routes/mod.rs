//! The routes, each with one session operation.

mod awkward;
mod flash;
mod identity;
mod inspect;
mod open;
mod temp;
mod values;

use std::any::Any;

use axum::Router;
use axum::middleware::{from_fn, map_request};
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use steadfast::Sessions;
use tower_http::catch_panic::CatchPanicLayer;

use crate::answers::{explain_failures, ok, panicked};

/// What routes know of the node they run on.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) sessions: Sessions,
    pub(crate) metrics: PrometheusHandle,
}

/// Puts all routes together.
pub(crate) fn router(node: Node) -> Router {
    let sessions = node.sessions.layer();
    Router::new()
        .route("/none", get(async || ok()))
        .merge(values::routes())
        .merge(flash::routes())
        .merge(temp::routes())
        .merge(identity::routes())
        .merge(awkward::routes())
        .merge(inspect::routes())
        .with_state(node)
        .layer(sessions)
        .layer(from_fn(explain_failures))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| -> Response { panicked() }))
        .layer(map_request(open::note_arrival))
}
