//! The routes on actix-web.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::web::{ServiceConfig, get};
use actix_web::{HttpRequest, HttpResponse, Responder};

use crate::{NONE, Reply, USAGE, usage};

/// Makes the routes for an extractor that makes a [`Visit`](crate::Visit) when it is wrapped.
#[macro_export]
macro_rules! actix_routes {
    ($config:expr, $extractor:ty, $visit:expr) => {
        for route in $crate::Route::ALL {
            // No asynchronous closure, as its future would borrow from it.
            let handler = move |request: actix_web::HttpRequest, extracted: $extractor| async move {
                $crate::answer(route, Some(request.query_string()), &mut $visit(extracted)).await
            };
            $config.route(route.path(), actix_web::web::get().to(handler));
        }
    };
}

/// Makes the route that takes no session.
pub fn none(config: &mut ServiceConfig) {
    config.route("/none", get().to(async || Reply { status: 200, body: NONE.to_owned() }));
}

/// Makes what is not measured, beside the session layer.
pub fn outside(config: &mut ServiceConfig) {
    config.route(USAGE, get().to(async || usage()));
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        HttpResponse::build(status).content_type("application/json").body(self.body)
    }
}
