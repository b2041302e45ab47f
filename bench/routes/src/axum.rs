//! The routes on axum.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::{NONE, Reply, Result, Serve, USAGE, usage};

/// Makes the routes for an extractor that makes a [`Visit`](crate::Visit) when it is wrapped.
#[macro_export]
macro_rules! axum_routes {
    ($extractor:ty, $visit:expr) => {{
        let mut router = $crate::axum::none();
        for route in $crate::Route::ALL {
            let handler = async move |query: axum::extract::RawQuery, extracted: $extractor| {
                $crate::answer(route, query.0.as_deref(), &mut $visit(extracted)).await
            };
            router = router.route(route.path(), axum::routing::get(handler));
        }
        router
    }};
}

/// Makes the route that takes no session.
pub fn none<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/none", get(async || json(StatusCode::OK, NONE)))
}

fn json(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json(status, self.body)
    }
}

/// Serves routes until the process is stopped.
///
/// # Errors
///
/// If the address can't be listened on.
pub async fn serve(options: &Serve, routes: Router) -> Result<()> {
    // Beside the session layer, not below it.
    let routes = routes.route(USAGE, get(async || usage()));
    let listener = TcpListener::bind(options.listen).await?;
    // No response waits for the acknowledgement of the one before. Failing costs time only.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, routes).await?)
}
