//! The routes, each with one session operation.
//!
//! A handler is a function of what it takes of a request, and is written once: what it takes and what it answers
//! are known to each framework, in `crate::adaptor`.

mod awkward;
mod flash;
mod identity;
mod inspect;
mod open;
mod temp;
mod values;

use metrics_exporter_prometheus::PrometheusHandle;
use steadfast::Sessions;

use crate::answers::{Answer, ok};

pub(crate) use open::{Arrived, Open, View};

/// What routes know of the node they run on.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) sessions: Sessions,
    pub(crate) metrics: PrometheusHandle,
}

/// Registers handlers under their paths, with each framework.
macro_rules! routes {
    ($($path:literal => $handler:ident,)*) => {
        /// Registers the handlers of this module with axum.
        pub(super) fn axum(router: axum::Router<super::Node>) -> axum::Router<super::Node> {
            router$(.route($path, axum::routing::get($handler)))*
        }

        /// Registers the handlers of this module with actix-web.
        pub(super) fn actix(app: &mut actix_web::web::ServiceConfig) {
            app$(.route($path, actix_web::web::get().to($handler)))*;
        }
    };
}
use routes;

/// The one route that takes no session.
mod none {
    use super::{Answer, ok};

    routes! {
        "/none" => none,
    }

    async fn none() -> Answer {
        ok()
    }
}

/// Registers all routes with axum.
pub(crate) fn axum() -> axum::Router<Node> {
    let modules =
        [none::axum, values::axum, flash::axum, temp::axum, identity::axum, awkward::axum, inspect::axum];
    modules.into_iter().fold(axum::Router::new(), |router, register| register(router))
}

/// Registers all routes with actix-web.
pub(crate) fn actix(app: &mut actix_web::web::ServiceConfig) {
    let modules = [
        none::actix,
        values::actix,
        flash::actix,
        temp::actix,
        identity::actix,
        awkward::actix,
        inspect::actix,
    ];
    modules.into_iter().for_each(|register| register(app));
}
